"""Buckets, their listings and their configuration through a real client."""

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from clary.testing import Server

Unique = Callable[[str], str]


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_buckets_come_and_go(server: Server, s3: Any, unique: Unique) -> None:
    name = unique("bucket")
    s3.create_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    s3.put_object(Bucket=name, Key="a", Body=b"")
    assert refusal(s3.delete_bucket, Bucket=name) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=name, Key="a")
    s3.delete_bucket(Bucket=name)
    assert refusal(s3.head_bucket, Bucket=name) == ("404", 404)
    assert refusal(s3.delete_bucket, Bucket=name) == ("NoSuchBucket", 404)
    assert refusal(s3.create_bucket, Bucket="Upper_Case") == ("InvalidBucketName", 400)


def test_buckets_of_other_regions_say_where_they_are(server: Server, unique: Unique) -> None:
    s3, name = server.client("s3", region="eu-west-1"), unique("bucket")
    assert refusal(s3.create_bucket, Bucket=name) == ("IllegalLocationConstraintException", 400)
    here = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=here)
    assert refusal(s3.create_bucket, Bucket=name, CreateBucketConfiguration=here) == ("BucketAlreadyOwnedByYou", 409)
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
    found = s3.list_buckets(Prefix=name, BucketRegion="eu-west-1", MaxBuckets=1)
    assert [bucket["BucketRegion"] for bucket in found["Buckets"]] == ["eu-west-1"]


def test_listings_in_byte_order_page_by_page(s3: Any, bucket: str) -> None:
    keys = ["a", "a/1", "a/2", "a/3/x", "b c+d", "z", "é"]
    for key in reversed(keys):
        s3.put_object(Bucket=bucket, Key=key, Body=b"12")
    for name in ("list_objects_v2", "list_objects"):
        for size in (1, 2, 1000):
            pages = list(s3.get_paginator(name).paginate(Bucket=bucket, PaginationConfig={"PageSize": size}))
            assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys
            pages = list(
                s3.get_paginator(name).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size})
            )
            assert [entry["Key"] for page in pages for entry in page.get("Contents", [])] == ["a", "b c+d", "z", "é"]
            assert [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])] == ["a/"]
    page = s3.list_objects_v2(Bucket=bucket, Prefix="a/", Delimiter="/", StartAfter="a/1", FetchOwner=True)
    assert [entry["Key"] for entry in page["Contents"]] == ["a/2"]
    assert page["Contents"][0]["Owner"]["DisplayName"] == "000000000000"
    assert page["CommonPrefixes"] == [{"Prefix": "a/3/"}]
    assert (page["KeyCount"], page["IsTruncated"], page["StartAfter"]) == (2, False, "a/1")
    none = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (none["KeyCount"], none["IsTruncated"]) == (0, False)
    assert refusal(s3.list_objects_v2, Bucket=bucket, ContinuationToken="wrong") == ("InvalidArgument", 400)
    assert refusal(s3.list_objects_v2, Bucket=bucket, MaxKeys=-1) == ("InvalidArgument", 400)
    assert refusal(s3.list_objects_v2, Bucket=bucket, EncodingType="rot13") == ("InvalidArgument", 400)


