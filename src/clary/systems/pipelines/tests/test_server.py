"""A pipeline on a real server with boto3: prepare, train, judge, and register what is good enough."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from clary.systems.pipelines.tests.conftest import condition, definition, fail, get, parameter
from clary.testing import Server, eventually

ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
BUCKET = "pipelines-room"
CODE = "/opt/ml/processing/input/code"
DATA = "/opt/ml/processing/input/data"

PREPARE = f"""
import random
rows = [line.split(",") for line in open("{DATA}/rows.csv").read().split()]
random.Random(1).shuffle(rows)
for name, part in (("train", rows[:300]), ("test", rows[300:])):
    with open(f"/opt/ml/processing/{{name}}/{{name}}.csv", "w") as file:
        file.writelines(",".join(row) + "\\n" for row in part)
"""
JUDGE = f"""
import json, tarfile
import numpy, xgboost
tarfile.open("/opt/ml/processing/input/model/model.tar.gz").extractall("/tmp/model", filter="data")
booster = xgboost.Booster(model_file="/tmp/model/xgboost-model")
rows = numpy.loadtxt("{DATA}/test.csv", delimiter=",")
errors = booster.predict(xgboost.DMatrix(rows[:, 1:])) - rows[:, 0]
report = {{"regression": {{"rmse": {{"value": float((errors ** 2).mean() ** 0.5)}}}}}}
json.dump(report, open("/opt/ml/processing/evaluation/evaluation.json", "w"))
"""
FUNCTION = """
def handler(event, context):
    return {"greeting": "welcome " + event["package"].rpartition("/")[2], "length": len(event["package"])}
