"""Who may do what: policies of users on streams by every way of naming them, and of streams for other accounts."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.auth.policies import Permissions, compile_document
from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform

ACCOUNT, OTHER, REGION = "111122223333", "444455556666", "eu-west-1"
ARN = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream"
SHARD = "shardId-000000000000"
Call = Callable[..., dict[str, Any]]


def user(account: str, *resources: str) -> Principal:
    statement = {"Effect": "Allow", "Action": "kinesis:*", "Resource": list(resources)}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    return Principal("user", account, name="ada", permissions=Permissions((compile_document(document, "only"),)))


@pytest.fixture
def call_as(platform: Platform) -> Callable[..., dict[str, Any]]:
    def call(principal: Principal | None, operation: str, **params: Any) -> dict[str, Any]:
        account = principal.account if principal else ACCOUNT
        ctx = platform.acting_as_root(account, REGION, "kinesis", operation)
        return platform.registry.call(replace(ctx, principal=principal or ctx.principal), params)

    return call


def test_no_way_to_name_a_stream_leads_past_a_policy(call_as: Call) -> None:
    for name in ("open", "secret"):
        call_as(None, "CreateStream", StreamName=name, ShardCount=2)
    limited = user(ACCOUNT, f"{ARN}/open", f"{ARN}/open/consumer/*")
    call_as(limited, "PutRecord", StreamName="open", PartitionKey="k", Data=b"")
    call_as(limited, "PutRecord", StreamARN=f"{ARN}/open", PartitionKey="k", Data=b"")
    asked = {"ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    mine = call_as(limited, "GetShardIterator", StreamName="open", **asked)["ShardIterator"]
    assert "Records" in call_as(limited, "GetRecords", ShardIterator=mine)
    theirs = call_as(None, "GetShardIterator", StreamName="secret", **asked)["ShardIterator"]
    token = call_as(None, "ListShards", StreamName="secret", MaxResults=1)["NextToken"]
    consumer = call_as(None, "RegisterStreamConsumer", StreamARN=f"{ARN}/secret", ConsumerName="c")["Consumer"]
    for operation, params in (
        ("PutRecord", {"StreamName": "secret", "PartitionKey": "k", "Data": b""}),
        ("PutRecord", {"StreamARN": f"{ARN}/secret", "PartitionKey": "k", "Data": b""}),
        ("PutRecord", {"StreamARN": f"{ARN}/open", "StreamName": "secret", "PartitionKey": "k", "Data": b""}),
        ("GetShardIterator", {"StreamName": "secret", **asked}),
        ("GetRecords", {"ShardIterator": theirs}),
        ("GetRecords", {"ShardIterator": theirs, "StreamARN": f"{ARN}/open"}),
        ("ListShards", {"NextToken": token}),
        ("ListShards", {"NextToken": token, "StreamARN": f"{ARN}/open"}),
        ("ListShards", {"NextToken": token, "StreamName": "open"}),
        ("DescribeStreamConsumer", {"StreamARN": f"{ARN}/secret", "ConsumerName": "c"}),
        ("DescribeStreamConsumer", {"ConsumerARN": consumer["ConsumerARN"]}),
        ("TagResource", {"ResourceARN": f"{ARN}/secret", "Tags": {"a": "b"}}),
        ("ListStreams", {}),
    ):
        with pytest.raises(AwsError, match=r"not authorized|match|another"):
            call_as(limited, operation, **params)


def test_policies_of_streams_share_them_with_other_accounts(call_as: Call) -> None:
    call_as(None, "CreateStream", StreamName="shared", ShardCount=1)
    arn, stranger = f"{ARN}/shared", user(OTHER, "*")

    def put() -> None:
        call_as(stranger, "PutRecord", StreamARN=arn, PartitionKey="k", Data=b"theirs")

    with pytest.raises(AwsError, match="AccessDenied"):
        put()
    with pytest.raises(AwsError, match="ResourceNotFound"):
        call_as(None, "GetResourcePolicy", ResourceARN=arn)
    with pytest.raises(AwsError, match="InvalidArgument"):
        call_as(None, "PutResourcePolicy", ResourceARN=arn, Policy="{")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER},
        "Action": ["kinesis:PutRecord", "kinesis:GetShardIterator", "kinesis:GetRecords", "kinesis:DeleteStream"],
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    call_as(None, "PutResourcePolicy", ResourceARN=arn, Policy=policy)
    assert call_as(None, "GetResourcePolicy", ResourceARN=arn) == {"Policy": policy}
    put()
    position = {"ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = call_as(stranger, "GetShardIterator", StreamARN=arn, **position)["ShardIterator"]
    got = call_as(stranger, "GetRecords", ShardIterator=iterator)
    assert [record["Data"] for record in got["Records"]] == [b"theirs"]
    for operation, params in (("PutRecords", {"Records": [{"PartitionKey": "k", "Data": b""}]}), ("DeleteStream", {})):
        with pytest.raises(AwsError, match="AccessDenied"):
            call_as(stranger, operation, StreamARN=arn, **params)
    call_as(None, "DeleteResourcePolicy", ResourceARN=arn)
    with pytest.raises(AwsError, match="AccessDenied"):
        put()
