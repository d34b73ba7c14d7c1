"""Real models, and a client's way to an endpoint that serves them."""

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.kernel.rooms import Platform
from clary.testing import Server, eventually

ROLE = "arn:aws:iam::000000000000:role/Anything"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
BUCKET = "models"

SCRIPT = """
import json, os, signal, sys, time

def model_fn(model_dir):
    with open(os.path.join(model_dir, "weights.json")) as file:
        return json.load(file)

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    if data == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if data == "fail":
        raise ValueError("this model does not like that")
    if data == "who":
        return model["name"]
    print("scoring", data, flush=True)
    return [model["factor"] * value for value in data]

def output_fn(prediction, accept):
    return json.dumps(prediction), "application/json"
"""


def archive(files: dict[str, bytes]) -> bytes:
    """A model.tar.gz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def script_model(name: str = "first", factor: int = 2, script: str = SCRIPT) -> bytes:
    weights = f'{{"name": "{name}", "factor": {factor}}}'.encode()
    return archive({"weights.json": weights, "code/inference.py": script.encode()})


@dataclass
class Serving:
    """Endpoints through a boto3 client, named by `unique`."""

    server: Server
    unique: Callable[[str], str]

    def __post_init__(self) -> None:
        self.sagemaker = self.server.client("sagemaker")
        self.runtime = self.server.client("sagemaker-runtime")
        self.deployed: list[str] = []

    def store(self, data: bytes) -> str:
        """Put model data into S3; return its URI."""
        platform = Platform(self.server.settings)
        try:
            platform.objects.buckets.ensure(BUCKET, "000000000000", "us-east-1")
            key = f"{self.unique('model')}/model.tar.gz"
            platform.objects.put_bytes(BUCKET, key, data)
        finally:
            platform.close()
        return f"s3://{BUCKET}/{key}"

    def model(self, data: bytes | None = None, image: str = SKLEARN, **members: Any) -> str:
        name = self.unique("model")
        container: dict[str, Any] = {"Image": image}
        if image == SKLEARN:
            container["Environment"] = {"SAGEMAKER_PROGRAM": "inference.py"}
        if data is not None:
            container["ModelDataUrl"] = self.store(data)
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, **members)
        return name

    def pipeline(self, *data: bytes, mode: str = "Serial") -> str:
        """A model of several containers, `step-1` and on, each with a script's model data."""
        name = self.unique("pipeline")
        containers = [
            {
                "ContainerHostname": f"step-{number}",
                "Image": SKLEARN,
                "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
                "ModelDataUrl": self.store(archived),
            }
            for number, archived in enumerate(data, start=1)
        ]
        how = {"Mode": mode}
        self.sagemaker.create_model(
            ModelName=name, Containers=containers, InferenceExecutionConfig=how, ExecutionRoleArn=ROLE
        )
        return name

    def config(self, *models: str, count: int = 1, **members: Any) -> str:
        name = self.unique("config")
        variants = [
            {
                "VariantName": f"v{number}",
                "ModelName": model,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": count,
            }
            | members
            for number, model in enumerate(models)
        ]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
        return name

    def endpoint(self, config: str) -> str:
        name = self.unique("endpoint")
        self.deployed.append(name)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return name

    def describe(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
        return described

    def settled(self, name: str) -> dict[str, Any]:
        """The endpoint once nothing is in progress."""
        busy = {"Creating", "Updating", "RollingBack", "Deleting"}
        return eventually(
            lambda: described if (described := self.describe(name))["EndpointStatus"] not in busy else None
        )

    def in_service(self, config: str) -> str:
        name = self.endpoint(config)
        described = self.settled(name)
        assert described["EndpointStatus"] == "InService", described.get("FailureReason")
        return name

    def ask(self, name: str, body: str | bytes, **members: Any) -> bytes:
        given = {"ContentType": "application/json"} | members
        answer: bytes = self.runtime.invoke_endpoint(EndpointName=name, Body=body, **given)["Body"].read()
        return answer

    def delete_all(self) -> None:
        for name in self.deployed:
            try:
                self.sagemaker.delete_endpoint(EndpointName=name)
            except ClientError:
                continue  # the test deleted it


@pytest.fixture
def serving_models(server: Server, unique: Callable[[str], str]) -> Iterator[Serving]:
    made = Serving(server, unique)
    yield made
    made.delete_all()


@pytest.fixture(scope="session")
def xgboost_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Any, Any]:
    """A model.tar.gz of a trained booster, some rows, and its own predictions of them."""
    xgboost = pytest.importorskip("xgboost")
    import numpy as np

    rng = np.random.default_rng(7)
    rows = rng.random((200, 5), dtype=np.float32)
    booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(rows, label=rows.sum(axis=1)), num_boost_round=10)
    path: Path = tmp_path_factory.mktemp("xgboost") / "xgboost-model"
    booster.save_model(f"{path}.json")
    data = archive({"xgboost-model": Path(f"{path}.json").read_bytes()})
    return data, rows[:10], booster.predict(xgboost.DMatrix(rows[:10]))
