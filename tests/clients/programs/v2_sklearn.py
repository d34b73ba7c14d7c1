"""SageMaker SDK v2: a user's script through `SKLearn`: fit with logs and metrics, deploy, predict, delete."""

import csv
import json
import sys
from pathlib import Path

import sagemaker
from sagemaker.sklearn import SKLearn

folder = Path(sys.argv[1])
session = sagemaker.Session()
train = session.upload_data(str(folder / "train.csv"), key_prefix="v2-sklearn/train")

estimator = SKLearn(
    entry_point="flights_model.py",
    source_dir=str(Path(__file__).parent / "scripts"),
    role=sagemaker.get_execution_role(),
    framework_version="1.2-1",
    instance_type="ml.m5.large",
    base_job_name="v2-sklearn",
    hyperparameters={"max-iter": 60},
    metric_definitions=[{"Name": "train:r2", "Regex": "train-r2: ([0-9.]+)"}],
)
estimator.fit({"train": train})
metrics = {m["MetricName"]: m["Value"] for m in estimator.latest_training_job.describe()["FinalMetricDataList"]}

predictor = estimator.deploy(initial_instance_count=1, instance_type="ml.m5.large", wait=False)
session.wait_for_endpoint(predictor.endpoint_name, poll=1)  # deploy itself looks every 30 s
with (folder / "test.csv").open(newline="") as file:
    rows = [[float(value) for value in row] for row in csv.reader(file)][:200]
predicted = predictor.predict([row[1:] for row in rows])
predictor.delete_model()
predictor.delete_endpoint()

labels = [row[0] for row in rows]
mean = sum(labels) / len(labels)
print(
    json.dumps(
        {
            "rows": len(predicted),
            "error": float(sum(abs(p - y) for p, y in zip(predicted, labels, strict=True)) / len(labels)),
            "baseline": sum(abs(mean - y) for y in labels) / len(labels),
            "r2": metrics["train:r2"],
        }
    )
)
