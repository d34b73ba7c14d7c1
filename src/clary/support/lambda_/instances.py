"""The instances of functions: which there are, which there should be, and what is to be done about it.

An instance runs one state of one version, its *kind*: `<version>:<build>`. Its entry in the key-value domain `lambda`
is written before its host is started, and removed before what is kept of the host is.

    instance/<account>/<region>/<function>/<id>     an Instance
    servers/<account>/<region>/<function>/<kind>    a Servers: where invocations may be sent to now
    failure/<account>/<region>/<function>/<kind>    a Failure: that instances of the kind do not come up
    kept/<account>/<region>/<function>              that the function may have instances to be kept warm
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from clary.kernel.core.ids import new_id
from clary.kernel.jobs.contract import Observation
from clary.kernel.kv import KeyValue, Snapshot, after_prefix
from clary.kernel.serving.demand import Demand, instances_for

JOB_PREFIX = "function-"
HOST = "algo-1"
BELLS = "functions"

_INSTANCES = b"instance/"
_SERVERS = b"servers/"
_FAILURES = b"failure/"
_KEPT = b"kept/"
_STARTING_SECONDS = 60.0
_SILENT_SECONDS = 10.0
_LONGEST_SECONDS = 6 * 3600.0  # well within the time that its credentials last
_ANY_NUMBER = 1 << 30


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance. Times are epoch seconds, None for what has not been."""

    id: str
    kind: str
    memory_mb: int
    stream: str
    created_at: float
    healthy_at: float | None = None
    silent_since: float | None = None
    leaving: bool = False

    @property
    def job(self) -> str:
        return JOB_PREFIX + self.id

    @property
    def version(self) -> str:
        return self.kind.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses by instance id, oldest first: the youngest have least to do. `fault` says why there can be none."""

    servers: dict[str, str] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """How many instances of a kind in a row ended before they were healthy, the last of them when and why."""

    count: int
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of a function's instances: kept as they are here, forgotten, and how many started by kind."""

    keep: list[Instance]
    gone: list[Instance]
    failed: dict[str, str]
    start: dict[str, int]


def instance_key(function: str, identity: str) -> bytes:
    return instances_prefix(function) + identity.encode()


def instances_prefix(function: str) -> bytes:
    return _INSTANCES + f"{function}/".encode()


def kept_key(function: str) -> bytes:
    return _KEPT + function.encode()


def servers_key(function: str, kind: str) -> bytes:
    return servers_prefix(function) + kind.encode()


def servers_prefix(function: str) -> bytes:
    return _SERVERS + f"{function}/".encode()


def failure_key(function: str, kind: str) -> bytes:
    return failures_prefix(function) + kind.encode()


def failures_prefix(function: str) -> bytes:
    return _FAILURES + f"{function}/".encode()


def instances_of(kv: KeyValue | Snapshot, function: str) -> list[Instance]:
    """The instances of a function, oldest first."""
    prefix = instances_prefix(function)
    found = [Instance(**orjson.loads(data)) for _, data in kv.scan(prefix, after_prefix(prefix))]
    return sorted(found, key=lambda one: one.created_at)


def all_instances(kv: KeyValue | Snapshot) -> list[tuple[str, Instance]]:
    """Every instance of this machine, with its function."""
    return [
        (key.removeprefix(_INSTANCES).decode().rpartition("/")[0], Instance(**orjson.loads(data)))
        for key, data in kv.scan(_INSTANCES, after_prefix(_INSTANCES))
    ]


def functions_with(kv: KeyValue, prefix: bytes) -> set[str]:
    """The functions that have entries below one of the prefixes here, or of demands."""
    return {"/".join(key.decode().split("/")[1:4]) for key, _ in kv.scan(prefix, after_prefix(prefix))}


def new_instance(kind: str, memory_mb: int, day: str, now: float) -> Instance:
    identity = new_id()
    return Instance(identity, kind, memory_mb, f"{day}/[{kind.partition(':')[0]}]{identity}", now)


def plan(
    instances: Sequence[Instance],
    seen: Mapping[str, Observation | None],
    least: Mapping[str, int],
    demands: Mapping[str, Sequence[Demand]],
    idle_seconds: float,
    now: float,
) -> Plan:
    """What is to be done. `least` has every kind that there may be, with how many of it there are to be in any case."""
    found = Plan([], [], {}, {})
    for instance in instances:
        _look(found, instance, seen[instance.id], now)
    for kind in {*least, *(one.kind for one in found.keep)}:
        staying = [one for one in found.keep if one.kind == kind and not one.leaving]
        since = [one.healthy_at for one in staying if one.healthy_at is not None]
        wanted = (
            instances_for(demands.get(kind, ()), since, idle_seconds, now, least=least[kind], most=_ANY_NUMBER)
            if kind in least
            else 0
        )
        for instance in staying[wanted:]:
            found.keep[found.keep.index(instance)] = replace(instance, leaving=True)
        if wanted > len(staying):
            found.start[kind] = wanted - len(staying)
    return found


def _look(found: Plan, instance: Instance, seen: Observation | None, now: float) -> None:
    if seen is None:
        if instance.leaving:
            found.gone.append(instance)
        else:
            found.keep.append(instance)
        return
    if seen.ended:
        found.gone.append(instance)
        if instance.healthy_at is None and not instance.leaving:
            found.failed[instance.kind] = seen.reason or "The instance ended before it was ready."
        return
    if seen.healthy:
        instance = replace(instance, healthy_at=instance.healthy_at or now, silent_since=None)
    elif instance.healthy_at is not None and instance.silent_since is None:
        instance = replace(instance, silent_since=now)
    if instance.healthy_at is None and now - instance.created_at > _STARTING_SECONDS:
        found.gone.append(instance)
        found.failed[instance.kind] = f"The instance was not ready within {_STARTING_SECONDS:g} s."
    elif instance.silent_since is not None and now - instance.silent_since > _SILENT_SECONDS:
        found.gone.append(instance)
    elif now - instance.created_at > _LONGEST_SECONDS:
        found.keep.append(replace(instance, leaving=True))
    else:
        found.keep.append(instance)
