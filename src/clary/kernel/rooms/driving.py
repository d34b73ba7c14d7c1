"""Drive jobs from the state asked for to the state observed: what every room of jobs that end has in common.

A job runs in *attempts*: all its hosts at once, on slots of the machine that it waits for in line. A room says what is
its own as a `JobKind`, and its reconciler is one call of `drive_jobs`.

Safe to run at any time, on any worker, twice: it reads the record and the executor, never the request that woke it.
Whatever is begun is recorded first, under names that a second run would choose again; what a crash leaves behind,
hosts and slots of jobs that have ended, the next sweep takes away.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from clary.kernel.core.errors import AwsError
from clary.kernel.images import ImageUnavailable
from clary.kernel.jobs import Executor, HostSpec, Observation
from clary.kernel.jobs.contract import InvalidSpec, Resources, Wake
from clary.kernel.jobs.slots import Slots
from clary.kernel.jobs.statuses import ACTIVE, IN_PROGRESS, WAITING
from clary.kernel.rooms.platform import Platform
from clary.kernel.store import Conflict, Entry, Table

_log = logging.getLogger("clary.jobs")


class Attempt(Protocol):
    """One run of all hosts of a job, as its record has it. `over` says that another attempt is due."""

    @property
    def id(self) -> str:
        """`<prefix><job name>-<uid>-<number>`: what the executor knows it by."""

    @property
    def over(self) -> bool: ...

    @property
    def host_names(self) -> list[str]: ...


class Job(Protocol):
    """What the record of a job holds at least. `uid` tells it from others that had its name, and has no hyphen."""

    @property
    def uid(self) -> str: ...

    @property
    def arn(self) -> str: ...

    @property
    def status(self) -> str: ...


J = TypeVar("J", bound=Job)
A = TypeVar("A", bound=Attempt)


class JobKind(ABC, Generic[J, A]):
    """What a room says of its jobs. Its methods change nothing but where they say so.

    `topic` wakes the room's reconciler, `prefix` begins the names of its attempts and of its holdings of slots, and
    `record` is what it stores.
    """

    topic: ClassVar[str]
    prefix: ClassVar[str]
    record: type[J]

    @abstractmethod
    def attempt(self, job: J) -> A | None:
        """The attempt under way or the last one."""

    @abstractmethod
    def instance_types(self, job: J) -> list[str]:
        """The type of each instance that is asked for."""

    @abstractmethod
    def end_before_it_begins(self, platform: Platform, job: J, now: float) -> J | None:
        """The job as ended, where no attempt can begin: it was stopped, or nothing stands for its image."""

    @abstractmethod
    def begun(self, entry: Entry[J], granted: Sequence[Resources], now: float) -> tuple[J, A]:
        """The job with a new attempt, for which its instances were granted this."""

    @abstractmethod
    def specs(self, platform: Platform, entry: Entry[J], attempt: A) -> list[HostSpec]:
        """The hosts of an attempt, each time the same. InvalidSpec, ImageUnavailable or AwsError fails the job."""

    @abstractmethod
    def failed(self, job: J, reason: str, now: float) -> J:
        """The job as failed, because its hosts cannot be started."""

    @abstractmethod
    def must_stop(self, job: J, seen: Sequence[Observation]) -> bool:
        """Whether hosts that still run are to be stopped."""

    @abstractmethod
    def follow(self, job: J, seen: Sequence[Observation]) -> J:
        """The job after a look at all hosts of its attempt; the same job when there is nothing new."""

    def waiting(self, job: J, now: float) -> J:
        """The job as it enters the queue for slots."""
        return job

    def must_wait(self, platform: Platform, job: J) -> bool:
        """Whether something that an attempt needs is still being made elsewhere: it is begun where it was not.

        Asked again until it is there, so `seconds_left` says when. InvalidSpec or AwsError fails the job.
        """
        return False

    def expired(self, entry: Entry[J], now: float) -> J | None:
        """The job after what time alone does to it; None while it does nothing."""
        return None

    def seconds_left(self, entry: Entry[J], now: float) -> float | None:
        """The time until `expired` has something to say, if it ever will."""
        return None

    def has_begun(self, table: Table[J], entry: Entry[J]) -> None:
        """Called when an attempt was recorded, before its hosts start; may write other records. A crash may skip it."""


def drive_jobs(platform: Platform, kind: JobKind[J, A], key: str | None) -> float | None:
    """Drive the job of a key `account/region/name`, or all of them, oldest first, and sweep.

    Returns the seconds until time alone changes something, as reconcilers do.
    """
    drive = _Drive(platform, kind)
    if key is not None:
        account, region, name = key.split("/")
        return drive.one(platform.records(kind.record).within(account, region), name)
    return drive.all()


def wake_for(topic: str, entry: Entry[Any]) -> Wake:
    """Whom a host of the entry's job wakes when there is something new."""
    return Wake(topic, f"{entry.account}/{entry.region}/{entry.name}")


