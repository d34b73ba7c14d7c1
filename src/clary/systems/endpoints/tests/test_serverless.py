"""Serverless variants: instances that come with requests and go without them."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.kernel.rooms import Platform
from clary.kernel.serving.demand import Demand, demand_key, forget_old
from clary.kernel.serving.routes import DOMAIN
from clary.systems.endpoints import deploy
from clary.systems.endpoints.fleets import build_fleet
from clary.systems.endpoints.instances import new_instance
from clary.systems.endpoints.records import Endpoint, EndpointConfig, Model
from clary.systems.endpoints.serverless import meet
from clary.systems.endpoints.tests.conftest import Serving, script_model
from clary.testing import eventually
from clary.testing import serving as serving_in

NOW, IDLE = 1000.0, 300.0

SLOW = """
import pathlib, time

def model_fn(model_dir):
    return pathlib.Path(model_dir)

def predict_fn(data, model):
    time.sleep(float(data.ravel()[0]))
    return [1]
"""


def endpoint(**config: int) -> Endpoint:
    """An endpoint in service whose one serverless variant has no instance."""
    given = {"MemorySizeInMB": 1024, "MaxConcurrency": 3, **config}
    variant = {"VariantName": "All", "ModelName": "m", "ServerlessConfig": given}
    model = Model({"PrimaryContainer": {"Image": "sagemaker-xgboost:1.7-1"}})
    fleet = build_fleet("c", EndpointConfig({"ProductionVariants": [variant]}), {"m": model}, NOW)
    fleet = replace(fleet, variants=[replace(one, instances=[]) for one in fleet.variants])
    return Endpoint("c", deploy.IN_SERVICE, "r", serving=fleet)


def wanted(before: Endpoint, *demands: Demand, now: float = NOW) -> int:
    after = meet(before, {"All": demands}, IDLE, now)
    assert after.serving is not None
    return after.serving.variants[0].desired_count


def test_instances_follow_the_demand_within_bounds() -> None:
    assert wanted(endpoint()) == 0
    assert wanted(endpoint(), Demand(1, NOW), Demand(1, NOW - 10)) == 2
    assert wanted(endpoint(), Demand(9, NOW)) == 3
    assert wanted(endpoint(), Demand(2, NOW - IDLE)) == 0
    assert wanted(endpoint(ProvisionedConcurrency=2)) == 2


def test_an_instance_stays_for_a_while_though_nobody_needs_it() -> None:
    before = endpoint()
    assert before.serving is not None
    fresh = replace(deploy.new_instance(["primary"]), healthy_since=NOW)
    variant = replace(before.serving.variants[0], instances=[fresh])
    before = replace(before, serving=replace(before.serving, variants=[variant]))
    assert wanted(before, now=NOW + IDLE - 1) == 1
    assert wanted(before, now=NOW + IDLE) == 0


def test_what_gateways_told_long_ago_is_forgotten(platform: Platform) -> None:
    kv, keys = platform.kv(DOMAIN), [demand_key("a", "r", "e", "All", gateway) for gateway in ("old", "new")]
    for key, at in zip(keys, (NOW - IDLE - 1, NOW), strict=True):
        kv.write(lambda transaction, key=key, at=at: transaction.put(key, Demand(1, at).dump()))
    forget_old(kv, NOW - IDLE)
    assert [kv.get(key) is None for key in keys] == [True, False]


def test_instances_come_with_requests_while_an_update_is_under_way() -> None:
    before = endpoint()
    assert before.serving is not None
    new = replace(before.serving, variants=[replace(before.serving.variants[0], instances=[new_instance(["primary"])])])
    before = meet(replace(before, status=deploy.UPDATING, deploying=new), {"All": [Demand(2, NOW)]}, IDLE, NOW)
    after = deploy.advance(before, {job: None for job in before.jobs}, {}, NOW)
    assert after is not None
    assert after.serving is not None
    assert (after.status, after.deploying, len(after.serving.instances)) == (deploy.UPDATING, new, 2)


@pytest.fixture
def short_lived(tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Serving]:
    """Endpoints on a server that lets idle instances go after a few seconds."""
    with serving_in(tmp_path / "home", "--ephemeral", serverless_idle_seconds=4) as server:
        yield Serving(server, unique)


def create(serving: Serving, script: str, **config: int) -> str:
    name = serving.unique("config")
    variant = {
        "VariantName": "All",
        "ModelName": serving.model(script_model(script=script)),
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 2, **config},
    }
    serving.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return serving.in_service(name)


@pytest.mark.slow
def test_from_nothing_to_as_many_as_needed_and_back(short_lived: Serving) -> None:
    name = create(short_lived, SLOW)
    shown = short_lived.describe(name)["ProductionVariants"][0]
    assert shown["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
    assert "CurrentInstanceCount" not in shown

    def instances() -> int:
        platform = Platform(short_lived.server.settings)
        try:
            found = platform.records(Endpoint).within("000000000000", "us-east-1").get(name)
        finally:
            platform.close()
        assert found is not None
        assert found.value.serving is not None
        return len(found.value.serving.instances)

    eventually(lambda: instances() == 0)

    def outcome(seconds: float) -> Any:
        try:
            return json.loads(short_lived.ask(name, f"[{seconds}]"))
        except ClientError as error:
            return error.response["Error"]["Code"]

    def once_let_in(seconds: float) -> Any:
        return eventually(lambda: found if (found := outcome(seconds)) != "ThrottlingException" else None)

    assert outcome(0) == [1]  # a cold start
    enough = threading.Event()

    def keep_busy() -> list[Any]:
        answers = []
        while not enough.is_set():
            answers.append(once_let_in(2))
        return answers

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(keep_busy) for _ in range(2)]
        try:
            eventually(lambda: outcome(0) == "ThrottlingException")
        finally:
            enough.set()
        assert all(answer == [1] for one in both for answer in one.result())
    streamed = short_lived.runtime.invoke_endpoint_with_response_stream(
        EndpointName=name, Body="[0]", ContentType="application/json"
    )
    assert b"".join(event["PayloadPart"]["Bytes"] for event in streamed["Body"]) == b"[1]"

    update = {"VariantName": "All", "ServerlessUpdateConfig": {"MaxConcurrency": 3, "ProvisionedConcurrency": 1}}
    short_lived.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[update]
    )
    settled = short_lived.settled(name)["ProductionVariants"][0]["CurrentServerlessConfig"]
    assert settled == {"MemorySizeInMB": 2048, "MaxConcurrency": 3, "ProvisionedConcurrency": 1}


def test_what_no_serverless_variant_can_have_is_refused(serving_models: Serving) -> None:
    model = serving_models.model(script_model())

    def refused(match: str, *variants: dict[str, Any]) -> None:
        with pytest.raises(ClientError, match=match):
            serving_models.sagemaker.create_endpoint_config(
                EndpointConfigName=serving_models.unique("config"), ProductionVariants=list(variants)
            )

    config = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    one = {"VariantName": "one", "ModelName": model, "ServerlessConfig": config}
    refused("only one", one, {**one, "VariantName": "two"})
    refused("leave out InstanceType", {**one, "InstanceType": "ml.m5.large"})
    refused("must be 1024, 2048", {**one, "ServerlessConfig": {**config, "MemorySizeInMB": 1500}})
    refused("must not be more than", {**one, "ServerlessConfig": {**config, "ProvisionedConcurrency": 2}})
