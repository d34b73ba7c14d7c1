"""SageMaker SDK v2: the built-in XGBoost through `Estimator`: fit with logs, deploy, predict, delete."""

import csv
import json
import sys
from pathlib import Path

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer

folder = Path(sys.argv[1])
session = sagemaker.Session()
train = session.upload_data(str(folder / "train.csv"), key_prefix="v2-xgboost/train")
test = session.upload_data(str(folder / "test.csv"), key_prefix="v2-xgboost/test")

estimator = Estimator(
    sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
    sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    base_job_name="v2-xgboost",
    hyperparameters={"objective": "reg:squarederror", "num_round": 50, "max_depth": 4, "eta": 0.2},
)
estimator.fit(
    {"train": TrainingInput(train, content_type="text/csv"), "validation": TrainingInput(test, content_type="text/csv")}
)
metrics = estimator.latest_training_job.describe()["FinalMetricDataList"]

predictor = estimator.deploy(1, "ml.m5.large", serializer=CSVSerializer())
with (folder / "test.csv").open(newline="") as file:
    rows = [[float(value) for value in row] for row in csv.reader(file)][:500]
answer = predictor.predict([row[1:] for row in rows]).decode()
predicted = [float(value) for value in answer.replace("\n", ",").strip(",").split(",")]
predictor.delete_model()
predictor.delete_endpoint()

labels = [row[0] for row in rows]
mean = sum(labels) / len(labels)
print(
    json.dumps(
        {
            "rows": len(predicted),
            "error": sum(abs(p - y) for p, y in zip(predicted, labels, strict=True)) / len(labels),
            "baseline": sum(abs(mean - y) for y in labels) / len(labels),
            "metrics": [metric["MetricName"] for metric in metrics],
        }
    )
)
