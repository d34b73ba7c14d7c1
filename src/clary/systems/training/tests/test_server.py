"""Training through a real server with boto3, as a user sees it."""

import io
import json
import random
import tarfile
from collections.abc import Callable

import pytest

from clary.kernel.core.ids import short_id
from clary.testing import Server

ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
SCIKIT = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}


@pytest.fixture(scope="module")
def bucket(server: Server) -> str:
    name = f"training-{short_id(8)}"  # one process may come back to this module
    server.client("s3").create_bucket(Bucket=name)
    return name


def rows(seed: int) -> bytes:
    dice = random.Random(seed)
    points = [(dice.uniform(-1, 1), dice.uniform(-1, 1)) for _ in range(400)]
    return "\n".join(f"{3 * x - 2 * y + dice.gauss(0, 0.05):.4f},{x:.4f},{y:.4f}" for x, y in points).encode()


def csv_channel(name: str, uri: str) -> dict[str, object]:
    place = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "ContentType": "text/csv", "DataSource": {"S3DataSource": place}}


@pytest.mark.slow
def test_built_in_xgboost_learns_and_says_so(server: Server, bucket: str, unique: Callable[[str], str]) -> None:
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    name = unique("xgboost")
    s3.put_object(Bucket=bucket, Key=f"{name}/train/a.csv", Body=rows(1))
    s3.put_object(Bucket=bucket, Key=f"{name}/validation/a.csv", Body=rows(2))
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
        HyperParameters={"objective": "reg:squarederror", "num_round": "30", "eta": "0.3"},
        InputDataConfig=[
            csv_channel(part, f"s3://{bucket}/{name}/{part}/") for part in ("train", "validation")
        ],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/{name}/out"},
        ResourceConfig=RESOURCES,
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        Tags=[{"Key": "team", "Value": "trees"}],
    )  # fmt: skip
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 180}
    )
    job = sagemaker.describe_training_job(TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Completed"
    metrics = {one["MetricName"]: one["Value"] for one in job["FinalMetricDataList"]}
    assert metrics["validation:rmse"] < 0.4, "a constant would score about 2"
    location = job["ModelArtifacts"]["S3ModelArtifacts"]
    stored = s3.get_object(Bucket=bucket, Key=location.removeprefix(f"s3://{bucket}/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(stored)) as tar:
        assert "xgboost-model" in [item.name.removeprefix("./") for item in tar.getmembers()]
    logs = server.client("logs")
    [stream] = logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )["logStreams"]  # fmt: skip
    events = logs.get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert any("validation-rmse" in event["message"] for event in events)
    arn = job["TrainingJobArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "trees"}]
    found = sagemaker.search(
        Resource="TrainingJob",
        SearchExpression={
            "Filters": [
                {"Name": "Tags.team", "Operator": "Equals", "Value": "trees"},
                {"Name": "Metrics.validation:rmse", "Operator": "LessThan", "Value": "0.4"},
                {"Name": "TrainingJobStatus", "Value": "Completed"},
            ]
        },
    )["Results"]
    assert [one["TrainingJob"]["TrainingJobName"] for one in found] == [name]


@pytest.mark.slow
def test_a_script_of_the_users_own_reaches_s3_with_its_roles_credentials(
    server: Server, bucket: str, unique: Callable[[str], str]
) -> None:
    """Script mode as the SDK v2 sends it: a source archive in S3, hyperparameters in JSON."""
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    name = unique("script")
    script = b"""
import argparse, os
import boto3

parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int)
parser.add_argument("--label", type=str)
chosen = parser.parse_args()
print("chosen", chosen.depth, chosen.label, os.environ["SM_MODEL_DIR"])
boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=os.environ["KEY"], Body=b"from the job")
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.txt"), "w") as file:
    file.write(str(chosen.depth))
"""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        item = tarfile.TarInfo("train.py")
        item.size = len(script)
        tar.addfile(item, io.BytesIO(script))
    s3.put_object(Bucket=bucket, Key=f"{name}/sourcedir.tar.gz", Body=packed.getvalue())
    hyperparameters = {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": f"s3://{bucket}/{name}/sourcedir.tar.gz",
        "sagemaker_job_name": name,
        "sagemaker_region": "us-east-1",
        "sagemaker_container_log_level": 20,
        "depth": 3,
        "label": "a b",
    }
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": SCIKIT, "TrainingInputMode": "File"},
        HyperParameters={key: json.dumps(value) for key, value in hyperparameters.items()},
        Environment={"BUCKET": bucket, "KEY": f"{name}/written"},
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/{name}/out"},
        ResourceConfig=RESOURCES,
        StoppingCondition={"MaxRuntimeInSeconds": 300},
    )
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 180}
    )
    job = sagemaker.describe_training_job(TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert s3.get_object(Bucket=bucket, Key=f"{name}/written")["Body"].read() == b"from the job"
    stored = s3.get_object(Bucket=bucket, Key=f"{name}/out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(stored)) as tar:
        assert [item.name.removeprefix("./") for item in tar.getmembers() if item.isfile()] == ["model.txt"]


def test_errors_are_the_models_own(server: Server) -> None:
    sagemaker = server.client("sagemaker")
    with pytest.raises(sagemaker.exceptions.ResourceNotFound, match=r"Requested resource not found\."):
        sagemaker.describe_training_job(TrainingJobName="nobody")
