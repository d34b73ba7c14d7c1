"""Requests through a real server: to a model and back, with everything that AWS says of them."""

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.async_inference.tests.conftest import Client, Gate, archive
from clary.testing import eventually


def notified(client: Client, **more: Any) -> tuple[dict[str, Any], str, str]:
    """A NotificationConfig, and the queues for successes and errors."""
    (success, successes), (error, errors) = client.topic(), client.topic()
    return {"SuccessTopic": success, "ErrorTopic": error, **more}, successes, errors


def test_an_answer_is_stored_and_told_of(client: Client, gate: Gate) -> None:
    told, successes, errors = notified(client, IncludeInferenceResponseIn=["SUCCESS_NOTIFICATION_TOPIC"])
    name = client.endpoint(client.config(client.model(archive()), NotificationConfig=told))
    described = client.sagemaker.describe_endpoint(EndpointName=name)
    assert described["AsyncInferenceConfig"]["OutputConfig"]["NotificationConfig"] == told

    invoked = client.invoke(name, [1, 2], Accept="application/json", InferenceId="mine", CustomAttributes="trace=1")
    assert invoked["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert invoked["InferenceId"] == "mine"
    assert invoked["OutputLocation"].startswith(f"s3://{client.bucket}/answers/")
    assert client.answer(invoked) == {"asked": [1, 2]}
    message = client.told(successes)
    assert message["invocationStatus"] == "Completed"
    assert message["inferenceId"] == "mine"
    assert message["requestParameters"]["endpointName"] == name
    assert message["requestParameters"]["inputLocation"].startswith(f"s3://{client.bucket}/input")
    assert message["responseParameters"] == {
        "contentType": "application/json",
        "outputLocation": invoked["OutputLocation"],
    }
    assert json.loads(base64.b64decode(message["responseBody"]["content"])) == {"asked": [1, 2]}
    assert (message["eventSource"], message["eventName"]) == ("aws:sagemaker", "InferenceResult")

    inline = client.runtime.invoke_endpoint_async(
        EndpointName=name, Body=b'"hello"', Filename="mine.json", S3OutputPathExtension="today"
    )
    assert inline["OutputLocation"] == f"s3://{client.bucket}/answers/today/mine.json"
    assert inline["FailureLocation"] == f"s3://{client.bucket}/failures/today/mine-error.out"
    assert client.answer(inline) == {"asked": "hello"}

    failed = client.invoke(name, "fail")
    assert b"does not like that" in client.failure(failed)
    message = client.told(errors)
    assert message["invocationStatus"] == "Failed"
    assert "Received server error (500)" in message["failureReason"]
    assert message["responseParameters"]["outputLocation"] == failed["FailureLocation"]
    assert "responseBody" not in message
    assert client.object(failed["OutputLocation"]) is None

    missing = client.invoke(name, 1, InputLocation=f"s3://{client.bucket}/nothing")
    assert "NoSuchKey" in json.loads(client.failure(missing))["failureReason"]
    assert "NoSuchKey" in client.told(errors)["failureReason"]

    late = client.invoke(name, {"gate": gate.url}, InvocationTimeoutSeconds=1)
    assert "timed out" in json.loads(client.failure(late))["failureReason"]
    assert "timed out" in client.told(errors)["failureReason"]


def test_requests_go_the_way_that_their_endpoint_has(client: Client) -> None:
    model = client.model(archive())
    name = client.endpoint(client.config(model))
    with pytest.raises(ClientError, match="takes asynchronous requests only"):
        client.runtime.invoke_endpoint(EndpointName=name, Body=b"1")
    with pytest.raises(ClientError, match="exactly one"):
        client.runtime.invoke_endpoint_async(EndpointName=name)
    with pytest.raises(ClientError, match="exactly one"):
        client.runtime.invoke_endpoint_async(EndpointName=name, Body=b"1", InputLocation="s3://b/k")
    with pytest.raises(ClientError, match="not found"):
        client.runtime.invoke_endpoint_async(EndpointName="nobody", Body=b"1")
    with pytest.raises(ClientError, match="does not name a place in S3"):
        client.runtime.invoke_endpoint_async(EndpointName=name, InputLocation="https://example.com/k")


def test_requests_wait_for_capacity_and_their_turn(client: Client, gate: Gate) -> None:
    name = client.endpoint(client.config(client.model(archive())))
    client.scale(name, 0)
    assert client.settled(name)["ProductionVariants"][0]["DesiredInstanceCount"] == 0
    invoked = [client.invoke(name, {"gate": gate.url, "number": number}) for number in range(5)]
    assert client.object(invoked[0]["OutputLocation"]) is None
    client.scale(name, 2)
    client.settled(name)
    eventually(lambda: gate.arrived == 2)  # one for each instance
    gate.open.set()
    assert [client.answer(one)["asked"]["number"] for one in invoked] == list(range(5))


def test_containers_pass_on_what_is_large(client: Client) -> None:
    name = client.endpoint(client.config(client.model(archive(), archive())))
    body = bytes(range(256)) * 4096 * 120
    invoked = client.invoke(name, body, ContentType="application/octet-stream")
    assert eventually(lambda: client.object(invoked["OutputLocation"])) == body
