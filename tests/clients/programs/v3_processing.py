"""SageMaker SDK v3: a script through `ScriptProcessor`, a source directory by `FrameworkProcessor`.

`run` itself looks for logs every ten seconds; so do it here every second.
"""

import json
import logging
import sys
from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.processing import FrameworkProcessor, ScriptProcessor, logs_for_processing_job
from sagemaker.core.s3 import S3Downloader
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sources import make_source

logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)  # the SDK logs the job's log
folder, scratch = Path(sys.argv[1]), Path(sys.argv[2])
session = Session()
place = f"s3://{session.default_bucket()}/{scratch.name}"
image = image_uris.retrieve("sklearn", session.boto_region_name, version="1.2-1", instance_type="ml.m5.large")
where = {
    "role": get_execution_role(),
    "image_uri": image,
    "instance_type": "ml.m5.large",
    "instance_count": 1,
    "command": ["python3"],
    "sagemaker_session": session,
}


def output(name: str, path: str) -> ProcessingOutput:
    target = ProcessingS3Output(s3_uri=f"{place}/{name}", local_path=path, s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name=name, s3_output=target)


source = ProcessingS3Input(
    s3_uri=session.upload_data(str(folder / "train.csv"), key_prefix=f"{scratch.name}/in"),
    local_path="/opt/ml/processing/input/flights",
    s3_data_type="S3Prefix",
    s3_input_mode="File",
)
processor = ScriptProcessor(base_job_name="v3-split", **where)
processor.run(
    code=str(Path(__file__).parent / "scripts" / "flights_split.py"),
    inputs=[ProcessingInput(input_name="flights", s3_input=source)],
    outputs=[output(name, f"/opt/ml/processing/{name}") for name in ("first", "second")],
    arguments=["--share", "0.75"],
    wait=False,
)
logs_for_processing_job(session, processor.latest_job.processing_job_name, wait=True, poll=1)
job = processor.latest_job
job.refresh()
rows = {
    name: len(S3Downloader.read_file(f"{place}/{name}/part.csv", session).splitlines()) for name in ("first", "second")
}

framework = FrameworkProcessor(base_job_name="v3-count", **where)
framework.run(
    code="count.py",
    source_dir=str(make_source(scratch)),
    outputs=[output("count", "/opt/ml/processing/output")],
    arguments=["one two three"],
    wait=False,
)
logs_for_processing_job(session, framework.latest_job.processing_job_name, wait=True, poll=1)
print(
    json.dumps(
        {
            "status": job.processing_job_status,
            "message": job.exit_message,
            "rows": rows,
            "count": S3Downloader.read_file(f"{place}/count/count.txt", session),
        }
    )
)
