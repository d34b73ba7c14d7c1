"""Constraints of the models, with the messages AWS gives."""

from typing import Any

import pytest
from tests.wire.samples import Samples

from clary.kernel.core.errors import AwsError
from clary.kernel.wire import SERVICES, check, service
from clary.kernel.wire.constraints import LOOSENED, WIDENED


def refusal(service_name: str, operation: str, params: dict[str, Any]) -> AwsError:
    with pytest.raises(AwsError) as caught:
        check(service(service_name).operations[operation], params)
    return caught.value


def message(service_name: str, operation: str, params: dict[str, Any]) -> str:
    return refusal(service_name, operation, params).message


def test_a_value_that_does_not_match_its_pattern() -> None:
    error = refusal("sagemaker", "DescribeTrainingJob", {"TrainingJobName": "my job"})
    assert error.code == "ValidationException"
    assert error.message == (
        "1 validation error detected: Value 'my job' at 'trainingJobName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )


def test_several_errors_are_told_together() -> None:
    params = {
        "StreamName": "s" * 129,
        "ShardCount": 0,
        "StreamModeDetails": {"StreamMode": "FAST"},
        "Tags": {"team": None},
    }
    assert message("kinesis", "CreateStream", params) == (
        f"4 validation errors detected: Value '{'s' * 129}' at 'streamName' failed to satisfy constraint: "
        "Member must have length less than or equal to 128; "
        "Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1; "
        "Value 'FAST' at 'streamModeDetails.streamMode' failed to satisfy constraint: "
        "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]; "
        "Value null at 'tags.team.member' failed to satisfy constraint: Member must not be null"
    )


def test_what_is_required_and_missing() -> None:
    text = message("sagemaker", "CreateModel", {"Tags": [{"Key": "a"}]})
    assert text == (
        "2 validation errors detected: "
        "Value null at 'modelName' failed to satisfy constraint: Member must not be null; "
        "Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null"
    )


def test_no_more_than_ten_errors_are_told() -> None:
    text = message("sagemaker", "AddTags", {"ResourceArn": "x", "Tags": [{}] * 40})
    assert text.startswith("10 validation errors detected: ")
    assert text.count("failed to satisfy") == 10


def test_lengths_of_lists_and_blobs() -> None:
    keys = message("sagemaker", "DeleteTags", {"ResourceArn": "arn:aws:sagemaker:us-east-1:1:x/y", "TagKeys": []})
    assert "Value '[]' at 'tagKeys' failed to satisfy constraint: Member must have length greater than" in keys
    blob = message("lambda", "InvokeAsync", {"FunctionName": "a b", "InvokeArgs": b""})
    assert "at 'functionName' failed" in blob


@pytest.mark.parametrize("operation", ["InvokeEndpoint", "InvokeEndpointWithResponseStream"])
def test_a_payload_may_have_what_the_service_takes_by_now(operation: str) -> None:
    most = 25 * 1024 * 1024
    check(service("sagemaker-runtime").operations[operation], {"EndpointName": "e", "Body": bytes(most)})
    error = refusal("sagemaker-runtime", operation, {"EndpointName": "e", "Body": bytes(most + 1)})
    assert error.code == "ValidationError"
    assert (
        f"at 'body' failed to satisfy constraint: Member must have length less than or equal to {most}" in error.message
    )


def test_what_is_widened_is_narrower_in_the_model() -> None:
    for (name, shape), most in WIDENED.items():
        stated = service(name).shape(shape).max
        assert stated is not None
        assert stated < most


def test_a_server_of_ones_own_may_be_named_where_aws_names_its_own() -> None:
    def asked(url: str) -> dict[str, Any]:
        bucket = {"RoleARN": "arn:aws:iam::000000000000:role/r", "BucketARN": "arn:aws:s3:::b"}
        endpoint = {"EndpointConfiguration": {"Url": url}, "S3Configuration": bucket}
        return {"DeliveryStreamName": "s", "HttpEndpointDestinationConfiguration": endpoint}

    assert all(service(name).shape(shape).pattern for name, shape in LOOSENED)
    check(service("firehose").operations["CreateDeliveryStream"], asked("http://127.0.0.1:8080/records"))
    assert message("firehose", "CreateDeliveryStream", asked("ftp://x")).endswith("pattern: https?://.*")


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"TrainingJobName": 7}, "'TrainingJobName' must be a string, not a number"),
        ({"TrainingJobName": True}, "'TrainingJobName' must be a string, not a boolean"),
        ({"TrainingJobName": "a", "HyperParameters": ["x"]}, "'HyperParameters' must be an object, not a list"),
        ({"TrainingJobName": "a", "InputDataConfig": {}}, "'InputDataConfig' must be a list, not an object"),
        ({"TrainingJobName": "a", "EnableNetworkIsolation": "yes"}, "'EnableNetworkIsolation' must be a boolean"),
        (
            {"TrainingJobName": "a", "StoppingCondition": {"MaxRuntimeInSeconds": 1.5}},
            "must be an integer, not a number",
        ),
        (
            {"TrainingJobName": "a", "StoppingCondition": {"MaxRuntimeInSeconds": 2**40}},
            "must be an integer of 32 bits",
        ),
        ({"TrainingJobName": "a", "Unheard": 1}, "has no member 'Unheard'"),
    ],
)
def test_wrong_types(params: dict[str, Any], told: str) -> None:
    error = refusal("sagemaker", "CreateTrainingJob", params)
    assert error.code == "SerializationException"
    assert told in error.message


