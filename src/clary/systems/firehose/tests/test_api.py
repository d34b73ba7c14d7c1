"""Delivery streams as clients see them: described as they were made, changed by version, refused with reasons."""

import gzip
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.firehose.tests.conftest import ROLE, Client
from clary.testing import eventually


def refusal(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def gone(client: Client, name: str) -> bool:
    try:
        client.describe(name)
    except client.firehose.exceptions.ResourceNotFoundException:
        return True
    return False


def test_a_delivery_stream_is_described_as_aws_does(client: Client) -> None:
    name = client.unique("stream")
    bucket = f"arn:aws:s3:::{client.bucket}"
    made = client.firehose.create_delivery_stream(
        DeliveryStreamName=name,
        S3DestinationConfiguration={"RoleARN": ROLE, "BucketARN": bucket},
        Tags=[{"Key": "team", "Value": "a"}],
    )
    client.made.append(name)
    assert made["DeliveryStreamARN"] == f"arn:aws:firehose:us-east-1:000000000000:deliverystream/{name}"
    eventually(lambda: client.describe(name)["DeliveryStreamStatus"] == "ACTIVE")
    described = client.describe(name)
    assert described.pop("CreateTimestamp")
    (destination,) = described.pop("Destinations")
    assert described == {
        "DeliveryStreamName": name,
        "DeliveryStreamARN": made["DeliveryStreamARN"],
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamEncryptionConfiguration": {"Status": "DISABLED"},
        "DeliveryStreamType": "DirectPut",
        "VersionId": "1",
        "HasMoreDestinations": False,
    }
    plain = {
        "RoleARN": ROLE,
        "BucketARN": bucket,
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        "CloudWatchLoggingOptions": {"Enabled": False},
    }
    assert destination == {
        "DestinationId": "destinationId-000000000001",
        "S3DestinationDescription": plain,
        "ExtendedS3DestinationDescription": {**plain, "S3BackupMode": "Disabled"},
    }


def test_names_are_taken_and_missing(client: Client) -> None:
    name = client.create()
    code, message = refusal(
        client.firehose.create_delivery_stream,
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration=client.part(),
    )
    assert code == "ResourceInUseException"
    assert name in message
    code, message = refusal(client.firehose.describe_delivery_stream, DeliveryStreamName="nobody")
    assert (code, message) == ("ResourceNotFoundException", "Firehose nobody under account 000000000000 not found.")
    code, _ = refusal(client.firehose.put_record, DeliveryStreamName="nobody", Record={"Data": b"x"})
    assert code == "ResourceNotFoundException"


def test_a_deleted_stream_is_gone_with_its_tags_and_its_name_is_free(client: Client) -> None:
    name = client.create(Tags=[{"Key": "team", "Value": "a"}])
    client.firehose.put_record(DeliveryStreamName=name, Record={"Data": b"old\n"})
    client.delivered(1)
    client.firehose.delete_delivery_stream(DeliveryStreamName=name, AllowForceDelete=True)
    eventually(lambda: gone(client, name))
    part = client.part(Prefix="again/")
    client.firehose.create_delivery_stream(DeliveryStreamName=name, ExtendedS3DestinationConfiguration=part)
    eventually(lambda: client.describe(name)["DeliveryStreamStatus"] == "ACTIVE")
    assert client.firehose.list_tags_for_delivery_stream(DeliveryStreamName=name)["Tags"] == []
    client.put(name, [b"new\n"])
    assert client.delivered(1, "again/") == [b"new"]
    assert client.lines() == [b"old", b"new"]


def test_lists_are_paged_and_filtered(client: Client) -> None:
    names = sorted(client.create() for _ in range(3))
    listed, last = [], ""
    while True:
        after = {"ExclusiveStartDeliveryStreamName": last} if last else {}
        page = client.firehose.list_delivery_streams(Limit=2, DeliveryStreamType="DirectPut", **after)
        assert len(page["DeliveryStreamNames"]) <= 2
        listed += page["DeliveryStreamNames"]
        if not page["HasMoreDeliveryStreams"]:
            break
        last = listed[-1]
    assert [name for name in listed if name in names] == names
    answer = client.firehose.list_delivery_streams(Limit=10000, DeliveryStreamType="KinesisStreamAsSource")
    assert not set(names) & set(answer["DeliveryStreamNames"])


def test_tags(client: Client) -> None:
    name = client.create(Tags=[{"Key": "a", "Value": "1"}])
    tags = [{"Key": "b", "Value": "2"}, {"Key": "c"}]
    client.firehose.tag_delivery_stream(DeliveryStreamName=name, Tags=tags)
    client.firehose.untag_delivery_stream(DeliveryStreamName=name, TagKeys=["a", "nothing"])
    listed = client.firehose.list_tags_for_delivery_stream(DeliveryStreamName=name, Limit=1)
    assert listed["Tags"] == [{"Key": "b", "Value": "2"}]
    assert listed["HasMoreTags"]
    rest = client.firehose.list_tags_for_delivery_stream(DeliveryStreamName=name, ExclusiveStartTagKey="b")
    assert rest["Tags"] == [{"Key": "c", "Value": ""}]
    assert not rest["HasMoreTags"]
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(49)]
    code, _ = refusal(client.firehose.tag_delivery_stream, DeliveryStreamName=name, Tags=many)
    assert code == "LimitExceededException"


