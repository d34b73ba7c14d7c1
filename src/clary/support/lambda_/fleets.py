"""Drive the instances of a function from what is asked for to what is, one pass at a time.

Each pass is the same steps, any of which may be the last before a crash: look at the hosts; decide; write the
entries; tell those who invoke; then start, stop and forget hosts. Instances hold none of the slots that jobs wait for:
an idle one would keep them waiting for as long as it lives. What bounds them is memory: all that they might use
together is at most what the machine has.
"""

import time
from collections.abc import Mapping, Sequence

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.jobs import Executor
from clary.kernel.jobs.contract import InvalidSpec, Observation, Wake
from clary.kernel.jobs.slots import Machine, this_machine
from clary.kernel.kv import KeyValue, Transaction, after_prefix
from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import work_environment
from clary.kernel.serving.demand import demands_on, forget_demands
from clary.kernel.store import Entry
from clary.support.lambda_.cards import DOMAIN, build_of
from clary.support.lambda_.instances import (
    BELLS,
    HOST,
    Failure,
    Instance,
    Plan,
    Servers,
    all_instances,
    failure_key,
    failures_prefix,
    instance_key,
    instances_of,
    kept_key,
    new_instance,
    plan,
    servers_key,
    servers_prefix,
)
from clary.support.lambda_.records import LATEST, Function, Version
from clary.support.lambda_.specs import function_spec

TOPIC = "lambda"
ACCOUNT_CONCURRENCY = 1000

_CREDENTIAL_SECONDS = 12 * 3600.0
_MIB = 1024**2
_STARTING_PER_CPU = 2
_FAILURES_UNTIL_TOLD = 2
_FAILED_SECONDS = 10.0
_PRESSURE = b"pressure"
_PRESSURE_SECONDS = 5.0
_IDLE_UNDER_PRESSURE_SECONDS = 12.0  # a demand is told again every 10 s
_LOOK_AGAIN_SECONDS = 0.5

Versions = Mapping[str, Function | Version]


