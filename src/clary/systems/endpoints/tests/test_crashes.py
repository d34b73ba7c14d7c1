"""The reconciler dies at one crossing after another, before or after it; whoever comes next finishes the work."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from clary.executors.process import ProcessExecutor
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.rooms.tests.crossings import Crash, Faulty, Fuse
from clary.kernel.rooms.tests.in_process import calling
from clary.kernel.serving.routes import DOMAIN, Route, component_key, dump_route, load_route, route_key, write_route
from clary.systems.endpoints import deploy, shifting
from clary.systems.endpoints.reconcile.endpoints import reconcile
from clary.systems.endpoints.records import Endpoint
from clary.systems.endpoints.tests.conftest import script_model

pytestmark = pytest.mark.slow

ACCOUNT, REGION = "000000000000", "us-east-1"
KEY = f"{ACCOUNT}/{REGION}/e"


class Scene:
    """A home without a server, in which the reconciler is run by hand."""

    def __init__(self, home: Path, fuse: Fuse) -> None:
        settings = Settings.load({}, home=str(home), warm_interpreters=False)
        (home / "run").mkdir(parents=True)
        self.platform = Platform(settings)
        self.executor = ProcessExecutor(settings.home, warm=False)
        self.platform.executor = Faulty(self.executor, {"start", "stop", "forget"}, fuse)
        self._pause = Event()
        self._store = self.platform.store
        self._kv = self.platform.kv(DOMAIN)
        self._guarded_store = Faulty(self._store, {"apply"}, fuse)
        self._guarded_kv = Faulty(self._kv, {"write"}, fuse)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return calling(self.platform, "sagemaker", ACCOUNT, REGION)(operation, **params)

    def config(self, name: str) -> None:
        self.platform.objects.buckets.ensure("models", ACCOUNT, REGION)
        self.platform.objects.put_bytes("models", name, script_model(name))
        container = {
            "Image": "python:3",
            "ModelDataUrl": f"s3://models/{name}",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
        }
        variant = {"VariantName": "All", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self.call("CreateModel", ModelName=name, PrimaryContainer=container)
        self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[variant])

    def drive(self, until: Callable[[], bool]) -> None:
        for _ in range(3600):
            for key in (KEY, None):
                self._run(key)
            if until():
                return
            self._pause.wait(0.05)
        raise AssertionError(f"it did not get there: {self.endpoint()}")

    def _run(self, key: str | None) -> None:
        vars(self.platform)["store"] = self._guarded_store
        self.platform._kvs[DOMAIN] = self._guarded_kv
        try:
            reconcile(self.platform, key)
        except Crash:
            return  # the next run is another process's
        finally:
            vars(self.platform)["store"] = self._store
            self.platform._kvs[DOMAIN] = self._kv

    def endpoint(self) -> Endpoint | None:
        entry = self.platform.records(Endpoint).within(ACCOUNT, REGION).get("e")
        return entry.value if entry else None

    def serves(self, config: str) -> bool:
        endpoint = self.endpoint()
        return endpoint is not None and endpoint.status == deploy.IN_SERVICE and endpoint.config == config

    def route(self) -> list[str]:
        table = self._kv.get(route_key(ACCOUNT, REGION, "e"))
        targets = load_route(table).targets if table else []
        return [place for target in targets for server in target.servers.values() for place in server]

    def close(self) -> None:
        self.executor.end_all(forget=True)
        self.executor.close()
        self.platform.close()


CANARY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
            "WaitIntervalInSeconds": 0,
        }
    }
}


def live(scene: Scene, deployment: dict[str, Any] | None = None) -> None:
    """The life of an endpoint: created, updated, deleted."""
    scene.config("one")
    scene.config("two")
    scene.call("CreateEndpoint", EndpointName="e", EndpointConfigName="one")
    scene.drive(lambda: scene.serves("one"))
    assert len(scene.route()) == 1
    how = {"DeploymentConfig": deployment} if deployment else {}
    scene.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="two", **how)
    scene.drive(lambda: scene.serves("two") and len(scene.executor.hosts()) == 1)
    assert len(scene.route()) == 1
    scene.call("DeleteEndpoint", EndpointName="e")
    scene.drive(lambda: scene.endpoint() is None and not scene.executor.hosts())
    assert scene.route() == []


@pytest.fixture(autouse=True)
def _drained_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(shifting, "SETTLE_SECONDS", 0.05)


@pytest.mark.parametrize(("after", "deployment"), [(False, None), (True, CANARY)])
def test_a_crash_anywhere_is_healed(tmp_path: Path, after: bool, deployment: dict[str, Any] | None) -> None:
    """One deployment is crashed before every third call, the other after."""
    plain = Fuse(None)
    scene = Scene(tmp_path / "home", plain)
    live(scene, deployment)
    scene.close()
    assert plain.crossings > 20, "the crossings were not counted"
    for crossing in range(3 * after, plain.crossings, 6):
        scene = Scene(tmp_path / f"home-{crossing}", Fuse(crossing))
        try:
            live(scene, deployment)
        finally:
            scene.close()


def test_tables_that_no_record_names_are_taken_out(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "home", Fuse(None))
    try:
        kv = scene.platform.kv(DOMAIN)
        gone = [route_key(ACCOUNT, REGION, "gone"), component_key(ACCOUNT, REGION, "gone", "component")]
        for key in gone:
            write_route(kv, key, dump_route(Route([])))
        reconcile(scene.platform, None)
        assert [kv.get(key) for key in gone] == [None, None]
    finally:
        scene.close()


def test_a_server_whose_shim_died_at_birth_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path / "home", Fuse(None))
    monkeypatch.setattr("clary.kernel.jobs.folder.START_PATIENCE_SECONDS", 0.2)
    answers = iter([True])  # the nursery forked it, and it was killed before its first word
    monkeypatch.setattr(scene.executor, "_ask", lambda request: next(answers, False))
    try:
        scene.config("one")
        scene.call("CreateEndpoint", EndpointName="e", EndpointConfigName="one")
        scene.drive(lambda: scene.serves("one"))
    finally:
        scene.close()
