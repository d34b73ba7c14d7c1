"""The AWS CLI, unmodified."""

import base64
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.clients.environments import Environment

from clary.testing import Server, eventually

pytestmark = pytest.mark.client
Environments = Callable[[str], Environment]
Unique = Callable[[str], str]


@pytest.fixture
def aws(environment: Environments) -> Callable[..., str]:
    """Run `aws` with arguments, return what it prints."""
    found = environment("awscli")
    return lambda *arguments: found.command(["aws", *arguments])


def test_s3_copies_syncs_lists_and_presigns(aws: Callable[..., str], unique: Unique, tmp_path: Path) -> None:
    bucket = unique("cli")
    aws("s3", "mb", f"s3://{bucket}")
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "deep" / "b c.txt").write_text("b")
    (source / "large.bin").write_bytes(b"x" * 20_000_000)
    aws("s3", "cp", str(source / "a.txt"), f"s3://{bucket}/copied.txt")
    aws("s3", "sync", str(source), f"s3://{bucket}/tree")
    listed = aws("s3", "ls", "--recursive", f"s3://{bucket}/")
    for key in ("copied.txt", "tree/a.txt", "tree/deep/b c.txt", "tree/large.bin"):
        assert key in listed
    assert aws("s3", "sync", str(source), f"s3://{bucket}/tree") == "", "nothing changed, nothing to copy"
    back = tmp_path / "back"
    aws("s3", "sync", f"s3://{bucket}/tree", str(back))
    assert (back / "deep" / "b c.txt").read_text() == "b"
    assert (back / "large.bin").stat().st_size == 20_000_000
    url = aws("s3", "presign", f"s3://{bucket}/copied.txt", "--expires-in", "60").strip()
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"a"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url.replace("copied.txt", "tree/a.txt"))
    with caught.value as refused:
        assert refused.code == 403
    aws("s3", "rb", "--force", f"s3://{bucket}")


def test_training_job_and_its_log(aws: Callable[..., str], unique: Unique, flights: Path) -> None:
    bucket, name, group = unique("cli"), unique("cli-job"), "/aws/sagemaker/TrainingJobs"
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", str(flights / "train.csv"), f"s3://{bucket}/train/train.csv")
    role = json.loads(aws("iam", "get-role", "--role-name", "AmazonSageMaker-ExecutionRole"))["Role"]["Arn"]
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/train/"}}
    request = {
        "TrainingJobName": name,
        "RoleArn": role,
        "AlgorithmSpecification": {
            "TrainingImage": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
            "TrainingInputMode": "File",
        },
        "HyperParameters": {"objective": "reg:squarederror", "num_round": "10"},
        "InputDataConfig": [{"ChannelName": "train", "ContentType": "text/csv", "DataSource": source}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
    }
    aws("sagemaker", "create-training-job", "--cli-input-json", json.dumps(request))
    aws("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", name)
    job = json.loads(aws("sagemaker", "describe-training-job", "--training-job-name", name))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert f"{name}/output/model.tar.gz" in aws("s3", "ls", "--recursive", f"s3://{bucket}/output/")
    # `aws logs tail` is in version 2 of the CLI alone, which is no package; this is the call that it makes.
    log = aws(
        "logs", "filter-log-events", "--log-group-name", group, "--log-stream-name-prefix", f"{name}/", "--interleaved"
    )
    assert "train-rmse" in log


def test_streams(aws: Callable[..., str], unique: Unique) -> None:
    name = unique("cli")
    stream = ("--stream-name", name)

    def kinesis(operation: str, *arguments: str) -> dict[str, Any]:
        printed = aws("kinesis", operation, *arguments)
        return json.loads(printed) if printed.strip() else {}

    def read(shard: str, *position: str) -> tuple[list[str], list[str]]:
        """The data of a shard from a position on, and the shards that it became."""
        asked = kinesis("get-shard-iterator", *stream, "--shard-id", shard, "--shard-iterator-type", *position)
        iterator, data = asked["ShardIterator"], []
        while True:
            answer = kinesis("get-records", "--shard-iterator", iterator)
            data += [base64.b64decode(record["Data"]).decode() for record in answer["Records"]]
            iterator = answer.get("NextShardIterator")
            if iterator is None or not answer["MillisBehindLatest"]:
                return data, [child["ShardId"] for child in answer.get("ChildShards", [])]

    kinesis("create-stream", *stream, "--shard-count", "1")
    kinesis("wait", "stream-exists", *stream)
    first = "shardId-000000000000"
    batch = [{"PartitionKey": "k", "Data": str(number)} for number in range(20)]
    put = kinesis("put-records", *stream, "--records", json.dumps(batch))
    assert put["FailedRecordCount"] == 0
    kinesis("split-shard", *stream, "--shard-to-split", first, "--new-starting-hash-key", str(2**127))
    kinesis("wait", "stream-exists", *stream)
    kinesis("put-record", *stream, "--partition-key", "k", "--data", "20")
    data, children = read(first, "TRIM_HORIZON")
    assert data == [str(number) for number in range(20)]
    assert sorted(read(child, "TRIM_HORIZON")[0] for child in children) == [[], ["20"]]
    numbers = [record["SequenceNumber"] for record in put["Records"]]
    since = read(first, "AFTER_SEQUENCE_NUMBER", "--starting-sequence-number", numbers[14])
    assert since == (["15", "16", "17", "18", "19"], children)
    assert read(first, "AT_TIMESTAMP", "--timestamp", "2020-01-01T00:00:00Z")[0] == data
    listed = kinesis("list-shards", *stream, "--shard-filter", "Type=AT_LATEST")["Shards"]
    assert [shard["ShardId"] for shard in listed] == sorted(children)
    kinesis("update-shard-count", *stream, "--target-shard-count", "1", "--scaling-type", "UNIFORM_SCALING")
    summary = kinesis("describe-stream-summary", *stream)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 1
    kinesis("delete-stream", *stream)
    kinesis("wait", "stream-not-exists", *stream)


def test_identity(aws: Callable[..., str]) -> None:
    identity = json.loads(aws("sts", "get-caller-identity"))
    assert identity["Arn"].endswith(":assumed-role/AmazonSageMaker-ExecutionRole/clary")


def test_a_function_from_a_zip_is_called_and_aliased(aws: Callable[..., str], unique: Unique, tmp_path: Path) -> None:
    name, code, answer = unique("cli-function"), tmp_path / "code.zip", tmp_path / "answer.json"
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): return [event, context.function_version]")
    role = json.loads(aws("iam", "get-role", "--role-name", "AmazonSageMaker-ExecutionRole"))["Role"]["Arn"]
    named = ("--function-name", name)
    made = ("--runtime", "python3.12", "--handler", "app.handler", "--role", role, "--zip-file", f"fileb://{code}")
    aws("lambda", "create-function", *named, *made, "--timeout", "30")
    aws("lambda", "wait", "function-active-v2", *named)
    said = json.loads(aws("lambda", "invoke", *named, "--payload", '{"a": 1}', str(answer)))
    assert (said["StatusCode"], json.loads(answer.read_text())) == (200, [{"a": 1}, "$LATEST"])
    aws("lambda", "publish-version", *named)
    aws("lambda", "create-alias", *named, "--name", "live", "--function-version", "1")
    aws("lambda", "invoke", *named, "--qualifier", "live", str(answer))
    assert json.loads(answer.read_text()) == [{}, "1"]
    listed = json.loads(aws("lambda", "list-functions"))["Functions"]
    assert name in [one["FunctionName"] for one in listed]
    aws("lambda", "delete-function", *named)


