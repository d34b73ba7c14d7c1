"""A user's policies hold for whatever a request reaches: sources of copies, versions, each key of a batch."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing import Server

Unique = Callable[[str], str]


@pytest.fixture
def limited(server: Server, unique: Unique, bucket: str) -> Any:
    """A client that may do anything in the bucket but what touches `secret/`, and only with current versions."""
    iam, name = server.client("iam"), unique("user")
    iam.create_user(UserName=name)
    statements = [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": f"arn:aws:s3:::{bucket}/*",
        },
        {"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/secret/*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return server.client("s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])


def refused(call: Callable[[], Any]) -> bool:
    with pytest.raises(ClientError) as raised:
        call()
    error: Any = raised.value.response["Error"]
    return error["Code"] in {"AccessDenied", "403"}


def test_what_may_not_be_read_may_not_be_copied(s3: Any, bucket: str, limited: Any) -> None:
    s3.put_object(Bucket=bucket, Key="secret/plan", Body=b"plan")
    source = {"Bucket": bucket, "Key": "secret/plan"}
    assert refused(lambda: limited.copy_object(Bucket=bucket, Key="mine", CopySource=source))
    upload = limited.create_multipart_upload(Bucket=bucket, Key="mine")["UploadId"]
    part = {"Bucket": bucket, "Key": "mine", "UploadId": upload, "PartNumber": 1}
    assert refused(lambda: limited.upload_part_copy(CopySource=source, **part))
    s3.put_object(Bucket=bucket, Key="open", Body=b"open")
    limited.copy_object(Bucket=bucket, Key="mine", CopySource={"Bucket": bucket, "Key": "open"})
    assert limited.get_object(Bucket=bucket, Key="mine")["Body"].read() == b"open"


def test_each_key_of_a_batch_is_asked_about(s3: Any, bucket: str, limited: Any) -> None:
    for key in ("secret/plan", "open"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = limited.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "secret/plan"}, {"Key": "open"}]})
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["open"]
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [("secret/plan", "AccessDenied")]
    assert s3.head_object(Bucket=bucket, Key="secret/plan")["ContentLength"] == 1


def test_versions_are_asked_about_as_versions(s3: Any, bucket: str, limited: Any) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="open", Body=b"x")["VersionId"]
    named = {"Bucket": bucket, "Key": "open", "VersionId": version}
    for operation in ("get_object", "head_object", "delete_object"):
        assert refused(lambda operation=operation: getattr(limited, operation)(**named)), operation
    copied = {"Bucket": bucket, "Key": "open", "VersionId": version}
    assert refused(lambda: limited.copy_object(Bucket=bucket, Key="mine", CopySource=copied))
    limited.delete_object(Bucket=bucket, Key="open")
    assert s3.get_object(**named)["Body"].read() == b"x"
