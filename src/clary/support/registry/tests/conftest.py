"""A registry over a bare kernel, with model data in S3."""

from collections.abc import Mapping
from typing import Any

import pytest

from clary.kernel.rooms import Platform

ACCOUNT, REGION = "000000000000", "us-east-1"
BUCKET = "registry-models"
DATA = f"s3://{BUCKET}/model.tar.gz"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
SPECIFICATION = {"Containers": [{"Image": IMAGE, "ModelDataUrl": DATA}], "SupportedContentTypes": ["text/csv"]}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any-role"


def arn(name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{name}"


class Packages:
    """What a client does with the registry."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.platform.call(ACCOUNT, REGION, "sagemaker", operation, **params)

    def group(self, name: str, **members: Any) -> None:
        self.call("CreateModelPackageGroup", ModelPackageGroupName=name, **members)

    def version(self, group: str, specification: Mapping[str, Any] = SPECIFICATION, **members: Any) -> str:
        created = self.call(
            "CreateModelPackage", ModelPackageGroupName=group, InferenceSpecification=specification, **members
        )
        return str(created["ModelPackageArn"])

    def describe(self, name: str, **members: Any) -> dict[str, Any]:
        described = self.call("DescribeModelPackage", ModelPackageName=name, **members)
        return {name: value for name, value in described.items() if value is not None}

    def update(self, name: str, **members: Any) -> None:
        self.call("UpdateModelPackage", ModelPackageArn=arn(name), **members)

    def listed(self, **members: Any) -> list[str]:
        found: list[str] = []
        token = None
        while True:
            paged = {"NextToken": token} if token else {}
            answer = self.call("ListModelPackages", **members, **paged)
            found += [one["ModelPackageArn"].partition("/")[2] for one in answer["ModelPackageSummaryList"]]
            token = answer.get("NextToken")
            if token is None:
                return found


@pytest.fixture
def packages(platform: Platform) -> Packages:
    platform.objects.buckets.create(BUCKET, ACCOUNT, REGION)
    platform.objects.put_bytes(BUCKET, "model.tar.gz", b"a model")
    return Packages(platform)
