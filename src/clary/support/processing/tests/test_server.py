"""Processing through a real server with boto3, as a user sees it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from clary.support.processing.tests.conftest import CODE, IMAGE, request, s3_input, s3_outputs
from clary.testing import Server, eventually

SCIKIT = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
SCALE = """
import os
import boto3
import pandas
from sklearn.preprocessing import StandardScaler

frame = pandas.read_csv("/opt/ml/processing/input/data/rows.csv", header=None)
scaled = StandardScaler().fit_transform(frame)
pandas.DataFrame(scaled).to_csv("/opt/ml/processing/output/scaled.csv", header=False, index=False)
boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=os.environ["KEY"], Body=b"from the job")
print("scaled", len(frame), "rows")
"""


@pytest.mark.slow
def test_a_scikit_learn_script_prepares_data(server: Server, unique: Callable[[str], str]) -> None:
    s3, sagemaker, logs = server.client("s3"), server.client("sagemaker"), server.client("logs")
    name, bucket = unique("scale"), "processing-room"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=f"{name}/in/rows.csv", Body=b"1,10\n2,20\n3,30\n")
    s3.put_object(Bucket=bucket, Key=f"{name}/code/scale.py", Body=SCALE.encode())
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn="arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole",
        AppSpecification={"ImageUri": SCIKIT, "ContainerEntrypoint": ["python3", f"{CODE}/scale.py"]},
        Environment={"BUCKET": bucket, "KEY": f"{name}/written"},
        ProcessingInputs=[
            s3_input("data", f"s3://{bucket}/{name}/in", "/opt/ml/processing/input/data"),
            s3_input("code", f"s3://{bucket}/{name}/code/scale.py", CODE),
        ],
        ProcessingOutputConfig=s3_outputs(f"s3://{bucket}/{name}/out", "/opt/ml/processing/output"),
        ProcessingResources={"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}},
        Tags=[{"Key": "team", "Value": "rows"}],
    )
    sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 180}
    )
    job = sagemaker.describe_processing_job(ProcessingJobName=name)
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    scaled = s3.get_object(Bucket=bucket, Key=f"{name}/out/scaled.csv")["Body"].read().decode().splitlines()
    assert [[round(float(value), 3) for value in row.split(",")] for row in scaled] == [
        [-1.225, -1.225], [0.0, 0.0], [1.225, 1.225],
    ]  # fmt: skip
    assert s3.get_object(Bucket=bucket, Key=f"{name}/written")["Body"].read() == b"from the job"
    group = "/aws/sagemaker/ProcessingJobs"
    [stream] = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    assert stream["logStreamName"].startswith(f"{name}/algo-1-")
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
    assert [event["message"] for event in events["events"]] == ["scaled 3 rows"]
    tags = sagemaker.list_tags(ResourceArn=job["ProcessingJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "rows"}]
    sagemaker.delete_processing_job(ProcessingJobName=name)
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        sagemaker.describe_processing_job(ProcessingJobName=name)


def test_the_result_of_a_query_is_an_input(server: Server, unique: Callable[[str], str]) -> None:
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    bucket = unique("queried")
    s3.create_bucket(Bucket=bucket)
    rows = "/opt/ml/processing/input/rows"

    def run(query: str) -> tuple[str, dict[str, Any]]:
        name = unique("queried")
        definition = {
            "AthenaDatasetDefinition": {
                "Catalog": "AwsDataCatalog",
                "Database": "default",
                "QueryString": query,
                "OutputS3Uri": f"s3://{bucket}/queries",
                "OutputFormat": "JSON",
                "OutputCompression": "GZIP",
            },
            "LocalPath": rows,
        }
        sagemaker.create_processing_job(
            ProcessingInputs=[{"InputName": "rows", "DatasetDefinition": definition}],
            ProcessingOutputConfig=s3_outputs(f"s3://{bucket}/{name}", "/opt/ml/processing/output"),
            **request(name)
            | {
                "AppSpecification": {
                    "ImageUri": IMAGE,
                    "ContainerEntrypoint": ["bash", "-ec", f"zcat {rows}/* > /opt/ml/processing/output/all"],
                }
            },
        )

        def ended() -> dict[str, Any] | None:
            job: dict[str, Any] = sagemaker.describe_processing_job(ProcessingJobName=name)
            return None if job["ProcessingJobStatus"] == "InProgress" else job

        return name, eventually(ended)

    name, job = run("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t (n, s) ORDER BY n;")
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    found = s3.get_object(Bucket=bucket, Key=f"{name}/all")["Body"].read().splitlines()
    assert [json.loads(line) for line in found] == [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}]
    _, job = run("SELECT nothing FROM nowhere")
    assert job["ProcessingJobStatus"] == "Failed"
    assert "the query of input 'rows' did not succeed" in job["FailureReason"]
    assert "nowhere" in job["FailureReason"]