class _Drive(Generic[J, A]):
    """One run of a reconciler over jobs of one kind."""

    def __init__(self, platform: Platform, kind: JobKind[J, A]) -> None:
        if platform.executor is None:
            raise RuntimeError(f"{kind.topic} is driven where there is an executor: in the controller")
        self._platform = platform
        self._kind = kind
        self._executor: Executor = platform.executor
        self._slots = Slots(platform.store, platform.clock, platform.settings)

    def all(self) -> float | None:
        records = self._platform.records(self._kind.record)
        # Before the records are read: whoever runs or holds slots by then is found among them, unless it has ended.
        started, holders = self._executor.hosts(), self._slots.owners()
        active = records.all(status=ACTIVE, sort="created_at")
        waits = []
        blocked = False
        for entry in active:
            in_queue = entry.parent == WAITING and entry.status == IN_PROGRESS
            if in_queue and blocked and self._kind.expired(entry, self._now) is None:
                continue
            table = records.within(entry.account, entry.region)
            try:
                waits.append(self.one(table, entry.name))
                blocked = blocked or (in_queue and _waits(table, entry.name))
            except Exception:  # noqa: BLE001 - whatever one job meets, the others must go on
                _log.exception("driving %s failed; trying again", entry.value.arn)
        self._sweep(started, holders, {entry.value.uid for entry in active})
        return min((wait for wait in waits if wait is not None), default=None)

    def one(self, table: Table[J], name: str) -> float | None:
        """Take one job as far as it will go now; return the seconds until time alone changes something."""
        while True:
            entry = table.get(name)
            if entry is None or entry.value.status not in ACTIVE:
                return None
            try:
                if not self._step(table, entry):
                    return self._kind.seconds_left(entry, self._now)
            except Conflict:
                continue

    @property
    def _now(self) -> float:
        return self._platform.clock.now()

    def _step(self, table: Table[J], entry: Entry[J]) -> bool:
        """One step of one job; whether to look at once for another. Raises Conflict."""
        kind, job, executor = self._kind, entry.value, self._executor
        expired = kind.expired(entry, self._now)
        if expired is not None:
            _write(table, entry, expired)
            return True
        attempt = kind.attempt(job)
        if attempt is None or attempt.over:
            return self._begin(table, entry, attempt)
        observations = [executor.observe(attempt.id, host) for host in attempt.host_names]
        seen = [one for one in observations if one is not None]
        if len(seen) < len(observations):
            self._start(table, entry, attempt)
            return False
        if kind.must_stop(job, seen):
            for one in seen:
                if not one.ended:
                    executor.stop(attempt.id, one.host)
        followed = kind.follow(job, seen)
        if followed == job:
            return False
        _write(table, entry, followed)
        if followed.status not in ACTIVE:
            self._release(followed)  # its hosts have ended: others need not wait until their folders are gone
            self._forget(attempt)
        return True

    def _begin(self, table: Table[J], entry: Entry[J], last: A | None) -> bool:
        """Begin an attempt, or put the job into the queue, or end it where no attempt can begin. Raises Conflict."""
        kind, job = self._kind, entry.value
        if last is not None:
            self._forget(last)
        ended = kind.end_before_it_begins(self._platform, job, self._now)
        if ended is not None:
            _write(table, entry, ended)
            self._release(ended)
            return False
        try:
            if kind.must_wait(self._platform, job):
                return False
        except (InvalidSpec, AwsError) as error:
            self._fail(table, entry, error)
            return False
        granted = None
        if last is not None or not self._others_wait(entry):
            types = kind.instance_types(job)
            granted = self._slots.acquire(self._owner(job), types, topic=kind.topic, since=entry.created_at)
        if granted is None:
            if entry.parent != WAITING:
                table.replace(entry, kind.waiting(job, self._now), parent=WAITING)
            return False
        begun, attempt = kind.begun(entry, granted, self._now)
        written = table.replace(entry, begun, parent="")
        for topic in self._slots.waiting():
            self._platform.wake(topic)  # the next in line may fit beside this one
        kind.has_begun(table, written)
        self._start(table, written, attempt)
        return False

    def _others_wait(self, entry: Entry[J]) -> bool:
        """Whether another job is first in the queue. Jobs start in the order in which they came: none starves."""
        records = self._platform.records(self._kind.record)
        queue = records.page(1, sort="created_at", status=IN_PROGRESS, parent=WAITING)
        return any(first.value.uid != entry.value.uid for first in queue)

    def _start(self, table: Table[J], entry: Entry[J], attempt: A) -> None:
        """Start the hosts of an attempt; starting one again does nothing, or repairs what was cut short."""
        try:
            for spec in self._kind.specs(self._platform, entry, attempt):
                self._executor.start(spec)
        except (InvalidSpec, ImageUnavailable, AwsError) as error:
            self._fail(table, entry, error, attempt)

    def _fail(self, table: Table[J], entry: Entry[J], error: Exception, attempt: A | None = None) -> None:
        """End a job that cannot begin, or go on."""
        reason = error.message if isinstance(error, AwsError) else str(error)
        failed = self._kind.failed(entry.value, f"ClientError: {reason}", self._now)
        _write(table, entry, failed)
        if attempt is not None:
            self._forget(attempt)
        self._release(failed)

    def _forget(self, attempt: A) -> None:
        for host in attempt.host_names:
            self._executor.forget(attempt.id, host)

    def _release(self, job: J) -> None:
        """Give back the job's slots or its place in line, and wake those who wait: of this room, and of others."""
        self._slots.release(self._owner(job))
        for topic in {self._kind.topic, *self._slots.waiting()}:
            self._platform.wake(topic)

    def _sweep(self, started: list[tuple[str, str]], holders: list[str], active: set[str]) -> None:
        """Take away hosts and slots that belong to no active job: what a crash after a job's end left behind."""
        prefix = self._kind.prefix
        for attempt, host in started:
            if attempt.startswith(prefix) and attempt.split("-")[-2] not in active:
                self._executor.forget(attempt, host)
        for owner in holders:
            if owner.startswith(prefix) and owner.removeprefix(prefix) not in active:
                self._slots.release(owner)

    def _owner(self, job: J) -> str:
        """The job's name as a holder of slots."""
        return f"{self._kind.prefix}{job.uid}"


def _write(table: Table[J], entry: Entry[J], job: J) -> None:
    table.replace(entry, job, status=job.status)


def _waits(table: Table[J], name: str) -> bool:
    """Whether the job is in the queue; those behind its first need not be looked at."""
    entry = table.get(name)
    return entry is not None and entry.parent == WAITING
