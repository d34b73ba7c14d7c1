"""Records are processed on their way: nothing is lost, what fails is in the error output with its reason."""

import base64
import gzip
import json
from typing import Any

from clary.kernel.core.clock import SystemClock
from clary.systems.firehose.tests.conftest import Client
from clary.testing import eventually

PARTITIONED = {"SizeInMBs": 64, "IntervalInSeconds": 1}


def processor(kind: str, **parameters: str) -> dict[str, Any]:
    given = [{"ParameterName": name, "ParameterValue": value} for name, value in parameters.items()]
    return {"Type": kind, "Parameters": given}


def processing(*processors: dict[str, Any]) -> dict[str, Any]:
    return {"Enabled": True, "Processors": list(processors)}


def extraction(query: str) -> dict[str, Any]:
    return processor("MetadataExtraction", MetadataExtractionQuery=query, JsonParsingEngine="JQ-1.6")


def test_partitions_have_objects_of_their_own(client: Client) -> None:
    name = client.create(
        client.part(
            Prefix="customer=!{partitionKeyFromQuery:customer}/day=!{partitionKeyFromQuery:day}/",
            ErrorOutputPrefix="errors/!{firehose:error-output-type}/",
            BufferingHints=PARTITIONED,
            DynamicPartitioningConfiguration={"Enabled": True},
            ProcessingConfiguration=processing(
                processor("RecordDeAggregation", SubRecordType="JSON"),
                extraction("{customer: .customer, day: .at[0:10]}"),
                processor("AppendDelimiterToRecord", Delimiter="\\n"),
            ),
        )
    )
    sent = [
        {"customer": f"c{number % 7}", "at": f"2024-01-{number % 3 + 1:02d}T00", "number": number}
        for number in range(600)
    ]
    packed = [
        json.dumps(one).encode() + json.dumps(two).encode() for one, two in zip(sent[::2], sent[1::2], strict=True)
    ]
    broken = [b'{"customer": "c1"}', b"no json at all", b'{"customer": null, "at": "2024-01-01"}']
    client.put(name, [*packed[:100], *broken, *packed[100:]])

    delivered = [json.loads(line) for line in client.delivered(len(sent), "customer=")]
    assert sorted(delivered, key=lambda one: one["number"]) == sent
    objects = client.objects("customer=")
    assert len({key.rpartition("/")[0] for key in objects}) == 21
    for key, data in objects.items():
        customer, day = (part.partition("=")[2] for part in key.split("/")[:2])
        assert {(one["customer"], one["at"][:10]) for one in map(json.loads, data.splitlines())} == {(customer, day)}

    errors = [json.loads(line) for line in client.delivered(len(broken), "errors/processing-failed/")]
    assert sorted(base64.b64decode(each["rawData"]) for each in errors) == sorted(broken)
    assert {each["errorCode"] for each in errors} == {
        "DynamicPartitioning.MetadataExtractionFailed",
        "DynamicPartitioning.DeaggregationFailed",
    }
    assert all(each["attemptsMade"] == 1 and each["arrivalTimestamp"] for each in errors)


def test_more_partitions_than_there_can_be_go_to_the_error_output(client: Client) -> None:
    name = client.create(
        client.part(
            Prefix="k=!{partitionKeyFromQuery:k}/",
            ErrorOutputPrefix="errors/",
            BufferingHints={"SizeInMBs": 64, "IntervalInSeconds": 2},
            DynamicPartitioningConfiguration={"Enabled": True},
            ProcessingConfiguration=processing(
                processor("RecordDeAggregation", SubRecordType="JSON"), extraction("{k: .k}")
            ),
        )
    )
    # In one record, so that none of them can be delivered before the last has come.
    client.put(name, [b"".join(b'{"k": %d}' % number for number in (*range(500), 501, 3))])
    (error,) = [json.loads(line) for line in client.delivered(1, "errors/processing-failed/")]
    assert error["errorCode"] == "DynamicPartitioning.ActivePartitionsLimitExceeded"
    assert base64.b64decode(error["rawData"]) == b'{"k": 501}'
    eventually(lambda: len(client.objects("k=")) == 500)
    (both,) = client.objects("k=3/").values()
    assert both == b'{"k": 3}{"k": 3}'


