"""Share this machine among jobs: who holds how much of it, and what a job that asks for instances is given.

An instance type is a wish: it is cut to what the machine has, so that any one job can run, alone if need be. Jobs that
end wait for each other; services do not come here, for they would keep the others waiting for ever.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from clary.kernel.core.clock import Clock
from clary.kernel.core.settings import Settings
from clary.kernel.jobs.contract import Resources
from clary.kernel.jobs.instance_types import Size, size_of
from clary.kernel.store import AlreadyExists, Store, Table, record

_ALL = "machine"


@dataclass(frozen=True)
class Machine:
    """What there is to share. `gpus` are device indices."""

    cpus: int
    memory_bytes: int
    gpus: tuple[int, ...] = ()


@record("slots", version=1, scope="global")
@dataclass(frozen=True)
class Holdings:
    """Who holds what: by owner, one document of `Resources` for each of its hosts.

    `first_in_line` is who waits longest among the jobs of each room, by the topic that wakes it: owner and since when.
    """

    by_owner: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    first_in_line: dict[str, list[Any]] = field(default_factory=dict)

    def resources(self, owner: str) -> list[Resources]:
        return [Resources(**(held | {"gpus": tuple(held["gpus"])})) for held in self.by_owner[owner]]


def this_machine(cpus: int = 0) -> Machine:
    """What this process may use; `cpus` other than 0 overrides the number of processors."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    devices = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return Machine(cpus or usable, psutil.virtual_memory().total, tuple(sorted(map(int, devices))))


def clamp(size: Size, machine: Machine) -> Size:
    """The part of `size` that the machine can give at all."""
    return Size(
        max(1, min(size.cpus, machine.cpus)),
        min(size.memory_bytes, machine.memory_bytes),
        min(size.gpus, len(machine.gpus)),
    )


def place(machine: Machine, held: Sequence[Resources], wanted: Sequence[Size]) -> list[Resources] | None:
    """What each host of a job is given beside those that run; None when it has to wait.

    A job with more hosts than fit together runs when it is alone, each host with its part of the machine; GPUs that
    do not go round are shared by its hosts.
    """
    sizes = [clamp(size, machine) for size in wanted]
    taken = {gpu for one in held for gpu in one.gpus}
    free = [gpu for gpu in machine.gpus if gpu not in taken]
    fits = (
        sum(size.cpus for size in sizes) + sum(one.cpus for one in held) <= machine.cpus
        and sum(size.memory_bytes for size in sizes) + sum(one.memory_bytes for one in held) <= machine.memory_bytes
        and sum(size.gpus for size in sizes) <= len(free)
    )
    if fits:
        given = []
        for size in sizes:
            given.append(Resources(size.cpus, size.memory_bytes, tuple(free[: size.gpus])))
            free = free[size.gpus :]
        return given
    if held:
        return None
    share = len(sizes)
    return [
        Resources(
            max(1, min(size.cpus, machine.cpus // share)),
            min(size.memory_bytes, machine.memory_bytes // share),
            _shared_gpus(machine.gpus, size.gpus, number, share),
        )
        for number, size in enumerate(sizes)
    ]


def _shared_gpus(gpus: tuple[int, ...], wanted: int, number: int, hosts: int) -> tuple[int, ...]:
    """The GPUs of host `number` of `hosts`: its even part, at least one when it wants any."""
    count = min(wanted, max(1, math.floor(len(gpus) / hosts))) if gpus else 0
    return tuple(sorted({gpus[(number * count + step) % len(gpus)] for step in range(count)}))


class Slots:
    """The machine's holdings, durable, so that a restarted controller knows who runs. Safe to share."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self._table = Table(store, clock, Holdings, None, None)
        self._machine = this_machine(settings.slots_cpus)

    def acquire(self, owner: str, instance_types: Sequence[str], *, topic: str, since: float) -> list[Resources] | None:
        """Give `owner` one allocation for each instance, all or none: None when it has to wait.

        It waits while the machine is too full, or a job of another topic stands in line since before it. Each topic
        orders its own jobs and asks for the first, which then stands in line until it is given something or released;
        `waiting` says whom to wake after somebody was given or gave back. Asked again by an owner that holds some, the
        answer is what it holds.
        """
        answer: list[Resources] | None = None

        def take(holdings: Holdings) -> Holdings | None:
            nonlocal answer
            if owner in holdings.by_owner:
                answer = holdings.resources(owner)
                return None
            line = holdings.first_in_line
            if all(since <= other for name, (_, other) in line.items() if name != topic):
                held = [one for other in holdings.by_owner for one in holdings.resources(other)]
                answer = place(self._machine, held, [size_of(name) for name in instance_types])
            if answer is None:
                first = [owner, since]
                return None if line.get(topic) == first else replace(holdings, first_in_line=line | {topic: first})
            return replace(
                _without(holdings, owner), by_owner=holdings.by_owner | {owner: [asdict(one) for one in answer]}
            )

        self._change(take)
        return answer

    def release(self, owner: str) -> None:
        """Give back what `owner` holds and its place in line, if anything."""

        def drop(holdings: Holdings) -> Holdings | None:
            left = _without(holdings, owner)
            return None if left == holdings else left

        self._change(drop)

    def owners(self) -> list[str]:
        """Everybody who holds something or stands in line."""
        entry = self._table.get(_ALL)
        if entry is None:
            return []
        return list(dict.fromkeys([*entry.value.by_owner, *(name for name, _ in entry.value.first_in_line.values())]))

    def waiting(self) -> list[str]:
        """The topics whose jobs stand in line, longest first."""
        entry = self._table.get(_ALL)
        line = entry.value.first_in_line if entry else {}
        return sorted(line, key=lambda topic: line[topic][1])

    def _change(self, change: Any) -> None:
        if self._table.get(_ALL) is None:
            try:
                self._table.create(_ALL, Holdings())
            except AlreadyExists:
                pass
        self._table.update(_ALL, change)


def _without(holdings: Holdings, owner: str) -> Holdings:
    return Holdings(
        {name: held for name, held in holdings.by_owner.items() if name != owner},
        {topic: first for topic, first in holdings.first_in_line.items() if first[0] != owner},
    )
