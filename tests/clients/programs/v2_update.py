"""SageMaker SDK v2: a better XGBoost model takes over an endpoint, by `update_endpoint` and then by a canary."""

import csv
import json
import sys
from pathlib import Path
from threading import Event

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer

folder = Path(sys.argv[1])
session = sagemaker.Session()
role = sagemaker.get_execution_role()
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
train = session.upload_data(str(folder / "train.csv"), key_prefix="v2-update/train")


def trained(rounds: int) -> sagemaker.model.Model:
    estimator = Estimator(
        image,
        role,
        instance_count=1,
        instance_type="ml.m5.large",
        base_job_name="v2-update",
        hyperparameters={"objective": "reg:squarederror", "num_round": rounds, "max_depth": 4, "eta": 0.2},
    )
    estimator.fit({"train": TrainingInput(train, content_type="text/csv")}, logs=False)
    return estimator.create_model()


with (folder / "test.csv").open(newline="") as file:
    rows = [[float(value) for value in row] for row in csv.reader(file)][:200]
labels = [row[0] for row in rows]


def error() -> float:
    answer = predictor.predict([row[1:] for row in rows]).decode()
    predicted = [float(value) for value in answer.replace("\n", ",").strip(",").split(",")]
    return sum(abs(p - y) for p, y in zip(predicted, labels, strict=True)) / len(labels)


poor, good = trained(2), trained(50)
predictor = poor.deploy(1, "ml.m5.large", serializer=CSVSerializer(), wait=False)
session.wait_for_endpoint(predictor.endpoint_name, poll=1)  # deploy itself looks every 30 s
name = predictor.endpoint_name
errors = {"poor": error()}

# The SDK's own way: another model behind the same endpoint.
good.create(instance_type="ml.m5.large")
predictor.update_endpoint(model_name=good.name, initial_instance_count=1, instance_type="ml.m5.large", wait=False)
session.wait_for_endpoint(predictor.endpoint_name, poll=1)
errors["good"] = error()

# A canary back to the poor model, through the client, watched in DescribeEndpoint until it is over.
sagemaker_client = session.sagemaker_client
configs = sagemaker_client.list_endpoint_configs(NameContains=name, SortBy="CreationTime", SortOrder="Ascending")
first = configs["EndpointConfigs"][0]["EndpointConfigName"]
sagemaker_client.update_endpoint(
    EndpointName=name,
    EndpointConfigName=first,
    DeploymentConfig={
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
                "WaitIntervalInSeconds": 15,  # long enough for both models to be seen to answer, on a slow machine too
            },
            "TerminationWaitInSeconds": 1,
            "MaximumExecutionTimeoutInSeconds": 1800,
        }
    },
)
pause, stages, mixed = Event(), [], set()
while (described := sagemaker_client.describe_endpoint(EndpointName=name))["EndpointStatus"] == "Updating":
    variant = described["PendingDeploymentSummary"]["ProductionVariants"][0]
    stages += [status["Status"] for status in variant["VariantStatus"]]
    mixed.add(round(error(), 6))
    pause.wait(0.2)
errors["poor again"] = error()
predictor.delete_endpoint()
for model in (poor, good):
    model.delete_model()

print(
    json.dumps(
        {
            "errors": errors,
            "status": described["EndpointStatus"],
            "config": described["EndpointConfigName"] == first,
            "stages": sorted(set(stages)),
            "mixed": len(mixed),
        }
    )
)