LIFECYCLE_RULE = {
    "ID": "r",
    "Status": "Enabled",
    "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "k", "Value": "v"}]}},
    "Expiration": {"Date": datetime(2030, 1, 1, tzinfo=UTC)},
    "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
    "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}
QUEUE = {
    "Id": "q",
    "QueueArn": "arn:aws:sqs:us-east-1:000000000000:q",
    "Events": ["s3:ObjectCreated:*"],
    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}},
}
CORS_RULE = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example.com"], "MaxAgeSeconds": 60}
ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]}
DOCUMENTS = {
    "cors": ({"CORSConfiguration": {"CORSRules": [CORS_RULE]}}, "NoSuchCORSConfiguration", "bucket_cors"),
    "lifecycle": (
        {"LifecycleConfiguration": {"Rules": [LIFECYCLE_RULE]}},
        "NoSuchLifecycleConfiguration",
        "bucket_lifecycle",
    ),
    "tagging": ({"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}, "NoSuchTagSet", "bucket_tagging"),
    "policy": (
        {"Policy": json.dumps({"Version": "2012-10-17", "Statement": []})},
        "NoSuchBucketPolicy",
        "bucket_policy",
    ),
    "public_access": (
        {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "IgnorePublicAcls": False}},
        "NoSuchPublicAccessBlockConfiguration",
        "public_access_block",
    ),
    "ownership": (
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}},
        "OwnershipControlsNotFoundError",
        "bucket_ownership_controls",
    ),
    "encryption": (
        {"ServerSideEncryptionConfiguration": ENCRYPTION},
        "ServerSideEncryptionConfigurationNotFoundError",
        "bucket_encryption",
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_configuration_is_told_again_as_it_came(s3: Any, bucket: str, name: str) -> None:
    document, absent, suffix = DOCUMENTS[name]
    written = "bucket_lifecycle_configuration" if name == "lifecycle" else suffix
    put, get = getattr(s3, f"put_{written}"), getattr(s3, f"get_{written}")
    put(Bucket=bucket, **document)
    told = get(Bucket=bucket)
    if len(document) == 1 and name in {"cors", "lifecycle", "tagging"}:
        document = next(iter(document.values()))
    for member, value in document.items():
        assert told[member] == value
    getattr(s3, f"delete_{suffix}")(Bucket=bucket)
    assert refusal(get, Bucket=bucket) == (absent, 404)


def test_a_new_bucket_is_closed_to_the_public(s3: Any, bucket: str) -> None:
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    assert refusal(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == ("AccessControlListNotSupported", 400)


def test_notification_rules_are_checked_and_kept(s3: Any, bucket: str) -> None:
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    put = s3.put_bucket_notification_configuration
    put(Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [QUEUE], "EventBridgeConfiguration": {}})
    told = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert told["QueueConfigurations"] == [QUEUE]
    assert told["EventBridgeConfiguration"] == {}
    for wrong in ({"Events": ["s3:Nothing"]}, {"QueueArn": "queue"}):
        rules = {"QueueConfigurations": [QUEUE | wrong]}
        assert refusal(put, Bucket=bucket, NotificationConfiguration=rules) == ("InvalidArgument", 400)
    put(Bucket=bucket, NotificationConfiguration={})
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_documents_that_make_no_sense_are_refused(s3: Any, bucket: str) -> None:
    rule = LIFECYCLE_RULE
    for broken, code in (
        ({"Status": "On"}, "MalformedXML"),
        ({"Expiration": {"Days": 0}}, "InvalidArgument"),
        ({"Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}, "MalformedXML"),
        ({"Expiration": {"Date": datetime(2030, 1, 1, 5, tzinfo=UTC)}}, "InvalidArgument"),
        ({"ID": "x" * 256}, "InvalidArgument"),
        ({"Prefix": "both"}, "MalformedXML"),
        ({"Transitions": [{"StorageClass": "GLACIER"}]}, "MalformedXML"),
        ({"Transitions": [{"Days": 1, "StorageClass": "WARM"}]}, "InvalidStorageClass"),
    ):
        rules = {"Rules": [rule | broken]}
        put = s3.put_bucket_lifecycle_configuration
        assert refusal(put, Bucket=bucket, LifecycleConfiguration=rules) == (code, 400), broken
    twice = {"Rules": [rule, rule]}
    assert (
        refusal(s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration=twice)[0]
        == "InvalidArgument"
    )
    cors = {"CORSRules": [CORS_RULE | {"AllowedMethods": ["PATCH"]}]}
    assert refusal(s3.put_bucket_cors, Bucket=bucket, CORSConfiguration=cors) == ("InvalidRequest", 400)
    assert refusal(s3.put_bucket_policy, Bucket=bucket, Policy="no json") == ("MalformedPolicy", 400)
    states = {"Status": "Off"}
    assert (
        refusal(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=states)[0]
        == "IllegalVersioningConfigurationException"
    )


def test_what_is_never_on_is_told_as_off_and_cannot_be_switched_on(s3: Any, bucket: str) -> None:
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert refusal(s3.get_bucket_website, Bucket=bucket) == ("NoSuchWebsiteConfiguration", 404)
    assert refusal(s3.get_bucket_replication, Bucket=bucket) == ("ReplicationConfigurationNotFoundError", 404)
    assert refusal(s3.get_object_lock_configuration, Bucket=bucket) == ("ObjectLockConfigurationNotFoundError", 404)
    for call, document in (
        (s3.put_bucket_request_payment, {"RequestPaymentConfiguration": {"Payer": "Requester"}}),
        (s3.put_bucket_accelerate_configuration, {"AccelerateConfiguration": {"Status": "Enabled"}}),
        (s3.put_bucket_website, {"WebsiteConfiguration": {"IndexDocument": {"Suffix": "index.html"}}}),
        (s3.put_object_lock_configuration, {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}),
    ):
        assert refusal(call, Bucket=bucket, **document) == ("NotImplemented", 501)


def test_browsers_of_allowed_origins_are_let_in(server: Server, s3: Any, bucket: str) -> None:
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [CORS_RULE]})

    def preflight(origin: str) -> int:
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        asked = urllib.request.Request(f"{server.endpoint}/{bucket}/a", method="OPTIONS", headers=headers)
        try:
            with urllib.request.urlopen(asked) as answer:
                return int(answer.status)
        except HTTPError as error:
            error.close()
            return error.code

    assert preflight("https://www.example.com") == 200
    assert preflight("https://elsewhere.org") == 403
