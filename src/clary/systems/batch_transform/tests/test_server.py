"""A transform through a real server with boto3, as a user sees it."""

import io
import tarfile
from collections.abc import Callable

import pytest

from clary.kernel.rooms.tests.worlds import ROLE
from clary.systems.batch_transform.tests.conftest import DOUBLING, PYTHON_IMAGE
from clary.testing import Server


@pytest.mark.slow
def test_the_waiter_waits_for_a_job_that_joins(server: Server, unique: Callable[[str], str]) -> None:
    s3, sagemaker, name = server.client("s3"), server.client("sagemaker"), unique("transform")
    s3.create_bucket(Bucket=name)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("code/inference.py")
        entry.size = len(DOUBLING)
        archive.addfile(entry, io.BytesIO(DOUBLING.encode()))
    s3.put_object(Bucket=name, Key="model.tar.gz", Body=packed.getvalue())
    s3.put_object(Bucket=name, Key="in/a.csv", Body=b"x,1\ny,2\n")
    container = {
        "Image": PYTHON_IMAGE,
        "ModelDataUrl": f"s3://{name}/model.tar.gz",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=name,
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{name}/in"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": f"s3://{name}/out/", "Accept": "text/csv", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        DataProcessing={"InputFilter": "$[1]", "JoinSource": "Input"},
        Tags=[{"Key": "team", "Value": "trees"}],
    )
    waiting = {"Delay": 1, "MaxAttempts": 120}
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName=name, WaiterConfig=waiting)
    job = sagemaker.describe_transform_job(TransformJobName=name)
    assert job["TransformJobStatus"] == "Completed"
    assert s3.get_object(Bucket=name, Key="out/a.csv.out")["Body"].read() == b"x,1,2.0\ny,2,4.0\n"
    assert sagemaker.list_tags(ResourceArn=job["TransformJobArn"])["Tags"] == [{"Key": "team", "Value": "trees"}]
    [summary] = sagemaker.list_transform_jobs(NameContains=name)["TransformJobSummaries"]
    assert (summary["TransformJobStatus"], summary["TransformEndTime"]) == ("Completed", job["TransformEndTime"])
    streams = server.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TransformJobs", logStreamNamePrefix=f"{name}/"
    )
    assert len(streams["logStreams"]) == 1
