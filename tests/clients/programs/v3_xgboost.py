"""SageMaker SDK v3: the built-in XGBoost through `ModelTrainer` and `ModelBuilder`: train, deploy, invoke, delete."""

import csv
import json
import logging
import sys
import uuid
from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)  # the SDK logs the job's log
folder = Path(sys.argv[1])
session = Session()
train = session.upload_data(str(folder / "train.csv"), key_prefix="v3-xgboost/train")
image = image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")

trainer = ModelTrainer(
    training_image=image,
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    hyperparameters={"objective": "reg:squarederror", "num_round": 50, "max_depth": 4, "eta": 0.2},
    base_job_name="v3-xgboost",
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source=train, content_type="text/csv")])

builder = ModelBuilder(model=trainer, image_uri=image, instance_type="ml.m5.large")
model = builder.build()
endpoint = builder.deploy(endpoint_name=f"v3-xgboost-{uuid.uuid4().hex[:8]}", initial_instance_count=1)
with (folder / "test.csv").open(newline="") as file:
    rows = [[float(value) for value in row] for row in csv.reader(file)][:500]
body = "\n".join(",".join(str(value) for value in row[1:]) for row in rows)
answer = endpoint.invoke(body=body, content_type="text/csv").body
text = answer.read().decode() if hasattr(answer, "read") else str(answer)
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
        }
    )
)
