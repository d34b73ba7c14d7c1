"""SageMaker SDK v3: batch transform through `ModelBuilder.transformer` and `TransformJob`.

Each output is compared with what the model predicts in this process, row for row.
"""

import csv
import json
import logging
import sys
import tarfile
import uuid
from pathlib import Path

import joblib
import numpy as np
import xgboost
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Model, TransformJob
from sagemaker.core.s3 import S3Downloader
from sagemaker.core.shapes import (
    ContainerDefinition,
    DataProcessing,
    TransformDataSource,
    TransformInput,
    TransformOutput,
    TransformResources,
    TransformS3DataSource,
)
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer
from sklearn.ensemble import HistGradientBoostingRegressor

logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)  # the SDK logs the job's log
folder = Path(sys.argv[1])
work = Path(sys.argv[2])
session = Session()
region, bucket = session.boto_region_name, session.default_bucket()
with (folder / "test.csv").open(newline="") as file:
    rows = list(csv.reader(file))
features = np.array([[float(value) for value in row[1:]] for row in rows])


def outputs(prefix, name):
    """The lines of the only output."""
    [uri] = S3Downloader.list(prefix, sagemaker_session=session)
    assert uri.endswith(f"/{name}.out"), uri
    return S3Downloader.read_file(uri, sagemaker_session=session).splitlines()


# The built-in XGBoost over CSV: the label stays out of the request, and stands before the answer.
train = session.upload_data(str(folder / "train.csv"), key_prefix="v3-transform/train")
image = image_uris.retrieve("xgboost", region, version="1.7-1")
trainer = ModelTrainer(
    training_image=image,
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    hyperparameters={"objective": "reg:squarederror", "num_round": 20, "max_depth": 4},
    base_job_name="v3-transform",
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source=train, content_type="text/csv")])
builder = ModelBuilder(model=trainer, image_uri=image, instance_type="ml.m5.large")
builder.build()
transformer = builder.transformer(
    instance_count=1, instance_type="ml.m5.large", strategy="MultiRecord", assemble_with="Line", accept="text/csv"
)
transformer.transform(
    session.upload_data(str(folder / "test.csv"), key_prefix="v3-transform/csv"),
    content_type="text/csv",
    split_type="Line",
    input_filter="$[1:]",
    join_source="Input",
    output_filter="$[0,-1]",
)
trained = trainer._latest_training_job.model_artifacts.s3_model_artifacts
S3Downloader.download(trained, str(work), sagemaker_session=session)
with tarfile.open(work / "model.tar.gz") as packed:
    packed.extractall(work, filter="data")
predicted = xgboost.Booster(model_file=work / "xgboost-model").inplace_predict(features.astype(np.float32)).tolist()
joined = outputs(transformer.output_path, "test.csv")
assert joined == [f"{row[0]},{value!r}" for row, value in zip(rows, predicted, strict=True)], joined[:3]

# A model of one's own, trained here, behind a script over JSON Lines.
own = HistGradientBoostingRegressor(max_iter=20).fit(features, [float(row[0]) for row in rows])
joblib.dump(own, work / "model.joblib")
with tarfile.open(work / "own.tar.gz", "w:gz") as packed:
    packed.add(work / "model.joblib", "model.joblib")
    for script in ("flights_model.py", "flights_lines.py"):
        packed.add(Path(__file__).parent / "scripts" / script, f"code/{script}")
name = f"v3-transform-{uuid.uuid4().hex[:8]}"
model = Model.create(
    model_name=name,
    execution_role_arn=get_execution_role(),
    primary_container=ContainerDefinition(
        image=image_uris.retrieve("sklearn", region, version="1.2-1", instance_type="ml.m5.large"),
        model_data_url=session.upload_data(str(work / "own.tar.gz"), key_prefix=name),
        environment={"SAGEMAKER_PROGRAM": "flights_lines.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
    ),
)
documents = [{"id": number, "features": row} for number, row in enumerate(features.tolist())]
(work / "all.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents))
source = session.upload_data(str(work / "all.jsonl"), key_prefix=f"{name}/in")
job = TransformJob.create(
    transform_job_name=name,
    model_name=name,
    transform_input=TransformInput(
        data_source=TransformDataSource(s3_data_source=TransformS3DataSource(s3_data_type="S3Prefix", s3_uri=source)),
        content_type="application/jsonlines",
        split_type="Line",
    ),
    transform_output=TransformOutput(
        s3_output_path=f"s3://{bucket}/{name}/out", accept="application/jsonlines", assemble_with="Line"
    ),
    transform_resources=TransformResources(instance_type="ml.m5.large", instance_count=1),
    data_processing=DataProcessing(
        input_filter="$.features", join_source="Input", output_filter="$['id','SageMakerOutput']"
    ),
)
job.wait(logs=True)
found = [json.loads(line) for line in outputs(f"s3://{bucket}/{name}/out", "all.jsonl")]
assert found == [
    {"id": number, "SageMakerOutput": {"minutes": minutes, "by": "flights"}}
    for number, minutes in enumerate(own.predict(features).tolist())
], found[:3]
model.delete()

print(json.dumps({"status": job.transform_job_status, "joined": len(joined), "documents": len(found)}))
