"""Endpoints whose requests wait in a queue: what they may have that others may not, and how long their servers stay."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.tests.crossings import Fuse
from clary.kernel.serving.holds import hold, let_go
from clary.kernel.serving.routes import DOMAIN, load_route, route_key
from clary.systems.endpoints import deploy
from clary.systems.endpoints.tests.test_crashes import ACCOUNT, REGION, Scene

PATHS = {"S3OutputPath": "s3://bucket/answers"}
TOPIC = "arn:aws:sns:us-east-1:000000000000:topic"


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    made = Scene(tmp_path / "home", Fuse(None))
    yield made
    made.close()


def configure(scene: Scene, output: dict[str, Any], mode: str = "Serial", **variant: Any) -> None:
    container = {"Image": "python:3", "ContainerHostname": "one"}
    scene.call("CreateModel", ModelName="m", Containers=[container], InferenceExecutionConfig={"Mode": mode})
    scene.call(
        "CreateEndpointConfig",
        EndpointConfigName="c",
        ProductionVariants=[{"VariantName": "v", "ModelName": "m", **variant}],
        AsyncInferenceConfig={"OutputConfig": output},
    )


@pytest.mark.parametrize(
    ("output", "mode", "message"),
    [
        ({}, "Serial", "nobody would get the answers"),
        ({"S3OutputPath": "https://example.com/x"}, "Serial", "does not name a place in S3"),
        (
            PATHS | {"NotificationConfig": {"IncludeInferenceResponseIn": ["ERROR_NOTIFICATION_TOPIC"]}},
            "Serial",
            "needs",
        ),
        (PATHS, "Direct", "invoked directly"),
    ],
)
def test_what_no_endpoint_can_do_is_refused(scene: Scene, output: dict[str, Any], mode: str, message: str) -> None:
    with pytest.raises(AwsError, match=message):
        configure(scene, output, mode, InstanceType="ml.m5.large")


def test_serverless_variants_have_no_queue(scene: Scene) -> None:
    with pytest.raises(AwsError, match="is serverless"):
        configure(scene, PATHS, ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 1})


def test_the_table_says_how_requests_are_queued(scene: Scene) -> None:
    output = PATHS | {"NotificationConfig": {"SuccessTopic": TOPIC}}
    configure(scene, output, InstanceType="ml.m5.large")
    described = scene.call("DescribeEndpointConfig", EndpointConfigName="c")
    assert described["AsyncInferenceConfig"] == {"OutputConfig": output}
    scene.config("plain")
    scene.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    assert scene.call("DescribeEndpoint", EndpointName="e")["AsyncInferenceConfig"] == {"OutputConfig": output}
    scene.call("DeleteEndpoint", EndpointName="e")
    scene.drive(lambda: scene.endpoint() is None)


@pytest.mark.slow
def test_an_instance_stays_while_a_long_request_runs_on_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "REQUEST_SECONDS", 0.1)
    kv, now = scene.platform.kv(DOMAIN), scene.platform.clock.now
    scene.config("one")
    scene.config("two")
    scene.call("CreateEndpoint", EndpointName="e", EndpointConfigName="one")
    scene.drive(lambda: scene.serves("one"))
    endpoint = scene.endpoint()
    assert endpoint is not None
    assert endpoint.serving is not None
    (old,) = endpoint.serving.instances
    asyncio.run(hold(kv, old.id, now() + 600))
    scene.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
    scene.drive(lambda: scene.serves("two"))
    table = kv.get(route_key(ACCOUNT, REGION, "e"))
    assert table is not None
    assert old.id not in load_route(table).targets[0].servers
    looks = iter(range(20))

    def is_past_its_time() -> bool:
        found = scene.endpoint()
        assert found is not None
        (leaving,) = found.leaving
        return leaving.leave_at < now() and next(looks) == 10

    scene.drive(is_past_its_time)
    assert not any(one.ended for one in [scene.executor.observe(old.job, host) for host in old.hosts] if one)
    asyncio.run(let_go(kv, [old.id]))
    scene.drive(lambda: len(scene.executor.hosts()) == 1)