class Fleet:
    """The instances of one function, named `account/region/name`."""

    def __init__(self, platform: Platform, key: str) -> None:
        self._platform = platform
        self._kv: KeyValue = platform.kv(DOMAIN)
        self._key = key
        self._account, self._region, self._name = key.split("/")
        self._executor: Executor = executor_of(platform)

    def drive(self) -> float | None:
        """Take the instances as far as they will go now; the seconds until time alone may change something."""
        entry = self._platform.records(Function).within(self._account, self._region).get(self._name)
        versions = {} if entry is None else self._versions(entry)
        least = {} if entry is None else _least(entry.value, versions)
        while True:
            before = instances_of(self._kv, self._key)
            seen = {one.id: self._executor.observe(one.job, HOST) for one in before}
            now = self._platform.clock.now()
            demands = demands_on(self._kv, self._account, self._region, self._name)
            planned = plan(before, seen, least, demands, self._idle_seconds(now), now)
            failures = self._note_failures(planned, now)
            limit = entry.value.reserved if entry is not None else None
            started, short = self._save(planned, versions, failures, limit, now)
            faults = {kind: one.reason for kind, one in failures.items() if _is_told(one, now)}
            faults |= self._start([one for one in planned.keep if seen[one.id] is None] + started, entry, versions)
            self._tell(planned, seen, set(least), faults)
            self._see_off(planned, seen)
            if not started:
                break
        if entry is None and not planned.keep:
            forget_demands(self._kv, self._account, self._region, self._name)
        if not any(least.values()) and self._kv.get(kept_key(self._key)) is not None:
            self._kv.write(lambda transaction: transaction.delete(kept_key(self._key)))
        return _LOOK_AGAIN_SECONDS if short or faults else None

    def _versions(self, entry: Entry[Function]) -> dict[str, Function | Version]:
        found: dict[str, Function | Version] = {LATEST: entry.value}
        table = self._platform.records(Version).within(self._account, self._region)
        for one in table.all(parent=self._name):
            found[one.name.rpartition(":")[2]] = one.value
        return found

    def _idle_seconds(self, now: float) -> float:
        """How long an instance that nobody needs stays: not for long while others find no room."""
        idle = self._platform.settings.function_idle_seconds
        asked = self._kv.get(_PRESSURE)
        if asked is not None and now - float(asked) < _PRESSURE_SECONDS:
            return min(idle, _IDLE_UNDER_PRESSURE_SECONDS)
        return idle

    def _note_failures(self, planned: Plan, now: float) -> dict[str, Failure]:
        """What is known of kinds whose instances do not come up, with what has just been seen."""
        prefix = failures_prefix(self._key)
        known = {
            key.removeprefix(prefix).decode(): Failure(**orjson.loads(data))
            for key, data in self._kv.scan(prefix, after_prefix(prefix))
        }
        after = dict(known)
        for kind, reason in planned.failed.items():
            after[kind] = Failure(known[kind].count + 1 if kind in known else 1, now, reason)
        for kind in {one.kind for one in planned.keep if one.healthy_at is not None} & after.keys():
            del after[kind]
        after = {kind: one for kind, one in after.items() if now - one.at < 10 * _FAILED_SECONDS}
        if after != known:

            def write(transaction: Transaction) -> None:
                for kind in known.keys() - after.keys():
                    transaction.delete(failure_key(self._key, kind))
                for kind, failure in after.items():
                    transaction.put(failure_key(self._key, kind), orjson.dumps(failure))

            self._kv.write(write)
        return after

    def _save(
        self, planned: Plan, versions: Versions, failures: Mapping[str, Failure], limit: int | None, now: float
    ) -> tuple[list[Instance], bool]:
        """Write what the plan says, with the new instances that there is room for: these, and if more were wanted."""
        day = time.strftime("%Y/%m/%d", time.gmtime(now))
        machine = self._machine()
        wanted = [
            new_instance(kind, versions[_version(kind)].configuration["MemorySize"], day, now)
            for kind, count in planned.start.items()
            if not (kind in failures and _is_told(failures[kind], now))
            for _ in range(min(count, ACCOUNT_CONCURRENCY))
        ]

        def write(transaction: Transaction) -> list[Instance]:
            for one in planned.gone:
                transaction.delete(instance_key(self._key, one.id))
            for one in planned.keep:
                key, data = instance_key(self._key, one.id), orjson.dumps(one)
                if transaction.get(key) != data:
                    transaction.put(key, data)
            added = admitted(all_instances(transaction), self._key, wanted, limit, machine) if wanted else []
            for one in added:
                transaction.put(instance_key(self._key, one.id), orjson.dumps(one))
            return added

        kept = {one.id: one for one in instances_of(self._kv, self._key)}
        if not wanted and not planned.gone and all(kept.get(one.id) == one for one in planned.keep):
            return [], False
        started = self._kv.write(write)
        short = len(started) < len(wanted)
        if short and not any(one.healthy_at is None for one in planned.keep) and not started:
            self._press(now)
        return started, short

    def _press(self, now: float) -> None:
        """Have other functions let go of what they do not need."""
        asked = self._kv.get(_PRESSURE)
        if asked is None or now - float(asked) > _PRESSURE_SECONDS / 2:
            self._kv.write(lambda transaction: transaction.put(_PRESSURE, str(now).encode()))
            for other in {key for key, _ in all_instances(self._kv)} - {self._key}:
                self._platform.wake(TOPIC, other)

    def _start(
        self, instances: Sequence[Instance], entry: Entry[Function] | None, versions: Versions
    ) -> dict[str, str]:
        """Start the hosts of instances that have none; why those of some kinds cannot be, by kind."""
        faults: dict[str, str] = {}
        environments: dict[str, dict[str, str]] = {}
        for one in instances:
            value = versions.get(one.version)
            if entry is None or value is None or one.leaving or one.kind in faults:
                continue
            try:
                if value.role not in environments:
                    environments[value.role] = work_environment(
                        self._platform, value.role, self._region, _CREDENTIAL_SECONDS
                    )
                spec = function_spec(
                    one,
                    self._name,
                    value,
                    account=self._account,
                    region=self._region,
                    machine=self._machine(),
                    wake=Wake(TOPIC, self._key),
                    environment=environments[value.role],
                    provisioned=_provisioned(entry.value, one.version) > 0,
                )
            except InvalidSpec as error:
                faults[one.kind] = str(error)
            except AwsError as error:
                faults[one.kind] = error.message
            else:
                self._executor.start(spec)
        return faults

    def _tell(
        self, planned: Plan, seen: Mapping[str, Observation | None], kinds: set[str], faults: Mapping[str, str]
    ) -> None:
        """Let those who invoke know where they may send, and why nowhere."""
        tables: dict[str, Servers] = {kind: Servers(fault=fault) for kind, fault in faults.items() if kind in kinds}
        for one in sorted(planned.keep, key=lambda each: each.created_at):
            found = seen.get(one.id)
            if found is not None and found.healthy and found.socket and not one.leaving and one.kind in kinds:
                table = tables.setdefault(one.kind, Servers())
                table.servers[one.id] = f"unix:{found.socket}"
        prefix = servers_prefix(self._key)
        before = {key: data for key, data in self._kv.scan(prefix, after_prefix(prefix))}
        after = {servers_key(self._key, kind): orjson.dumps(table) for kind, table in tables.items()}
        if before == after:
            return

        def write(transaction: Transaction) -> None:
            for key in before.keys() - after.keys():
                transaction.delete(key)
            for key, data in after.items():
                transaction.put(key, data)

        self._kv.write(write)
        bells = self._platform.bells(BELLS)
        for key in {*before, *after}:
            if before.get(key) != after.get(key):
                bells.ring(key)

    def _see_off(self, planned: Plan, seen: Mapping[str, Observation | None]) -> None:
        for one in planned.gone:
            if seen[one.id] is not None:
                self._executor.forget(one.job, HOST)
        for one in planned.keep:
            if one.leaving:
                self._executor.stop(one.job, HOST)

    def _machine(self) -> Machine:
        return this_machine(self._platform.settings.slots_cpus)


