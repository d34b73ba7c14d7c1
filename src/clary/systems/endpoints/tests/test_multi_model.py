"""Many models behind one real server that has no room for all of them."""

import json
import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.kernel.core.clock import SystemClock
from clary.kernel.jobs.folder import HostFolder
from clary.kernel.jobs.health import connection_to
from clary.kernel.rooms import Platform
from clary.kernel.serving.routes import DOMAIN, Target, load_route, route_key
from clary.systems.endpoints.records import Endpoint
from clary.systems.endpoints.tests.conftest import BUCKET, ROLE, SKLEARN, Serving, archive
from clary.testing import eventually

MIB = 1024**2
BALLAST_MIB = 24
CAP_MIB = 512
MODELS = 50

SCRIPT = """
import json, os, signal

def model_fn(model_dir):
    with open(os.path.join(model_dir, "weights.json")) as file:
        model = json.load(file)
    if model["factor"] is None:
        raise ValueError("this model has no factor")
    return model | {"ballast": bytearray(os.urandom(1 << 20)) * model["ballast"]}

def transform_fn(model, body, content_type, accept):
    value = json.loads(body)
    if value == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return json.dumps(model["factor"] * value), "application/json"
"""


def model(factor: int | None, ballast: int = 1) -> bytes:
    weights = json.dumps({"factor": factor, "ballast": ballast}).encode()
    return archive({"weights.json": weights, "code/inference.py": SCRIPT.encode()})


class ManyModels:
    """A prefix of models, and an endpoint that serves them."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.platform = Platform(serving.server.settings)
        self.platform.objects.buckets.ensure(BUCKET, "000000000000", "us-east-1")
        self.prefix = f"{serving.unique('many')}/"
        self.endpoint = ""

    def put(self, name: str, data: bytes) -> None:
        self.platform.objects.put_bytes(BUCKET, self.prefix + name, data)

    def deploy(self, environment: dict[str, str] | None = None, count: int = 1, **container: Any) -> None:
        serving = self.serving
        name = serving.unique("many")
        primary = {
            "Image": SKLEARN,
            "Mode": "MultiModel",
            "ModelDataUrl": f"s3://{BUCKET}/{self.prefix}",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py"} | (environment or {}),
        }
        serving.sagemaker.create_model(ModelName=name, PrimaryContainer=primary | container, ExecutionRoleArn=ROLE)
        self.endpoint = serving.in_service(serving.config(name, count=count))

    def ask(self, name: str, value: object) -> Any:
        """The model's answer, once it is loaded: as AWS says, clients try again when it is not in time."""
        while True:
            try:
                return json.loads(self.serving.ask(self.endpoint, json.dumps(value), TargetModel=name))
            except ClientError as error:
                if error.response["Error"]["Code"] != "ModelNotReadyException":
                    raise

    def target(self) -> Target:
        table = self.platform.kv(DOMAIN).get(route_key("000000000000", "us-east-1", self.endpoint))
        assert table is not None
        return load_route(table).targets[0]

    def loaded(self) -> int:
        """How many models the servers say they have."""
        total = 0
        for (place,) in self.target().servers.values():
            connection = connection_to(Path(place.removeprefix("unix:")), 30)
            connection.request("GET", "/models")
            total += len(json.loads(connection.getresponse().read())["models"])
            connection.close()
        return total

    def kill_server(self) -> None:
        """Kill the server of the one instance, as if by accident."""
        entry = self.platform.records(Endpoint).within("000000000000", "us-east-1").get(self.endpoint)
        assert entry is not None
        ((job, hosts),) = entry.value.jobs.items()
        seen = HostFolder(self.platform.settings.home, job, hosts[0]).observe()
        assert seen is not None
        assert seen.pid is not None
        os.kill(seen.pid, signal.SIGKILL)

    def metric(self, name: str, statistic: str, namespace: str = "AWS/SageMaker") -> float:
        """A statistic over the last hour; 0 when there are no data."""
        now = SystemClock().now()
        answer = self.serving.server.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": "EndpointName", "Value": self.endpoint}, {"Name": "VariantName", "Value": "v0"}],
            StartTime=now - 3600,
            EndTime=now + 60,
            Period=3660,
            Statistics=[statistic],
        )
        points = answer["Datapoints"]
        return float(points[0][statistic]) if points else 0.0

    def close(self) -> None:
        self.platform.close()


@pytest.fixture
def many(serving_models: Serving) -> Iterator[ManyModels]:
    made = ManyModels(serving_models)
    yield made
    made.close()


