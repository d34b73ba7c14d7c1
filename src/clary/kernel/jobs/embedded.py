"""The platform as a shim sees it, opened by the home folder alone; each part when it is first used."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from clary.kernel.auth import policies
from clary.kernel.auth.directory import Directory
from clary.kernel.auth.keys import REMEMBERED_SECONDS
from clary.kernel.auth.policies import Permissions
from clary.kernel.auth.principals import Principal
from clary.kernel.core.arns import parse_arn
from clary.kernel.core.clock import Clock
from clary.kernel.core.errors import AwsError
from clary.kernel.events import Waker
from clary.kernel.jobs.services import ClientFault, Item, split_uri
from clary.kernel.kv import open_kv
from clary.kernel.objects import Objects, open_objects
from clary.kernel.store.sql import open_sqlite
from clary.kernel.telemetry import Logs, Metrics
from clary.kernel.telemetry.metrics import Datum


class HomeServices:
    """The services of one home, for one account and region; objects only as far as a role's policies go, if given."""

    def __init__(self, home: Path, account: str, region: str, clock: Clock, role: str = "") -> None:
        self._home = home
        self._role = role
        self._account = account
        self._clock = clock
        self._waker = Waker(home)
        self.telemetry = HomeTelemetry(self, account, region)

    @cached_property
    def _all_objects(self) -> Objects:
        return open_objects(self._home, open_kv(self._home, "objects"), self._clock)

    @cached_property
    def objects(self) -> "HomeObjects":
        limits = RoleLimits(self._home, self._role, self._clock) if self._role else None
        return HomeObjects(self._all_objects, self._account, limits)

    def package(self, uri: str) -> Path:
        bucket, key = split_uri(uri)
        try:
            return self._all_objects.local_path(bucket, key)
        except AwsError as error:
            raise _fault(error, bucket, key) from error

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
        if "_all_objects" in vars(self):
            self._all_objects.close()
        self._waker.close()


class RoleLimits:
    """What a role may do, as its policies said at most a second ago."""

    def __init__(self, home: Path, role: str, clock: Clock) -> None:
        self._store = open_sqlite(home / "records.db")
        self._directory = Directory(self._store, clock)
        self._role = role
        self._clock = clock
        self._principal: Principal | None = None
        self._read_at = 0.0

    def require(self, action: str, resource: str) -> None:
        """Raise AccessDenied unless the role may do this."""
        if self._principal is None or self._clock.monotonic() - self._read_at > REMEMBERED_SECONDS:
            self._principal = self._read()
            self._read_at = self._clock.monotonic()
        decision = policies.authorize(self._principal, action, resource)
        if not decision.allowed:
            raise policies.denied(self._principal, action, resource, decision)

    def _read(self) -> Principal:
        arn = parse_arn(self._role)
        name = arn.resource.rpartition("/")[2]
        role = self._directory.role(arn.account, name)
        allowed = Permissions(()) if role is None else self._directory.role_permissions(arn.account, role.value)
        return Principal("assumed-role", arn.account, name=name, session="SageMaker", permissions=allowed)

    def close(self) -> None:
        self._store.close()


class HomeObjects:
    """The objects that one account, or one role of it, may use. What S3 would refuse is the fault of who asked."""

    def __init__(self, objects: Objects, account: str, limits: RoleLimits | None = None) -> None:
        self._objects = objects
        self._account = account
        self._limits = limits

    def list(self, bucket: str, prefix: str) -> Iterator[Item]:
        try:
            self._require("s3:ListBucket", bucket)
            for found in self._objects.list(bucket, prefix, account=self._account):
                yield Item(found.key, found.size)
        except AwsError as error:
            raise _fault(error, bucket, prefix) from error

    def open(self, bucket: str, key: str) -> Path:
        try:
            self._require("s3:GetObject", f"{bucket}/{key}")
            return self._objects.local_path(bucket, key, account=self._account)
        except AwsError as error:
            raise _fault(error, bucket, key) from error

    def put(self, bucket: str, key: str, path: Path) -> None:
        try:
            self._require("s3:PutObject", f"{bucket}/{key}")
            self._objects.put_file(bucket, key, path, account=self._account)
        except AwsError as error:
            raise _fault(error, bucket, key) from error

    def close(self) -> None:
        if self._limits is not None:
            self._limits.close()

    def _require(self, action: str, place: str) -> None:
        if self._limits is not None:
            self._limits.require(action, f"arn:aws:s3:::{place}")


class HomeTelemetry:
    """Log streams and metrics of one account and region."""

    def __init__(self, services: HomeServices, account: str, region: str) -> None:
        self._services = services
        self._account = account
        self._region = region

    def log(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        self._services.logs.append(self._account, self._region, group, stream, events)

    def metric(
        self,
        namespace: str,
        dimensions: dict[str, str],
        values: Sequence[tuple[str, float, float]],
        unit: str = "None",
    ) -> None:
        data = [Datum(name, dimensions, value, timestamp=time, unit=unit) for name, value, time in values]
        self._services.metrics.put(self._account, self._region, namespace, data)


def _fault(error: AwsError, bucket: str, key: str) -> ClientFault:
    return ClientFault(f'"s3://{bucket}/{key}" cannot be used. {error.code}: {error.message}')
