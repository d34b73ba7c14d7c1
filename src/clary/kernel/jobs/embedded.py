"""The platform as a shim sees it, opened by the home folder alone; each part when it is first used."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from clary.kernel.core.clock import Clock
from clary.kernel.core.errors import AwsError
from clary.kernel.events import Waker
from clary.kernel.jobs.services import ClientFault, Item
from clary.kernel.kv import open_kv
from clary.kernel.objects import Objects, open_objects
from clary.kernel.telemetry import Logs, Metrics
from clary.kernel.telemetry.metrics import Datum


class HomeServices:
    """The services of one home, for one account and region."""

    def __init__(self, home: Path, account: str, region: str, clock: Clock) -> None:
        self._home = home
        self._account = account
        self._clock = clock
        self._waker = Waker(home)
        self.telemetry = HomeTelemetry(self, account, region)

    @cached_property
    def objects(self) -> "HomeObjects":
        return HomeObjects(open_objects(self._home, open_kv(self._home, "objects"), self._clock), self._account)

    @cached_property
    def logs(self) -> Logs:
        return Logs(open_kv(self._home, "logs"), self._clock)

    @cached_property
    def metrics(self) -> Metrics:
        return Metrics(open_kv(self._home, "metrics"), self._clock)

    def wake(self, topic: str, key: str) -> None:
        self._waker.wake(topic, key)

    def close(self) -> None:
        if "objects" in vars(self):
            self.objects.close()
        self._waker.close()


class HomeObjects:
    """The objects that one account may use. What S3 would refuse is the fault of who asked."""

    def __init__(self, objects: Objects, account: str) -> None:
        self._objects = objects
        self._account = account

    def list(self, bucket: str, prefix: str) -> Iterator[Item]:
        try:
            for found in self._objects.list(bucket, prefix, account=self._account):
                yield Item(found.key, found.size)
        except AwsError as error:
            raise _fault(error, bucket, prefix) from error

    def open(self, bucket: str, key: str) -> Path:
        try:
            return self._objects.local_path(bucket, key, account=self._account)
        except AwsError as error:
            raise _fault(error, bucket, key) from error

    def put(self, bucket: str, key: str, path: Path) -> None:
        try:
            self._objects.put_file(bucket, key, path, account=self._account)
        except AwsError as error:
            raise _fault(error, bucket, key) from error

    def close(self) -> None:
        self._objects.close()


class HomeTelemetry:
    """Log streams and metrics of one account and region."""

    def __init__(self, services: HomeServices, account: str, region: str) -> None:
        self._services = services
        self._account = account
        self._region = region

    def log(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        self._services.logs.append(self._account, self._region, group, stream, events)

    def metric(self, namespace: str, dimensions: dict[str, str], values: Sequence[tuple[str, float, float]]) -> None:
        data = [Datum(name, dimensions, value, timestamp=time) for name, value, time in values]
        self._services.metrics.put(self._account, self._region, namespace, data)


def _fault(error: AwsError, bucket: str, key: str) -> ClientFault:
    return ClientFault(f'"s3://{bucket}/{key}" cannot be used. {error.code}: {error.message}')
