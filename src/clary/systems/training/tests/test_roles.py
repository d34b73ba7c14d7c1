"""What a job reads from S3 and stores there is what its role may, whoever created it."""

import json

import pytest

from clary.kernel.rooms.tests.worlds import ACCOUNT
from clary.systems.training.tests.conftest import BUCKET, World, channel

TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
S3 = f"arn:aws:s3:::{BUCKET}"


def document(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def role(world: World, name: str, *places: str) -> str:
    def call(operation: str, **params: str) -> None:
        world.platform.call(ACCOUNT, "us-east-1", "iam", operation, RoleName=name, **params)

    call("CreateRole", AssumeRolePolicyDocument=document(TRUST))
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": S3}
    objects = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": list(places)}
    call("PutRolePolicy", PolicyName="s3", PolicyDocument=document(listing, objects))
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@pytest.mark.parametrize(
    ("name", "places", "denied"),
    [
        ("all-it-needs", ("scripts/*", "open/*", "out/*"), ""),
        ("no-input", ("scripts/*", "out/*"), "s3:GetObject"),
        ("no-output", ("scripts/*", "open/*"), "s3:PutObject"),
    ],
)
def test_a_job_reaches_what_its_role_does(world: World, name: str, places: tuple[str, ...], denied: str) -> None:
    uri = world.put("open/data", b"data")
    arn = role(world, name, *(f"{S3}/{place}" for place in places))
    world.create(
        name,
        "cp /opt/ml/input/data/train/data /opt/ml/model/copy",
        RoleArn=arn,
        InputDataConfig=[channel("train", uri)],
    )
    job = world.ended(name)
    assert job["TrainingJobStatus"] == ("Failed" if denied else "Completed"), job.get("FailureReason")
    assert denied in job.get("FailureReason", "")
    if denied:
        assert job["FailureReason"].startswith("ClientError: ")
        assert "AccessDenied" in job["FailureReason"]
