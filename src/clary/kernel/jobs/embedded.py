"""The platform as a shim sees it, opened by the home folder alone; each part when it is first used."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from clary.kernel.core.clock import Clock
from clary.kernel.events import Waker
from clary.kernel.jobs.services import ObjectStore
from clary.kernel.kv import KeyValue, open_kv
from clary.kernel.telemetry import Logs, Metrics
from clary.kernel.telemetry.metrics import Datum


class HomeServices:
    """The services of one home, for one account and region."""

    def __init__(self, home: Path, account: str, region: str, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._waker = Waker(home)
        self._kvs: dict[str, KeyValue] = {}
        self.telemetry = HomeTelemetry(self, account, region)

    @cached_property
    def objects(self) -> ObjectStore:
        from clary.kernel.jobs.staged_objects import StagedObjects

        return StagedObjects(self._home, self.kv("objects"), self._clock)

    @cached_property
    def logs(self) -> Logs:
        return Logs(self.kv("logs"), self._clock)

    @cached_property
    def metrics(self) -> Metrics:
        return Metrics(self.kv("metrics"), self._clock)

    def kv(self, domain: str) -> KeyValue:
        if domain not in self._kvs:
            self._kvs[domain] = open_kv(self._home, domain)
        return self._kvs[domain]

    def wake(self, topic: str, key: str) -> None:
        self._waker.wake(topic, key)


class HomeTelemetry:
    """Log streams and metrics of one account and region."""

    def __init__(self, services: HomeServices, account: str, region: str) -> None:
        self._services = services
        self._account = account
        self._region = region

    def log(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        self._services.logs.append(self._account, self._region, group, stream, events)

    def metric(self, namespace: str, dimensions: dict[str, str], values: Sequence[tuple[str, float, float]]) -> None:
        data = [Datum(name, dimensions, value, timestamp=time, resolution=1) for name, value, time in values]
        self._services.metrics.put(self._account, self._region, namespace, data)