def executor_of(platform: Platform) -> Executor:
    if platform.executor is None:
        raise RuntimeError("functions are driven where there is an executor: in the controller")
    return platform.executor


def _least(function: Function, versions: Versions) -> dict[str, int]:
    """Every kind of instance that there may be now, with how many are kept warm."""
    return {
        f"{number}:{build_of(number, value.revision)}": _provisioned(function, number)
        for number, value in versions.items()
    }


def _provisioned(function: Function, version: str) -> int:
    """How many instances of a version are kept warm, for itself and for the aliases that lead to it."""
    count = 0
    for qualifier, config in function.provisioned.items():
        alias = function.aliases.get(qualifier)
        if qualifier == version or (alias is not None and alias["FunctionVersion"] == version):
            count += config["count"]
    return count


def _version(kind: str) -> str:
    return kind.partition(":")[0]


def _is_told(failure: Failure, now: float) -> bool:
    """Whether callers are told that instances do not come up, and no others tried for a while."""
    return failure.count >= _FAILURES_UNTIL_TOLD and now - failure.at < _FAILED_SECONDS


def admitted(
    there: Sequence[tuple[str, Instance]],
    function: str,
    wanted: Sequence[Instance],
    limit: int | None,
    machine: Machine,
) -> list[Instance]:
    """As many of the instances wanted as there is room for beside those that are there."""
    account = function.partition("/")[0]
    memory = sum(one.memory_mb for _, one in there)
    own = sum(key == function and not one.leaving for key, one in there)
    of_account = sum(key.partition("/")[0] == account and not one.leaving for key, one in there)
    starting = sum(one.healthy_at is None for _, one in there)
    found: list[Instance] = []
    for one in wanted:
        if (
            (limit is not None and own >= limit)
            or of_account >= ACCOUNT_CONCURRENCY
            or starting >= machine.cpus * _STARTING_PER_CPU
            or ((memory + one.memory_mb) * _MIB > machine.memory_bytes and memory)
        ):
            break
        found.append(one)
        own, of_account, starting, memory = own + 1, of_account + 1, starting + 1, memory + one.memory_mb
    return found
