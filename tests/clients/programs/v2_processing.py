"""SageMaker SDK v2: a script through `SKLearnProcessor`, a source directory by `FrameworkProcessor`.

`run` itself looks for logs every ten seconds; so do it here every second.
"""

import json
import sys
from pathlib import Path

import sagemaker
from sagemaker.processing import FrameworkProcessor, ProcessingInput, ProcessingOutput
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn import SKLearn
from sagemaker.sklearn.processing import SKLearnProcessor
from sources import make_source

folder, scratch = Path(sys.argv[1]), Path(sys.argv[2])
session = sagemaker.Session()
where = {"role": sagemaker.get_execution_role(), "instance_type": "ml.m5.large", "instance_count": 1}

processor = SKLearnProcessor(framework_version="1.2-1", base_job_name="v2-split", **where)
processor.run(
    code=str(Path(__file__).parent / "scripts" / "flights_split.py"),
    inputs=[ProcessingInput(source=str(folder / "train.csv"), destination="/opt/ml/processing/input/flights")],
    outputs=[ProcessingOutput(output_name=name, source=f"/opt/ml/processing/{name}") for name in ("first", "second")],
    arguments=["--share", "0.75"],
    wait=False,
)
session.logs_for_processing_job(processor.latest_job.job_name, wait=True, poll=1)
job = processor.latest_job.describe()
targets = {one["OutputName"]: one["S3Output"]["S3Uri"] for one in job["ProcessingOutputConfig"]["Outputs"]}
rows = {name: len(S3Downloader.read_file(f"{uri}/part.csv").splitlines()) for name, uri in targets.items()}

framework = FrameworkProcessor(
    estimator_cls=SKLearn, framework_version="1.2-1", base_job_name="v2-count", command=["python3"], **where
)
framework.run(
    code="count.py",
    source_dir=str(make_source(scratch)),
    outputs=[ProcessingOutput(output_name="count", source="/opt/ml/processing/output")],
    arguments=["one two three"],
    wait=False,
)
session.logs_for_processing_job(framework.latest_job.job_name, wait=True, poll=1)
counted = framework.latest_job.describe()["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
print(
    json.dumps(
        {
            "status": job["ProcessingJobStatus"],
            "message": job["ExitMessage"],
            "rows": rows,
            "count": S3Downloader.read_file(f"{counted}/count.txt"),
        }
    )
)
