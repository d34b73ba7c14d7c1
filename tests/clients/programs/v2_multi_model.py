"""SageMaker SDK v2: two trained models behind one endpoint by `MultiDataModel`, and a third added while it runs."""

import csv
import json
import sys
from pathlib import Path

import sagemaker
from botocore.exceptions import ClientError
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.serializers import CSVSerializer

MILES = 4  # in a row: minutes in the air, month, day, departure, miles
folder = Path(sys.argv[1])
session = sagemaker.Session()


def read(name, kind):
    with (folder / name).open(newline="") as file:
        rows = [[float(value) for value in row] for row in csv.reader(file)]
    return [row for row in rows if (row[MILES] > 1000) == (kind == "long")]


def fit(kind):
    path = folder / f"{kind}.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(read("train.csv", kind))
    train = session.upload_data(str(path), key_prefix=f"v2-multi-model/{kind}")
    estimator = Estimator(
        sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
        sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.large",
        base_job_name=f"v2-{kind}",
        hyperparameters={"objective": "reg:squarederror", "num_round": 40, "max_depth": 4, "eta": 0.2},
    )
    estimator.fit({"train": TrainingInput(train, content_type="text/csv")})
    return estimator


short, long = fit("short"), fit("long")
name = sagemaker.utils.name_from_base("v2-multi")
prefix = f"s3://{session.default_bucket()}/{name}/"
models = MultiDataModel(name, prefix, model=short.create_model(), sagemaker_session=session)
models.add_model(short.model_data, "short.tar.gz")
models.add_model(long.model_data, "long/first.tar.gz")
predictor = models.deploy(1, "ml.m5.large", serializer=CSVSerializer(), wait=False) or sagemaker.Predictor(
    models.endpoint_name, session, serializer=CSVSerializer()
)
session.wait_for_endpoint(models.endpoint_name, poll=1)  # deploy itself looks every 30 s


def error(kind, target):
    """The mean error in minutes of a model on flights of one kind."""
    rows = read("test.csv", kind)[:300]
    answer = predictor.predict([row[1:] for row in rows], target_model=target).decode()
    predicted = [float(value) for value in answer.replace("\n", ",").strip(",").split(",")]
    return sum(abs(p - row[0]) for p, row in zip(predicted, rows, strict=True)) / len(rows)


errors = {
    "short by short": error("short", "short.tar.gz"),
    "long by long": error("long", "long/first.tar.gz"),
    "long by short": error("long", "short.tar.gz"),
    "short by long": error("short", "long/first.tar.gz"),
}
before = sorted(models.list_models())
models.add_model(long.model_data, "long/second.tar.gz")
errors["long by second"] = error("long", "long/second.tar.gz")
refused = ""
try:
    error("short", "none.tar.gz")
except ClientError as failure:
    refused = failure.response["Error"]["Code"]
predictor.delete_model()
predictor.delete_endpoint()
print(json.dumps({"errors": errors, "before": before, "after": sorted(models.list_models()), "refused": refused}))