"""


def place(name: str, uri: Any, path: str) -> dict[str, Any]:
    s3 = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": s3}


def processing(name: str, prefix: str, inputs: list[dict[str, Any]], *outputs: str, **members: Any) -> dict[str, Any]:
    code = place("code", f"s3://{BUCKET}/{prefix}/code/{name}.py", CODE)
    made = [
        {
            "OutputName": each,
            "S3Output": {
                "S3Uri": {"Std:Join": {"On": "/", "Values": [f"s3://{BUCKET}/{prefix}", get(
                    "Execution.PipelineExecutionId"), each]}},
                "LocalPath": f"/opt/ml/processing/{each}",
                "S3UploadMode": "EndOfJob",
            },
        }
        for each in outputs
    ]  # fmt: skip
    request = {
        "AppSpecification": {"ImageUri": XGBOOST, "ContainerEntrypoint": ["python3", f"{CODE}/{name}.py"]},
        "ProcessingInputs": [code, *inputs],
        "ProcessingOutputConfig": {"Outputs": made},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
        },
        "RoleArn": ROLE,
    }
    return {"Name": name, "Type": "Processing", "Arguments": request, **members}


def steps(prefix: str, group: str, function: str) -> list[dict[str, Any]]:
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"}}
    prepare = processing("Prepare", prefix, [place("data", get("Parameters.Data"), DATA)], "train", "test", **cached)
    artifacts = get("Steps.Train.ModelArtifacts.S3ModelArtifacts")
    train = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
            "HyperParameters": {"objective": "reg:squarederror", "num_round": get("Parameters.Rounds")},
            "InputDataConfig": [
                {
                    "ChannelName": "train",
                    "ContentType": "text/csv",
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": get("Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"),
                        }
                    },
                }
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/{prefix}/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "RoleArn": ROLE,
        },
        **cached,
    }
    tested = get("Steps.Prepare.ProcessingOutputConfig.Outputs['test'].S3Output.S3Uri")
    files = [{"PropertyFileName": "Report", "OutputName": "evaluation", "FilePath": "evaluation.json"}]
    inputs = [place("model", artifacts, "/opt/ml/processing/input/model"), place("test", tested, DATA)]
    judge = processing("Judge", prefix, inputs, "evaluation", PropertyFiles=files, **cached)
    rmse = {"Std:JsonGet": {"PropertyFile": get("Steps.Judge.PropertyFiles.Report"), "Path": "regression.rmse.value"}}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": group,
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [{"Image": XGBOOST, "ModelDataUrl": artifacts}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        },
    }
    tell = {
        "Name": "Tell",
        "Type": "Lambda",
        "Arguments": {"package": get("Steps.Register.ModelPackageArn")},
        "FunctionArn": function,
        "OutputParameters": [{"OutputName": "greeting", "OutputType": "String"}],
    }
    too_bad = fail("TooBad", {"Std:Join": {"On": " ", "Values": ["the error is above", get("Parameters.Limit")]}})
    gate = condition("Gate", get("Parameters.Limit"), rmse, then=[register, tell], otherwise=[too_bad])
    return [prepare, train, judge, gate]


def function_of(server: Server, name: str) -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", FUNCTION)
    made = server.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="index.handler",
        Role=ROLE,
        Code={"ZipFile": packed.getvalue()},
        Timeout=60,
    )
    return str(made["FunctionArn"])


def ended(sagemaker: Any, arn: str) -> dict[str, Any]:
    def look() -> Any:
        found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return found if found["PipelineExecutionStatus"] not in ("Executing", "Stopping") else None

    found: dict[str, Any] = eventually(look, seconds=300)
    return found


@pytest.mark.slow
def test_what_is_good_enough_is_registered_and_what_is_not_is_not(server: Server, unique: Callable[[str], str]) -> None:
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    name = unique("quality")
    s3.create_bucket(Bucket=BUCKET)
    rows = "\n".join(f"{3 * x + y},{x},{y}" for x in range(20) for y in range(20))
    s3.put_object(Bucket=BUCKET, Key=f"{name}/in/rows.csv", Body=rows.encode())
    for step, text in (("Prepare", PREPARE), ("Judge", JUDGE)):
        s3.put_object(Bucket=BUCKET, Key=f"{name}/code/{step}.py", Body=text.encode())
    parameters = [
        parameter("Data", default=f"s3://{BUCKET}/{name}/in"),
        parameter("Rounds", "Integer", 20),
        parameter("Limit", "Float", 10.0),
    ]
    document = definition(*steps(name, name, function_of(server, name)), parameters=parameters)
    sagemaker.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=document)
    good = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    assert ended(sagemaker, good)["PipelineExecutionStatus"] == "Succeeded", shown(sagemaker, good)
    ran = shown(sagemaker, good)
    assert list(ran) == ["Prepare", "Train", "Judge", "Gate", "Register", "Tell"]
    version = {"Name": "greeting", "Value": "welcome 1"}
    assert ran["Tell"]["Metadata"]["Lambda"]["OutputParameters"] == [version]
    [package] = sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]
    assert package["ModelPackageArn"] == ran["Register"]["Metadata"]["RegisterModel"]["Arn"]
    bad = sagemaker.start_pipeline_execution(
        PipelineName=name, PipelineParameters=[{"Name": "Limit", "Value": "0.0001"}]
    )["PipelineExecutionArn"]
    assert ended(sagemaker, bad)["PipelineExecutionStatus"] == "Failed"
    again = shown(sagemaker, bad)
    assert list(again) == ["Prepare", "Train", "Judge", "Gate", "TooBad"]
    hits = [step.get("CacheHitResult", {}).get("SourcePipelineExecutionArn") for step in again.values()]
    assert hits == [good, good, good, None, None], "what is unchanged is not run again"
    assert again["TooBad"]["FailureReason"] == "the error is above 0.0001"
    assert len(sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]) == 1
    sagemaker.delete_pipeline(PipelineName=name)


def shown(sagemaker: Any, arn: str) -> dict[str, Any]:
    listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
    return {each["StepName"]: each for each in listed["PipelineExecutionSteps"]}


def test_the_wire_carries_errors_as_the_model_has_them(server: Server, unique: Callable[[str], str]) -> None:
    sagemaker = server.client("sagemaker")
    with pytest.raises(sagemaker.exceptions.ResourceNotFound, match="does not exist"):
        sagemaker.describe_pipeline(PipelineName=unique("nobody"))
    with pytest.raises(sagemaker.exceptions.ClientError, match="Unable to parse pipeline definition") as refused:
        sagemaker.create_pipeline(
            PipelineName=unique("bad"), RoleArn=ROLE, PipelineDefinition=json.dumps({"Steps": [{"Name": "X"}]})
        )
    assert refused.value.response["Error"]["Code"] == "ValidationException"
