"""A pipeline with plain boto3: prepare, train, evaluate, and register the model only if it is good enough.

    eval "$(clary env)" && python examples/pipeline.py [MAXIMUM_MINUTES]

The same program runs against AWS (with ROLE_ARN set). It prints each step as it goes. Run it again and what has not
changed comes from the cache; run it with a bar that the model misses, such as 5, and the pipeline fails before
anything is registered.
"""

import json
import os
import sys
import time
from pathlib import Path

import boto3

DATA = Path(__file__).parent / "data" / "flights.csv"
NAME = "flights"

PREPARE = """
import pandas
flights = pandas.read_csv("/opt/ml/processing/input/flights.csv")
for column in flights.columns[5:]:
    flights[column] = flights[column].astype("category").cat.codes
flights = flights.sample(frac=1, random_state=7)
tenth = len(flights) // 10
parts = {"test": flights[:tenth], "validation": flights[tenth : 2 * tenth], "train": flights[2 * tenth :]}
for name, part in parts.items():
    part.to_csv(f"/opt/ml/processing/{name}/flights.csv", header=False, index=False)
parts["test"].iloc[:, 1:].to_csv("/opt/ml/processing/batch/flights.csv", header=False, index=False)
"""

EVALUATE = """
import json, tarfile
import pandas, xgboost
with tarfile.open("/opt/ml/processing/model/model.tar.gz") as archive:
    archive.extractall("/tmp/model")
model = xgboost.Booster(model_file="/tmp/model/xgboost-model")
test = pandas.read_csv("/opt/ml/processing/test/flights.csv", header=None)
errors = test[0].to_numpy() - model.predict(xgboost.DMatrix(test.iloc[:, 1:].to_numpy()))
with open("/opt/ml/processing/report/report.json", "w") as file:
    json.dump({"rmse_minutes": float((errors**2).mean() ** 0.5)}, file)
"""

region = boto3.session.Session().region_name or "us-east-1"
account = boto3.client("sts").get_caller_identity()["Account"]
role = os.environ.get("ROLE_ARN", f"arn:aws:iam::{account}:role/clary-execution-role")
registry = f"683313688378.dkr.ecr.{region}.amazonaws.com"
xgboost, scikit_learn = f"{registry}/sagemaker-xgboost:1.7-1", f"{registry}/sagemaker-scikit-learn:1.2-1-cpu-py3"
bucket = f"pipeline-{account}-{region}"

s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")


def upload() -> None:
    """The data and the two scripts, where the pipeline looks for them."""
    if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="data/flights.csv", Body=DATA.read_bytes())
    s3.put_object(Bucket=bucket, Key="code/prepare/run.py", Body=PREPARE.encode())
    s3.put_object(Bucket=bucket, Key="code/evaluate/run.py", Body=EVALUATE.encode())


def get(path: str) -> dict:
    """A value that is known only when the pipeline runs."""
    return {"Get": path}


def made(step: str, output: str) -> dict:
    """Where a processing step put an output."""
    return get(f"Steps.{step}.ProcessingOutputConfig.Outputs['{output}'].S3Output.S3Uri")


def step(name: str, kind: str, arguments: dict, **more: object) -> dict:
    return {"Name": name, "Type": kind, "Arguments": arguments, **more}


def processing(name: str, image: str, inputs: dict, outputs: list[str], **more: object) -> dict:
    """A step that runs code/<name>/run.py over `inputs` and keeps `outputs`, all below /opt/ml/processing."""
    sources = {**inputs, "code": f"s3://{bucket}/code/{name.lower()}/"}
    read = {"S3DataType": "S3Prefix", "S3InputMode": "File"}
    arguments = {
        "AppSpecification": {
            "ImageUri": image,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/run.py"],
        },
        "ProcessingInputs": [
            {"InputName": one, "S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{one}", **read}}
            for one, uri in sources.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": one,
                    "S3Output": {
                        "S3Uri": {
                            "Std:Join": {
                                "On": "/",
                                "Values": [f"s3://{bucket}/runs", get("Execution.PipelineExecutionId"), name, one],
                            }
                        },
                        "LocalPath": f"/opt/ml/processing/{one}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for one in outputs
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
        },
        "RoleArn": role,
    }
    return step(name, "Processing", arguments, CacheConfig={"Enabled": True, "ExpireAfter": "P1D"}, **more)


