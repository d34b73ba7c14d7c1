"""Endpoints outlive the processes that made them, and come back after all have gone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from clary.kernel.jobs.contract import Observation
from clary.kernel.jobs.folder import HostFolder, hosts
from clary.systems.endpoints.tests.conftest import Serving, script_model
from clary.testing import eventually, kill, start_server, stop_server

pytestmark = pytest.mark.slow


@pytest.fixture
def own(tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Serving]:
    """Endpoints on a server of this test alone."""
    serving = Serving(start_server(tmp_path / "home", warm_interpreters=False), unique)
    yield serving
    stop_server(serving.server)


def again(serving: Serving) -> Serving:
    """The same home, served anew."""
    return Serving(start_server(serving.server.home, warm_interpreters=False), serving.unique)


def answers(serving: Serving, name: str) -> Any:
    try:
        return json.loads(serving.ask(name, "[1]"))
    except (ClientError, BotoCoreError):
        return None


def running(serving: Serving) -> dict[str, int | None]:
    """The process of each server by its job."""
    return {job: one.pid for job, one in servers(serving).items()}


def servers(serving: Serving) -> dict[str, Observation]:
    home = serving.server.home
    seen = {job: HostFolder(home, job, host).observe() for job, host in hosts(home)}
    return {job: one for job, one in seen.items() if one is not None and not one.ended}


def test_a_model_server_outlives_gateway_and_controller(own: Serving) -> None:
    name = own.in_service(own.config(own.model(script_model())))
    before, ours = servers(own), running(own)
    kill(*psutil.Process(own.server.process.pid).children())
    assert eventually(lambda: answers(own, name)) == [2]
    assert running(own) == ours

    shim = next(iter(before.values())).shim_pid
    assert shim is not None
    psutil.Process(shim).kill()
    eventually(lambda: servers(own) and servers(own).keys() != before.keys())
    assert eventually(lambda: answers(own, name)) == [2]
    assert own.describe(name)["EndpointStatus"] == "InService"


def test_endpoints_come_back_after_the_server_was_down(own: Serving) -> None:
    name = own.in_service(own.config(own.model(script_model())))
    stop_server(own.server)
    assert servers(own) == {}
    own.server = again(own).server
    restarted = Serving(own.server, own.unique)
    assert eventually(lambda: answers(restarted, name)) == [2]


def test_what_was_asked_before_a_crash_is_done_after_it(own: Serving) -> None:
    config = own.config(own.model(script_model()))
    kept, dropped = own.endpoint(config), own.endpoint(config)
    supervisor = psutil.Process(own.server.process.pid)
    kill(supervisor, *supervisor.children())
    own.server.process.wait()
    own.server = again(own).server
    restarted = Serving(own.server, own.unique)
    restarted.sagemaker.delete_endpoint(EndpointName=dropped)
    assert restarted.settled(kept)["EndpointStatus"] == "InService"
    assert answers(restarted, kept) == [2]
    eventually(lambda: len(servers(restarted)) == 1)