def test_rules_and_schedules_reach_a_queue(aws: Callable[..., str], unique: Unique, server: Server) -> None:
    rule, name = unique("cli-rule"), unique("cli-events")

    def sqs(*arguments: str) -> str:
        # For SQS alone, version 1 of the CLI puts an old name of AWS's in the place of AWS_ENDPOINT_URL.
        return aws("sqs", *arguments, "--endpoint-url", server.endpoint)

    url = json.loads(sqs("create-queue", "--queue-name", name))["QueueUrl"]
    asked = ("--queue-url", url, "--attribute-names", "QueueArn")
    arn = json.loads(sqs("get-queue-attributes", *asked))["Attributes"]["QueueArn"]
    role = json.loads(aws("iam", "get-role", "--role-name", "AmazonSageMaker-ExecutionRole"))["Role"]["Arn"]

    def received() -> str:
        printed = eventually(lambda: sqs("receive-message", "--queue-url", url, "--wait-time-seconds", "20"))
        (message,) = json.loads(printed)["Messages"]
        sqs("delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
        return str(message["Body"])

    aws("events", "put-rule", "--name", rule, "--event-pattern", json.dumps({"source": [name]}))
    aws("events", "put-targets", "--rule", rule, "--targets", f"Id=q,Arn={arn},InputPath=$.detail")
    entry = {"Source": name, "DetailType": "order", "Detail": '{"n": 1}'}
    assert json.loads(aws("events", "put-events", "--entries", json.dumps([entry])))["FailedEntryCount"] == 0
    assert json.loads(received()) == {"n": 1}
    target = {"Arn": arn, "RoleArn": role, "Input": "on time"}
    when = ("--schedule-expression", "rate(1 hour)", "--flexible-time-window", "Mode=OFF")
    aws("scheduler", "create-schedule", "--name", name, *when, "--target", json.dumps(target))
    assert received() == "on time"
    listed = json.loads(aws("scheduler", "list-schedules", "--name-prefix", name))["Schedules"]
    assert [each["Name"] for each in listed] == [name]
    aws("scheduler", "delete-schedule", "--name", name)