def training() -> dict:
    def channel(name: str) -> dict:
        source = {"S3DataType": "S3Prefix", "S3Uri": made("Prepare", name)}
        return {"ChannelName": name, "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}

    arguments = {
        "AlgorithmSpecification": {"TrainingImage": xgboost, "TrainingInputMode": "File"},
        "HyperParameters": {"objective": "reg:squarederror", "num_round": get("Parameters.Rounds"), "max_depth": "4"},
        "InputDataConfig": [channel("train"), channel("validation")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "RoleArn": role,
    }
    return step("Train", "Training", arguments, CacheConfig={"Enabled": True, "ExpireAfter": "P1D"})


def definition() -> dict:
    model = get("Steps.Train.ModelArtifacts.S3ModelArtifacts")
    report = [{"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report.json"}]
    error = {
        "Std:JsonGet": {"PropertyFile": get("Steps.Evaluate.PropertyFiles.Report"), "Path": "rmse_minutes"},
    }
    container = {"Image": xgboost, "ModelDataUrl": model}
    register = {
        "ModelPackageGroupName": NAME,
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
            "SupportedTransformInstanceTypes": ["ml.m5.large"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
        },
    }
    batch = {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": made("Prepare", "batch")}}}
    score = {
        "ModelName": get("Steps.Model.ModelName"),
        "TransformInput": {**batch, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {"S3OutputPath": f"s3://{bucket}/scores", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    missed = {"Std:Join": {"On": " ", "Values": ["the error is not within", get("Parameters.MaximumMinutes"), "min"]}}
    gate = {
        "Conditions": [
            {"Type": "LessThanOrEqualTo", "LeftValue": error, "RightValue": get("Parameters.MaximumMinutes")}
        ],
        "IfSteps": [
            step("Register", "RegisterModel", register),
            step("Model", "Model", {"PrimaryContainer": container, "ExecutionRoleArn": role}),
            step("Score", "Transform", score),
        ],
        "ElseSteps": [step("Reject", "Fail", {"ErrorMessage": missed})],
    }
    return {
        "Version": "2020-12-01",
        "Parameters": [
            {"Name": "Rounds", "Type": "Integer", "DefaultValue": 50},
            {"Name": "MaximumMinutes", "Type": "Float", "DefaultValue": 15.0},
        ],
        "Steps": [
            processing(
                "Prepare", scikit_learn, {"input": f"s3://{bucket}/data/"}, ["train", "validation", "test", "batch"]
            ),
            training(),
            processing(
                "Evaluate", xgboost, {"model": model, "test": made("Prepare", "test")}, ["report"], PropertyFiles=report
            ),
            step("GoodEnough", "Condition", gate),
        ],
    }


def upsert() -> None:
    """Create the pipeline, or give the one that exists its new definition."""
    asked = {"PipelineName": NAME, "PipelineDefinition": json.dumps(definition()), "RoleArn": role}
    if NAME in [
        found["PipelineName"] for found in sagemaker.list_pipelines(PipelineNamePrefix=NAME)["PipelineSummaries"]
    ]:
        sagemaker.update_pipeline(**asked)
    else:
        sagemaker.create_pipeline(**asked)


def follow(execution: str) -> str:
    """Print each step when it begins and when it ends; return how the execution ended."""
    told: dict[str, str] = {}
    while True:
        status = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)["PipelineExecutionStatus"]
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution, SortOrder="Ascending")
        for found in steps["PipelineExecutionSteps"]:
            if found["StepStatus"] not in ("Starting", told.get(found["StepName"])):
                told[found["StepName"]] = found["StepStatus"]
                print(f"   {found['StepName']:<11}{found['StepStatus']:<11}{remark(found)}", flush=True)
        if status != "Executing":
            return status
        time.sleep(0.5)


def remark(found: dict) -> str:
    """What is worth saying of a step: whence its result came, what it decided, why it failed."""
    if "CacheHitResult" in found:
        return "from the cache"
    condition = found.get("Metadata", {}).get("Condition", {})
    return found.get("FailureReason") or condition.get("Outcome", "")


def main() -> None:
    maximum = sys.argv[1:2]
    print(f"1. Uploading the data and two scripts to s3://{bucket}")
    upload()
    print(f"2. Defining pipeline {NAME}")
    upsert()
    print("3. Running it")
    execution = sagemaker.start_pipeline_execution(
        PipelineName=NAME,
        PipelineParameters=[{"Name": "MaximumMinutes", "Value": value} for value in maximum],
    )["PipelineExecutionArn"]
    status = follow(execution)
    if status != "Succeeded":
        raise SystemExit(f"\nThe execution {status.lower()}; nothing was registered.")
    [latest, *_] = sagemaker.list_model_packages(ModelPackageGroupName=NAME, SortOrder="Descending")[
        "ModelPackageSummaryList"
    ]
    print(f"\nThe execution succeeded, and version {latest['ModelPackageVersion']} of {NAME} waits for approval:")
    print("  aws sagemaker update-model-package --model-approval-status Approved \\")
    print(f"    --model-package-arn {latest['ModelPackageArn']}")


if __name__ == "__main__":
    main()
