"""Streams: their life, their lists, their settings, and what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Streams = Callable[..., str]
Unique = Callable[[str], str]
ON_DEMAND = {"StreamMode": "ON_DEMAND"}


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


def summary(kinesis: Any, name: str) -> dict[str, Any]:
    return dict(kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"])


def test_life_of_a_stream(kinesis: Any, unique: Unique) -> None:
    name = unique("life")
    kinesis.create_stream(StreamName=name, ShardCount=3, Tags={"team": "a"})
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    described = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    assert described["StreamARN"] == f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"
    assert (described["StreamStatus"], described["RetentionPeriodHours"]) == ("ACTIVE", 24)
    assert (described["EncryptionType"], described["HasMoreShards"]) == ("NONE", False)
    ranges = [shard["HashKeyRange"] for shard in described["Shards"]]
    assert ranges[0] == {"StartingHashKey": "0", "EndingHashKey": "113427455640312821154458202477256070484"}
    assert ranges[-1]["EndingHashKey"] == str(2**128 - 1)
    assert kinesis.list_tags_for_stream(StreamName=name)["Tags"] == [{"Key": "team", "Value": "a"}]
    with refused("ResourceInUseException"):
        kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"old")
    kinesis.delete_stream(StreamName=name)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=name)
    with refused("ResourceNotFoundException"):
        kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"lost")
    with refused("ResourceNotFoundException"):
        kinesis.delete_stream(StreamName=name)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    iterator = kinesis.get_shard_iterator(
        StreamName=name, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    assert kinesis.get_records(ShardIterator=iterator)["Records"] == []
    assert kinesis.list_tags_for_stream(StreamName=name)["Tags"] == []
    kinesis.delete_stream(StreamName=name)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    with refused("ResourceNotFoundException"):
        kinesis.get_records(ShardIterator=iterator)
    kinesis.delete_stream(StreamName=name)


def test_lists(server: Any, unique: Unique) -> None:
    kinesis = server.client("kinesis", region="eu-west-3")
    names = sorted(unique("list") for _ in range(5))
    for name in names:
        kinesis.create_stream(StreamName=name, ShardCount=1)
    pages = list(kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2}))
    assert [name for page in pages for name in page["StreamNames"]] == names
    assert [each["StreamName"] for page in pages for each in page["StreamSummaries"]] == names
    assert [page["HasMoreStreams"] for page in pages] == [True, True, False]
    assert kinesis.list_streams(ExclusiveStartStreamName=names[3])["StreamNames"] == names[4:]
    limits = kinesis.describe_limits()
    assert (limits["OpenShardCount"], limits["OnDemandStreamCount"]) == (5, 0)
    for name in names:
        kinesis.delete_stream(StreamName=name)


def test_many_shards_are_described_in_pages(kinesis: Any, stream: Streams) -> None:
    name = stream(230)
    first = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    assert (len(first["Shards"]), first["HasMoreShards"]) == (100, True)
    whole = kinesis.get_paginator("describe_stream").paginate(StreamName=name).build_full_result()
    assert len(whole["StreamDescription"]["Shards"]) == 230
    page = kinesis.list_shards(StreamName=name, MaxResults=200)
    rest = kinesis.list_shards(NextToken=page["NextToken"], MaxResults=200)
    assert len({shard["ShardId"] for shard in page["Shards"] + rest["Shards"]}) == 230
    assert "NextToken" not in rest
    with refused("InvalidArgumentException"):
        kinesis.list_shards(NextToken=page["NextToken"], ShardFilter={"Type": "AT_LATEST"})
    with refused("Exception"):
        kinesis.list_shards(NextToken=page["NextToken"][:-4] + "AAAA")


def test_names_and_arns_must_agree(kinesis: Any, stream: Streams) -> None:
    name = stream()
    arn = summary(kinesis, name)["StreamARN"]
    assert kinesis.describe_stream(StreamName=name, StreamARN=arn)["StreamDescription"]["StreamName"] == name
    with refused("InvalidArgumentException"):
        kinesis.describe_stream(StreamName=f"{name}x", StreamARN=arn)
    with refused("InvalidArgumentException"):
        kinesis.describe_stream(StreamARN=arn.replace("us-east-1", "eu-west-1"))
    with refused("InvalidArgumentException"):
        kinesis.describe_stream()


def test_retention(kinesis: Any, stream: Streams) -> None:
    name = stream()
    kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=8760)
    assert summary(kinesis, name)["RetentionPeriodHours"] == 8760
    for change, hours in (
        (kinesis.increase_stream_retention_period, 8761),
        (kinesis.increase_stream_retention_period, 48),
        (kinesis.decrease_stream_retention_period, 23),
    ):
        with refused("InvalidArgumentException"):
            change(StreamName=name, RetentionPeriodHours=hours)
    kinesis.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=24)
    assert summary(kinesis, name)["RetentionPeriodHours"] == 24
    with refused("InvalidArgumentException"):
        kinesis.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=25)


def test_encryption_is_shown(kinesis: Any, stream: Streams) -> None:
    name = stream()
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"")
    kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    described = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    assert (described["EncryptionType"], described["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"")["EncryptionType"] == "KMS"
    kinesis.stop_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    assert summary(kinesis, name)["EncryptionType"] == "NONE"
    with refused("InvalidArgumentException"):
        kinesis.start_stream_encryption(StreamName=name, EncryptionType="NONE", KeyId="alias/aws/kinesis")


def test_modes_and_warm_throughput(kinesis: Any, stream: Streams, unique: Unique) -> None:
    for wrong in (
        {},
        {"ShardCount": 2, "StreamModeDetails": ON_DEMAND},
        {"ShardCount": 1, "RecordDistributionStrategy": "AUTO"},
        {"ShardCount": 10_001},
    ):
        with refused("Exception"):
            kinesis.create_stream(StreamName=unique("wrong"), **wrong)
    name = stream(None, StreamModeDetails=ON_DEMAND)
    described = summary(kinesis, name)
    assert (described["StreamModeDetails"], described["OpenShardCount"]) == (ON_DEMAND, 4)
    assert described["RecordDistributionStrategy"] == "USER_PARTITION_KEY"
    arn = described["StreamARN"]
    with refused("On-Demand"):
        kinesis.update_shard_count(StreamName=name, TargetShardCount=8, ScalingType="UNIFORM_SCALING")
    with refused("MinimumThroughputBillingCommitment"):
        kinesis.update_stream_warm_throughput(StreamARN=arn, WarmThroughputMiBps=6)
    wanted = {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}}
    assert kinesis.update_account_settings(**wanted)["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
    warm = kinesis.update_stream_warm_throughput(StreamARN=arn, WarmThroughputMiBps=6)
    assert warm["WarmThroughput"] == {"TargetMiBps": 6, "CurrentMiBps": 6}
    assert summary(kinesis, name)["OpenShardCount"] == 6
    ended = kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "DISABLED"})
    status = ended["MinimumThroughputBillingCommitment"]["Status"]
    assert status == "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
    assert kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"]["Status"] == status
    kinesis.update_stream_record_distribution_strategy(StreamARN=arn, RecordDistributionStrategy="AUTO")
    assert summary(kinesis, name)["RecordDistributionStrategy"] == "AUTO"
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "PROVISIONED"})
    described = summary(kinesis, name)
    assert (described["StreamModeDetails"]["StreamMode"], described["OpenShardCount"]) == ("PROVISIONED", 6)
    assert "WarmThroughput" not in described


def test_tags(kinesis: Any, stream: Streams) -> None:
    name = stream()
    arn = summary(kinesis, name)["StreamARN"]
    kinesis.add_tags_to_stream(StreamName=name, Tags={"a": "1", "b": "2"})
    kinesis.tag_resource(ResourceARN=arn, Tags={"b": "3", "c": ""})
    listed = kinesis.list_tags_for_stream(StreamName=name, ExclusiveStartTagKey="a", Limit=1)
    assert (listed["Tags"], listed["HasMoreTags"]) == ([{"Key": "b", "Value": "3"}], True)
    kinesis.remove_tags_from_stream(StreamName=name, TagKeys=["a", "x"])
    kinesis.untag_resource(ResourceARN=arn, TagKeys=["c"])
    assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "3"}]
    for tags in ({"aws:x": "1"}, {f"t{number}": "" for number in range(50)}):
        with refused("InvalidArgumentException"):
            kinesis.add_tags_to_stream(StreamName=name, Tags=tags)
    with refused("ResourceNotFoundException"):
        kinesis.tag_resource(ResourceARN=f"{arn}x", Tags={"a": "1"})


def test_enhanced_monitoring(kinesis: Any, stream: Streams) -> None:
    name = stream()
    enabled = kinesis.enable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["IncomingBytes", "OutgoingBytes"])
    assert enabled["CurrentShardLevelMetrics"] == []
    assert enabled["DesiredShardLevelMetrics"] == ["IncomingBytes", "OutgoingBytes"]
    kinesis.enable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["ALL"])
    assert len(summary(kinesis, name)["EnhancedMonitoring"][0]["ShardLevelMetrics"]) == 7
    disabled = kinesis.disable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["ALL"])
    assert disabled["DesiredShardLevelMetrics"] == []
