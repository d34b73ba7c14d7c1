"""Data capture, shadow variants and the use of the machine, through unmodified clients of a real server."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.executors.process import ProcessExecutor
from clary.kernel.rooms import Platform
from clary.systems.endpoints.reconcile.metrics import measure
from clary.systems.endpoints.tests.conftest import Serving, script_model
from clary.testing import eventually, start_server, stop_server

ECHO = """
def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return (body if isinstance(body, bytes) else body.encode()), content_type

def predict_fn(data, model):
    return data

def output_fn(prediction, accept):
    body, content_type = prediction
    return body, content_type
"""
NAMESPACE = "/aws/sagemaker/Endpoints"


def echo() -> bytes:
    return script_model(script=ECHO)


def variant(name: str, model: str, **members: Any) -> dict[str, Any]:
    return {"VariantName": name, "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1} | members


def capturing(bucket: str, **members: Any) -> dict[str, Any]:
    return {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{bucket}/kept",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    } | members


def configure(serving: Serving, **members: Any) -> str:
    name = serving.unique("config")
    serving.sagemaker.create_endpoint_config(EndpointConfigName=name, **members)
    return name


@pytest.fixture
def bucket(serving_models: Serving, unique: Callable[[str], str]) -> str:
    name = unique("captured")
    serving_models.server.client("s3").create_bucket(Bucket=name)
    return name


def kept(serving: Serving, bucket: str, endpoint: str, variant: str, count: int) -> list[Any]:
    """The captured lines, once there are so many."""
    s3 = serving.server.client("s3")

    def look() -> list[Any] | None:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"kept/{endpoint}/{variant}/").get("Contents", [])
        texts = [s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read().decode() for one in listed]
        lines = [json.loads(line) for text in texts for line in text.splitlines()]
        return lines if len(lines) >= count else None

    found: list[Any] = eventually(look)
    return found


def test_what_is_captured_is_what_was_sent_and_answered(serving_models: Serving, bucket: str) -> None:
    model = serving_models.model(echo())
    config = configure(
        serving_models,
        ProductionVariants=[variant("all", model)],
        DataCaptureConfig=capturing(bucket, KmsKeyId="alias/mine"),
    )
    name = serving_models.in_service(config)
    assert serving_models.describe(name)["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{bucket}/kept",
        "KmsKeyId": "alias/mine",
    }
    sent = {"text/csv": b"1,\xc3\xa9\n2,3", "application/json": b'{"a": [1, 2]}', "image/png": b"\x89PNG\x00\xff"}
    for kind, body in sent.items():
        answer = serving_models.ask(name, body, ContentType=kind, InferenceId=kind, CustomAttributes="trace=7")
        assert answer == body
    streamed = serving_models.runtime.invoke_endpoint_with_response_stream(
        EndpointName=name, Body=b"9", ContentType="text/csv", InferenceId="stream"
    )
    assert b"".join(event["PayloadPart"]["Bytes"] for event in streamed["Body"]) == b"9"

    lines = {line["eventMetadata"]["inferenceId"]: line for line in kept(serving_models, bucket, name, "all", 4)}
    assert len(lines) == 4
    for kind, encoding in (("text/csv", "CSV"), ("application/json", "JSON"), ("image/png", "BASE64")):
        text = base64.b64encode(sent[kind]).decode() if encoding == "BASE64" else sent[kind].decode()
        for side, mode in (("endpointInput", "INPUT"), ("endpointOutput", "OUTPUT")):
            data = lines[kind]["captureData"][side]
            assert data["observedContentType"].startswith(kind)
            assert (data["mode"], data["encoding"], data["data"]) == (mode, encoding, text)
        assert lines[kind]["eventMetadata"]["customAttributes"] == ["trace=7"]
    assert lines["stream"]["captureData"]["endpointOutput"]["data"] == "9"
    assert len({line["eventMetadata"]["eventId"] for line in lines.values()}) == 4

    off = configure(
        serving_models,
        ProductionVariants=[variant("all", model)],
        DataCaptureConfig=capturing(bucket, EnableCapture=False, InitialSamplingPercentage=10),
    )
    update = {"EndpointName": name, "EndpointConfigName": off, "RetainAllVariantProperties": True}
    serving_models.sagemaker.update_endpoint(**update)
    assert serving_models.settled(name)["DataCaptureConfig"]["CaptureStatus"] == "Started", "it was retained"
    excluded = [{"VariantPropertyType": "DataCaptureConfig"}]
    serving_models.sagemaker.update_endpoint(**update, ExcludeRetainedVariantProperties=excluded)
    summary = serving_models.settled(name)["DataCaptureConfig"]
    assert (summary["CaptureStatus"], summary["CurrentSamplingPercentage"]) == ("Stopped", 10)


def test_a_shadow_variant_is_shown_scaled_captured_and_never_answers(serving_models: Serving, bucket: str) -> None:
    models = [serving_models.model(script_model(name)) for name in ("main", "candidate")]
    config = configure(
        serving_models,
        ProductionVariants=[variant("main", models[0])],
        ShadowProductionVariants=[variant("candidate", models[1])],
        DataCaptureConfig=capturing(bucket),
    )
    shown = serving_models.sagemaker.describe_endpoint_config(EndpointConfigName=config)
    assert [one["VariantName"] for one in shown["ShadowProductionVariants"]] == ["candidate"]
    name = serving_models.in_service(config)
    described = serving_models.describe(name)
    assert [one["VariantName"] for one in described["ProductionVariants"]] == ["main"]
    assert [one["VariantName"] for one in described["ShadowProductionVariants"]] == ["candidate"]
    assert {serving_models.ask(name, '"who"') for _ in range(5)} == {b'"main"'}
    for line in kept(serving_models, bucket, name, "candidate", 5):
        assert line["captureData"]["endpointOutput"]["data"] == '"candidate"'
    assert len(kept(serving_models, bucket, name, "main", 5)) == 5

    wanted = [{"VariantName": "candidate", "DesiredInstanceCount": 2}]
    serving_models.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=wanted
    )
    (shadow,) = serving_models.settled(name)["ShadowProductionVariants"]
    assert shadow["CurrentInstanceCount"] == 2


def test_what_servers_use_is_measured(serving_models: Serving) -> None:
    data = script_model()
    config = configure(serving_models, ProductionVariants=[variant("all", serving_models.pipeline(data, data))])
    name = serving_models.in_service(config)
    platform = Platform(serving_models.server.settings)
    platform.executor = ProcessExecutor(platform.settings.home, warm=False)
    try:
        measure(platform, None)  # what the controller does every minute
    finally:
        platform.close()
    cloudwatch = serving_models.server.client("cloudwatch")
    listed = cloudwatch.list_metrics(Namespace=NAMESPACE, Dimensions=[{"Name": "EndpointName", "Value": name}])
    found = {(one["MetricName"], len(one["Dimensions"])) for one in listed["Metrics"]}
    assert found == {
        *((metric, 2) for metric in ("CPUUtilization", "MemoryUtilization", "DiskUtilization")),
        *((metric, 3) for metric in ("CPUUtilization", "MemoryUtilization")),
    }
    values = {}
    for metric in ("CPUUtilization", "MemoryUtilization", "DiskUtilization"):
        point = cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "all"}],
            StartTime=platform.clock.now() - 3600,
            EndTime=platform.clock.now() + 3600,
            Period=86400,
            Statistics=["Average"],
        )["Datapoints"][0]
        assert point["Unit"] == "Percent"
        values[metric] = point["Average"]
    assert 0 < values["CPUUtilization"] < 100 * 64
    assert 0.05 < values["MemoryUtilization"] < 100, "two Python servers in 8 GiB"
    assert 0 < values["DiskUtilization"] < 100


def test_what_cannot_be_captured_or_shadowed_is_refused(serving_models: Serving, bucket: str) -> None:
    model = serving_models.model(echo())
    main, other = variant("main", model), variant("other", model)
    twice = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["text/csv"]}
    for message, members in (
        ("as CSV and as JSON", {"DataCaptureConfig": capturing(bucket, CaptureContentTypeHeader=twice)}),
        ("does not name a place in S3", {"DataCaptureConfig": capturing(bucket, DestinationS3Uri="https://a/b")}),
        ("there are 1 and 2", {"ShadowProductionVariants": [other, variant("third", model)]}),
        ("main is given more than once", {"ShadowProductionVariants": [main]}),
        ("Could not find model", {"ShadowProductionVariants": [variant("other", "nothing")]}),
    ):
        with pytest.raises(ClientError, match=message):
            configure(serving_models, ProductionVariants=[main], **members)


def test_capture_that_the_role_may_not_write_is_told_in_the_endpoints_log(
    serving_models: Serving, bucket: str, unique: Callable[[str], str]
) -> None:
    iam, name = serving_models.server.client("iam"), unique("reader")
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    read = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=json.dumps({"Statement": [read]}))
    config = configure(
        serving_models,
        ProductionVariants=[variant("all", serving_models.model(echo()))],
        DataCaptureConfig=capturing(bucket),
        ExecutionRoleArn=role,
    )
    name = serving_models.in_service(config)
    assert serving_models.ask(name, b"1", ContentType="text/csv") == b"1"
    logs = serving_models.server.client("logs")

    def told() -> bool:
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{name}", filterPattern="captured")
        except logs.exceptions.ResourceNotFoundException:
            return False  # the first line is on its way
        return any("AccessDenied" in event["message"] and "PutObject" in event["message"] for event in events["events"])

    eventually(told)


@pytest.mark.slow
def test_what_waits_is_written_when_the_server_stops(tmp_path: Path, unique: Callable[[str], str]) -> None:
    serving, bucket = Serving(start_server(tmp_path / "home"), unique), unique("captured")
    try:
        serving.server.client("s3").create_bucket(Bucket=bucket)
        model = serving.model(echo())
        config = configure(serving, ProductionVariants=[variant("all", model)], DataCaptureConfig=capturing(bucket))
        name = serving.in_service(config)
        for number in range(5):
            serving.ask(name, b"%d" % number, ContentType="text/csv")
    finally:
        stop_server(serving.server)
    platform = Platform(serving.server.settings)
    try:
        paths = [platform.objects.local_path(bucket, one.key) for one in platform.objects.list(bucket)]
        assert sum(len(path.read_text().splitlines()) for path in paths) == 5
        dimensions = {"EndpointName": name, "VariantName": "all"}
        (found,) = platform.metrics.buckets(
            *("000000000000", "us-east-1", "AWS/SageMaker", "Invocations", dimensions), start=0, end=2e9, period=2e9
        )
        assert found.samples.total == 5
    finally:
        platform.close()
