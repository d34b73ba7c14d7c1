"""Asynchronous endpoints that serve real models, and a client's way to them."""

import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing import Server, eventually

ROLE = "arn:aws:iam::000000000000:role/Anything"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"

SCRIPT = """
import json, os, signal, time, urllib.request

def model_fn(model_dir):
    return model_dir

def input_fn(body, content_type):
    return body, content_type

def predict_fn(data, model):
    body, content_type = data
    if len(body) > 1000:
        return body, content_type
    asked = json.loads(body)
    if isinstance(asked, dict) and "gate" in asked:
        urllib.request.urlopen(asked["gate"]).read()
    if asked == "fail":
        raise ValueError("this model does not like that")
    if asked == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return json.dumps({"asked": asked}).encode(), "application/json"

def output_fn(prediction, accept):
    return prediction
"""


def archive(script: str = SCRIPT) -> bytes:
    """A model.tar.gz with a script."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(script.encode())
        tar.addfile(member, io.BytesIO(script.encode()))
    return packed.getvalue()


class Gate(ThreadingHTTPServer):
    """A gate that models wait at: their requests to `url` are answered when it is open. `arrived` counts them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keeper)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.arrived = 0
        self.open = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever waited was killed."""


class _Keeper(BaseHTTPRequestHandler):
    server: Gate

    def do_GET(self) -> None:
        self.server.arrived += 1
        self.server.open.wait()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


@dataclass
class Client:
    """What a user has: boto3, names that nobody else uses, and a bucket."""

    server: Server
    unique: Callable[[str], str]

    def __post_init__(self) -> None:
        self.sagemaker = self.server.client("sagemaker")
        self.runtime = self.server.client("sagemaker-runtime")
        self.s3 = self.server.client("s3")
        self.sqs = self.server.client("sqs")
        self.sns = self.server.client("sns")
        self.bucket = self.unique("bucket")
        self.s3.create_bucket(Bucket=self.bucket)
        self.deployed: list[str] = []

    def model(self, *data: bytes, **environment: str) -> str:
        """A model of as many containers as there are archives."""
        name = self.unique("model")
        containers = []
        for number, archived in enumerate(data, start=1):
            self.s3.put_object(Bucket=self.bucket, Key=f"{name}/{number}.tar.gz", Body=archived)
            containers.append(
                {
                    "Image": SKLEARN,
                    "ModelDataUrl": f"s3://{self.bucket}/{name}/{number}.tar.gz",
                    "Environment": {"SAGEMAKER_PROGRAM": "inference.py", **environment},
                }
            )
        self.sagemaker.create_model(ModelName=name, Containers=containers, ExecutionRoleArn=ROLE)
        return name

    def config(self, model: str, *, concurrency: int | None = None, **output: Any) -> str:
        name = self.unique("config")
        variant = {"VariantName": "v", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        paths = {
            "S3OutputPath": f"s3://{self.bucket}/answers",
            "S3FailurePath": f"s3://{self.bucket}/failures",
        }
        how: dict[str, Any] = {"OutputConfig": {**paths, **output}}
        if concurrency is not None:
            how["ClientConfig"] = {"MaxConcurrentInvocationsPerInstance": concurrency}
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], AsyncInferenceConfig=how
        )
        return name

    def endpoint(self, config: str) -> str:
        name = self.unique("endpoint")
        self.deployed.append(name)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        assert self.settled(name)["EndpointStatus"] == "InService"
        return name

    def settled(self, name: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            described: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            return None if described["EndpointStatus"] in {"Creating", "Updating"} else described

        found: dict[str, Any] = eventually(look)
        return found

    def scale(self, name: str, count: int) -> None:
        self.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "v", "DesiredInstanceCount": count}]
        )

    def put(self, body: bytes) -> str:
        key = self.unique("input")
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def invoke(self, name: str, asked: Any, **members: Any) -> dict[str, Any]:
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        given = {"ContentType": "application/json", "InputLocation": self.put(body)} | members
        answer: dict[str, Any] = self.runtime.invoke_endpoint_async(EndpointName=name, **given)
        return answer

    def object(self, uri: str) -> bytes | None:
        """What is stored at a URI; None while nothing is."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            found: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        return found

    def answer(self, invoked: dict[str, Any]) -> Any:
        return json.loads(eventually(lambda: self.object(invoked["OutputLocation"])))

    def failure(self, invoked: dict[str, Any]) -> bytes:
        found: bytes = eventually(lambda: self.object(invoked["FailureLocation"]))
        return found

    def topic(self) -> tuple[str, str]:
        """A topic, and the queue that gets what is published to it."""
        name = self.unique("topic")
        topic: str = self.sns.create_topic(Name=name)["TopicArn"]
        queue: str = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        return topic, queue

    def told(self, queue: str) -> dict[str, Any]:
        """The next notification."""

        def look() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")
            return found

        (message,) = eventually(look)
        self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        told: dict[str, Any] = json.loads(message["Body"])
        return told

    def delete_all(self) -> None:
        for name in self.deployed:
            try:
                self.sagemaker.delete_endpoint(EndpointName=name)
            except ClientError:
                continue  # the test deleted it


@pytest.fixture
def client(server: Server, unique: Callable[[str], str]) -> Iterator[Client]:
    made = Client(server, unique)
    yield made
    made.delete_all()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()
    made.shutdown()
    made.server_close()