def test_a_union_has_one_member() -> None:
    clause = {"AndAllFilters": [], "OrAnyFilters": []}
    assert "Exactly one member of the union must be set, not 2" in message(
        "glue", "SearchAssets", {"FilterClause": clause}
    )
    assert "not 0" in message("glue", "SearchAssets", {"FilterClause": {}})


@pytest.mark.parametrize(
    ("name", "operation", "params", "code"),
    [
        ("iam", "GetRole", {}, "ValidationError"),
        ("sts", "AssumeRole", {}, "ValidationError"),
        ("logs", "CreateLogGroup", {"logGroupName": "a b"}, "InvalidParameterException"),
        ("kinesis", "PutRecord", {}, "ValidationException"),
        ("sagemaker-runtime", "InvokeEndpoint", {}, "ValidationError"),
        ("athena", "GetQueryExecution", {}, "InvalidRequestException"),
        ("sqs", "SendMessage", {"MessageBody": "x"}, "MissingParameter"),
    ],
)
def test_each_service_has_its_code(name: str, operation: str, params: dict[str, Any], code: str) -> None:
    assert refusal(name, operation, params).code == code


def test_ecr_says_it_in_its_own_words() -> None:
    assert message("ecr", "CreateRepository", {"repositoryName": "a"}) == (
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: "
        "'must have length greater than or equal to 2'"
    )


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("DeleteObjects", {"Bucket": "b"}, "MissingRequestBodyError"),
        ("DeleteObjects", {"Bucket": "b", "Delete": {"Objects": [{"VersionId": "1"}]}}, "MalformedXML"),
        ("PutBucketAnalyticsConfiguration", {"Bucket": "b"}, "InvalidRequest"),
        ("GetObjectAttributes", {"Bucket": "b", "Key": "k"}, "InvalidRequest"),
    ],
)
def test_s3_is_asked_only_for_what_is_required(operation: str, params: dict[str, Any], code: str) -> None:
    assert refusal("s3", operation, params).code == code
    check(service("s3").operations["PutObject"], {"Bucket": "b", "Key": "k", "StorageClass": "ODD", "Body": object()})


def test_secrets_are_not_repeated() -> None:
    text = message("iam", "CreateLoginProfile", {"UserName": "u", "Password": "p\u4e00ssword"})
    assert "Value '***' at 'password'" in text
    assert "p\u4e00" not in text


def test_nesting_is_bounded() -> None:
    configuration: dict[str, Any] = {}
    for _ in range(5000):
        configuration = {"Configurations": [configuration]}
    params = {"Name": "c", "Instances": {}, "Configurations": [configuration]}
    assert "nested deeper" in message("emr", "RunJobFlow", params)
    document: Any = 1
    for _ in range(5000):
        document = [document]
    operation = service("sagemakertrainingsessionruntime").operations["ExecuteTrainingOperation"]
    member = next(use for use in operation.input.members.values() if _has_document(use.shape))
    params = Samples().structure(operation.input)
    params[member.name] = _with_document(member.shape, document)
    with pytest.raises(AwsError, match="nested deeper"):
        check(operation, params)


def _has_document(shape: Any, seen: frozenset[str] = frozenset()) -> bool:
    if shape.document:
        return True
    return shape.name not in seen and any(_has_document(part.shape, seen | {shape.name}) for part in shape.parts)


def _with_document(shape: Any, document: Any) -> Any:
    if shape.document:
        return document
    if shape.type == "list":
        return [_with_document(shape.member.shape, document)]
    if shape.type == "map":
        return {"key": _with_document(shape.value.shape, document)}
    use = next(use for use in shape.members.values() if _has_document(use.shape))
    return {use.name: _with_document(use.shape, document)}


@pytest.mark.parametrize("name", SERVICES)
def test_samples_have_right_types_everywhere(name: str) -> None:
    """Whatever else a sample breaks, every member the codecs can give has a type that `check` accepts."""
    wrong = []
    for operation in service(name).operations.values():
        try:
            check(operation, Samples().structure(operation.input) if operation.input else {})
        except AwsError as error:
            if error.code == "SerializationException":
                wrong.append(f"{operation.name}: {error.message}")
    assert wrong == []