@pytest.mark.slow
def test_fifty_models_where_there_is_room_for_some(many: ManyModels) -> None:
    names = [f"m-{number}.tar.gz" for number in range(MODELS)]
    for factor, name in enumerate(names):
        many.put(name, model(factor, BALLAST_MIB))
    many.deploy({"SM_MEMORY_BYTES": str(CAP_MIB * MIB)})
    assert many.loaded() == 0
    order = [*names, *random.Random(3).choices(names, k=MODELS // 2)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda name: many.ask(name, 7), order))
    assert answers == [7 * names.index(name) for name in order]
    assert 4 <= many.loaded() <= CAP_MIB // BALLAST_MIB
    eventually(lambda: many.metric("ModelCacheHit", "SampleCount") == len(order))
    hits = int(many.metric("ModelCacheHit", "Sum"))
    assert 0 < many.metric("ModelUnloadingTime", "SampleCount") <= len(order) - hits
    assert many.metric("ModelLoadingTime", "SampleCount") <= len(order) - hits
    assert many.metric("ModelDownloadingTime", "SampleCount") == MODELS
    assert many.metric("ModelLoadingWaitTime", "Maximum") > 1000
    assert many.metric("LoadedModelCount", "Maximum", "/aws/sagemaker/Endpoints") <= CAP_MIB // BALLAST_MIB
    # The model asked last stays while others come and go.
    for name in names[:10]:
        many.ask(name, 1)
        many.ask(names[-1], 1)
    eventually(lambda: many.metric("ModelCacheHit", "SampleCount") == len(order) + 20)
    assert many.metric("ModelCacheHit", "Sum") >= hits + 9


def test_models_come_go_and_fail_by_themselves(many: ManyModels) -> None:
    many.put("first.tar.gz", model(2))
    many.put("odd.tar.gz", model(None))
    many.put("broken.tar.gz", model(3)[:-20])
    many.deploy()
    assert many.ask("first.tar.gz", 4) == 8
    many.put("deep/er/second one.tar.gz", model(5))
    assert many.ask("deep/er/second one.tar.gz", 4) == 20
    for name, code, message in (
        ("odd.tar.gz", "ModelError", "this model has no factor"),
        ("broken.tar.gz", "ValidationError", "Failed to download model data"),
        ("nowhere.tar.gz", "ValidationError", f"s3://{BUCKET}/{many.prefix}nowhere.tar.gz"),
        ("../first.tar.gz", "ValidationError", "Failed to download model data"),
    ):
        with pytest.raises(ClientError, match=message) as caught:
            many.ask(name, 4)
        assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="missing a target model header"):
        many.serving.ask(many.endpoint, "4")
    assert many.loaded() == 2
    with pytest.raises(ClientError) as caught:
        many.ask("first.tar.gz", "crash")
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert many.ask("deep/er/second one.tar.gz", 3) == 15
    assert many.ask("first.tar.gz", 5) == 10
    before = many.target().servers
    many.kill_server()
    eventually(lambda: many.target().servers not in (before, {}))
    assert many.ask("first.tar.gz", 6) == 12, "a server that starts again has its models loaded again"
    many.put("first.tar.gz", model(9))
    assert many.ask("first.tar.gz", 6) == 12, "what is loaded stays as it is"


def test_models_that_are_not_cached_are_unloaded_after_each_request(many: ManyModels) -> None:
    many.put("a.tar.gz", model(2))
    many.deploy(MultiModelConfig={"ModelCacheSetting": "Disabled"})
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(lambda _: many.ask("a.tar.gz", 4), range(9))) == {8}
    eventually(lambda: many.loaded() == 0)
    many.put("a.tar.gz", model(3))
    assert many.ask("a.tar.gz", 4) == 12


def test_models_are_checked(serving_models: Serving) -> None:
    create, url = serving_models.sagemaker.create_model, serving_models.store(b"x")
    prefix = url.removesuffix("model.tar.gz")
    source = {"S3DataSource": {"S3Uri": prefix, "S3DataType": "S3Prefix", "CompressionType": "None"}}
    multi = {"Image": SKLEARN, "Mode": "MultiModel"}
    good = multi | {"ModelDataUrl": prefix}
    named = [good | {"ContainerHostname": "a"}, {"Image": SKLEARN, "ContainerHostname": "b"}]
    for members, message in (
        ({"PrimaryContainer": multi | {"ModelDataUrl": url}}, "ends with a slash"),
        ({"PrimaryContainer": multi}, "ends with a slash"),
        ({"PrimaryContainer": multi | {"ModelDataSource": source}}, "ModelDataSource cannot be used"),
        ({"PrimaryContainer": multi | {"ModelDataUrl": f"{prefix}nothing/"}}, "Could not find model data"),
        ({"PrimaryContainer": {"Image": SKLEARN, "MultiModelConfig": {}}}, "for containers of Mode MultiModel"),
        ({"Containers": [good, good]}, "only one container of Mode MultiModel"),
        ({"Containers": named, "InferenceExecutionConfig": {"Mode": "Direct"}}, "invoked directly"),
    ):
        with pytest.raises(ClientError, match=message):
            create(ModelName=serving_models.unique("bad"), ExecutionRoleArn=ROLE, **members)
    name = serving_models.unique("many")
    create(ModelName=name, PrimaryContainer=good, ExecutionRoleArn=ROLE)
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    variants = [{"VariantName": "v0", "ModelName": name, "ServerlessConfig": serverless}]
    with pytest.raises(ClientError, match="serverless variants have one model"):
        serving_models.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    variants = [{"VariantName": f"v{n}", "ModelName": name, "InstanceType": "ml.m5.large"} for n in range(2)]
    variants = [variant | {"InitialInstanceCount": 1} for variant in variants]
    with pytest.raises(ClientError, match="cannot have or be a shadow"):
        serving_models.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=variants[:1], ShadowProductionVariants=variants[1:]
        )
    queued = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/answers/"}}
    with pytest.raises(ClientError, match="leave out AsyncInferenceConfig"):
        serving_models.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=variants[:1], AsyncInferenceConfig=queued
        )
