"""SageMaker SDK v3: an asynchronous endpoint through `ModelBuilder` and `Endpoint.invoke_async`."""

import csv
import json
import logging
import sys
import uuid
from pathlib import Path

import boto3
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.inference_config import AsyncInferenceConfig
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)
folder = Path(sys.argv[1])
session = Session()
bucket = session.default_bucket()
train = session.upload_data(str(folder / "train.csv"), key_prefix="v3-async/train")
image = image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
trainer = ModelTrainer(
    training_image=image,
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    hyperparameters={"objective": "reg:squarederror", "num_round": 50, "max_depth": 4, "eta": 0.2},
    base_job_name="v3-async",
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source=train, content_type="text/csv")])

builder = ModelBuilder(model=trainer, image_uri=image, instance_type="ml.m5.large")
model = builder.build()
endpoint = builder.deploy(
    endpoint_name=f"v3-async-{uuid.uuid4().hex[:8]}",
    initial_instance_count=1,
    inference_config=AsyncInferenceConfig(output_path=f"s3://{bucket}/v3-async/answers"),
)
with (folder / "test.csv").open(newline="") as file:
    rows = [[float(value) for value in row] for row in csv.reader(file)][:500]
body = "\n".join(",".join(str(value) for value in row[1:]) for row in rows)
s3 = boto3.client("s3")
s3.put_object(Bucket=bucket, Key="v3-async/input.csv", Body=body.encode())
invoked = endpoint.invoke_async(input_location=f"s3://{bucket}/v3-async/input.csv", content_type="text/csv")
place = invoked.output_location.removeprefix(f"s3://{bucket}/")
s3.get_waiter("object_exists").wait(Bucket=bucket, Key=place, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
text = s3.get_object(Bucket=bucket, Key=place)["Body"].read().decode()
predicted = [float(value) for value in text.replace("\n", ",").strip(",").split(",")]
endpoint.delete()
model.delete()

labels = [row[0] for row in rows]
mean = sum(labels) / len(labels)
print(
    json.dumps(
        {
            "rows": len(predicted),
            "error": sum(abs(p - y) for p, y in zip(predicted, labels, strict=True)) / len(labels),
            "baseline": sum(abs(mean - y) for y in labels) / len(labels),
            "place": place,
        }
    )
)