def test_messages_of_cloudwatch_logs_are_unpacked(client: Client) -> None:
    name = client.create(
        client.part(
            ProcessingConfiguration=processing(
                processor("Decompression", CompressionFormat="GZIP"),
                processor("CloudWatchLogProcessing", DataMessageExtraction="true"),
            )
        )
    )
    document = {"messageType": "DATA_MESSAGE", "logEvents": [{"message": "one"}, {"message": "two"}]}
    control = {"messageType": "CONTROL_MESSAGE", "logEvents": []}
    records = [gzip.compress(json.dumps(each).encode()) for each in (control, document)]
    client.put(name, [*records, b"not compressed"])
    assert client.delivered(2, "20") == [b"one", b"two"]
    (error,) = [json.loads(line) for line in client.delivered(1, "processing-failed/")]
    assert error["errorCode"] == "Decompression.Failed"
    assert base64.b64decode(error["rawData"]) == b"not compressed"


def test_source_records_are_backed_up_as_they_came(client: Client) -> None:
    name = client.create(
        client.part(
            Prefix="out/",
            S3BackupMode="Enabled",
            S3BackupConfiguration=client.part(Prefix="backup/", CompressionFormat="GZIP"),
            ProcessingConfiguration=processing(
                processor("RecordDeAggregation", SubRecordType="DELIMITED", Delimiter=base64.b64encode(b"|").decode()),
                processor("AppendDelimiterToRecord"),
            ),
        )
    )
    records = [b"a%d|b%d" % (number, number) for number in range(50)]
    client.put(name, records)
    lines = [part for record in records for part in record.split(b"|")]
    assert sorted(client.delivered(100, "out/")) == sorted(lines)

    def backed_up() -> bytes | None:
        found = b"".join(map(gzip.decompress, client.objects("backup/").values()))
        return found if found.count(b"a") == len(records) else None

    stored = eventually(backed_up)
    assert sorted(stored.replace(b"a", b"\na").split()) == sorted(records)


def test_what_s3_refuses_is_kept_logged_and_delivered_when_it_can_be(client: Client) -> None:
    bucket = client.unique("later")
    options = {"Enabled": True, "LogGroupName": client.unique("group"), "LogStreamName": "S3Delivery"}
    part = client.part(BucketARN=f"arn:aws:s3:::{bucket}", CloudWatchLoggingOptions=options)
    name = client.create(part)
    records = [b"%d\n" % number for number in range(10)]
    client.put(name, records[:5])
    logs = client.server.client("logs")

    def told() -> list[str]:
        try:
            found = logs.filter_log_events(logGroupName=options["LogGroupName"])["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found]

    document = json.loads(eventually(told)[0])
    assert document["errorCode"] == "S3.NoSuchBucket"
    assert document["destination"] == f"arn:aws:s3:::{bucket}"
    assert document["deliveryStreamARN"].endswith(name)
    client.put(name, records[5:])
    client.s3.create_bucket(Bucket=bucket)
    stored = eventually(
        lambda: (found := b"".join(client.objects(bucket=bucket).values())).count(b"\n") == 10 and found
    )
    assert sorted(stored.splitlines()) == [record.strip() for record in records]


def test_metrics_say_what_came_and_what_was_delivered(client: Client) -> None:
    name = client.create()
    client.put(name, [b"x" * 100] * 20)
    cloudwatch, now = client.server.client("cloudwatch"), SystemClock().now()

    def total(metric: str) -> float:
        answer = cloudwatch.get_metric_statistics(
            Namespace="AWS/Firehose",
            MetricName=metric,
            Dimensions=[{"Name": "DeliveryStreamName", "Value": name}],
            StartTime=now - 7200,
            EndTime=now + 7200,
            Period=3600,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in answer["Datapoints"])

    eventually(lambda: total("DeliveryToS3.Records") == 20)
    sums = {name: total(name) for name in ("IncomingRecords", "IncomingBytes", "DeliveryToS3.Bytes")}
    assert sums == {"IncomingRecords": 20, "IncomingBytes": 2000, "DeliveryToS3.Bytes": 2000}
    assert total("DeliveryToS3.Success") >= 1
    assert 0 <= total("DeliveryToS3.DataFreshness") < 3600