def test_encryption_is_a_setting(client: Client) -> None:
    name = client.create()
    client.firehose.start_delivery_stream_encryption(DeliveryStreamName=name)

    def encryption() -> dict[str, Any]:
        found: dict[str, Any] = client.describe(name)["DeliveryStreamEncryptionConfiguration"]
        return found

    eventually(lambda: encryption() == {"KeyType": "AWS_OWNED_CMK", "Status": "ENABLED"})
    put = {"DeliveryStreamName": name, "Record": {"Data": b"x"}}
    eventually(lambda: client.firehose.put_record(**put)["Encrypted"])
    client.firehose.stop_delivery_stream_encryption(DeliveryStreamName=name)
    eventually(lambda: encryption() == {"Status": "DISABLED"})


def test_an_update_keeps_what_it_does_not_say(client: Client) -> None:
    name = client.create(client.part(Prefix="one/", CompressionFormat="GZIP"))
    update = {
        "DeliveryStreamName": name,
        "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": "destinationId-000000000001",
        "ExtendedS3DestinationUpdate": {"Prefix": "two/", "BufferingHints": {"IntervalInSeconds": 1}},
    }
    code, message = refusal(client.firehose.update_destination, **{**update, "CurrentDeliveryStreamVersionId": "7"})
    assert code == "ConcurrentModificationException"
    assert "current version id: 1" in message
    client.put(name, [b"%d\n" % number for number in range(500)])
    client.firehose.update_destination(**update)
    described = client.describe(name)
    assert described["VersionId"] == "2"
    assert described["LastUpdateTimestamp"] >= described["CreateTimestamp"]
    destination = described["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert destination["CompressionFormat"] == "GZIP"
    assert destination["BufferingHints"] == {"SizeInMBs": 1, "IntervalInSeconds": 1}
    client.put(name, [b"%d\n" % number for number in range(500, 1000)])
    by_either = eventually(
        lambda: (
            (found := [*client.lines("one/", gzip.decompress), *client.lines("two/", gzip.decompress)])
            and len(found) >= 1000
            and found
        )
    )
    assert sorted(map(int, by_either)) == list(range(1000)), "each by the one or the other configuration"
    assert all(f"/{name}-2-" in key for key in client.objects("two/"))
    bad = {"ExtendedS3DestinationUpdate": {"Prefix": "!{nothing:x}/"}, "CurrentDeliveryStreamVersionId": "2"}
    assert refusal(client.firehose.update_destination, **{**update, **bad})[0] == "InvalidArgumentException"


def test_puts_have_limits(client: Client) -> None:
    name = client.create()
    code, message = refusal(client.firehose.put_record, DeliveryStreamName=name, Record={"Data": b"x" * 1_024_001})
    assert code == "ValidationException"
    assert "1024000" in message
    records = [{"Data": b"x" * 1_000_000}] * 5
    code, message = refusal(client.firehose.put_record_batch, DeliveryStreamName=name, Records=records)
    assert (code, message) == ("InvalidArgumentException", "Records size exceeds 4 MB limit")
    code, _ = refusal(client.firehose.put_record_batch, DeliveryStreamName=name, Records=[{"Data": b""}] * 501)
    assert code == "ValidationException"


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"CompressionFormat": "GZIP", "Prefix": "!{timestamp:yyyy}/"}, "ErrorOutputPrefix"),
        ({"CustomTimeZone": "Mars/Olympus"}, "CustomTimeZone"),
        ({"S3BackupMode": "Enabled"}, "S3BackupConfiguration"),
        ({"CloudWatchLoggingOptions": {"Enabled": True}}, "LogGroupName"),
        ({"ProcessingConfiguration": {"Enabled": True, "Processors": []}}, "Processors"),
        (
            {"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": []}]}},
            "LambdaArn",
        ),
        (
            {
                "ProcessingConfiguration": {
                    "Enabled": True,
                    "Processors": [
                        {
                            "Type": "RecordDeAggregation",
                            "Parameters": [{"ParameterName": "SubRecordType", "ParameterValue": "XML"}],
                        }
                    ],
                }
            },
            "SubRecordType",
        ),
        (
            {
                "DynamicPartitioningConfiguration": {"Enabled": True},
                "Prefix": "!{partitionKeyFromQuery:k}/",
                "ErrorOutputPrefix": "errors/",
            },
            "SizeInMBs",
        ),
    ],
)
def test_configurations_that_cannot_be_honoured_are_refused(client: Client, members: dict[str, Any], says: str) -> None:
    code, message = refusal(
        client.firehose.create_delivery_stream,
        DeliveryStreamName=client.unique("stream"),
        ExtendedS3DestinationConfiguration=client.part(**members),
    )
    assert code == "InvalidArgumentException"
    assert says in message


def test_what_clary_does_not_deliver_to_is_refused_with_a_reason(client: Client) -> None:
    splunk = {
        "HECEndpoint": "https://127.0.0.1",
        "HECEndpointType": "Raw",
        "HECToken": "t",
        "S3Configuration": client.part(),
    }
    name = client.unique("stream")
    create = client.firehose.create_delivery_stream
    code, message = refusal(create, DeliveryStreamName=name, SplunkDestinationConfiguration=splunk)
    assert code == "InvalidArgumentException"
    assert "HTTP endpoint" in message
    code, message = refusal(create, DeliveryStreamName=name)
    assert (code, message) == (
        "InvalidArgumentException",
        "Exactly one destination configuration is supported for a Firehose.",
    )
