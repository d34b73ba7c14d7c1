"""Drive transform jobs from the state asked for to the state observed.

Safe to run at any time, on any worker, twice: it reads the record and the executor, never the request that woke it.
Whatever is begun is recorded first, under names that a second run would choose again; what a crash leaves behind,
hosts and slots of jobs that have ended, the next sweep takes away.
"""

import logging
from dataclasses import replace

from clary.kernel.core.errors import AwsError
from clary.kernel.images import ImageUnavailable
from clary.kernel.jobs import Executor
from clary.kernel.jobs.contract import HostSpec, InvalidSpec, Observation, Phase, Wake
from clary.kernel.jobs.slots import Slots
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.rooms.roles import limiting_role, work_environment
from clary.kernel.store import Conflict, Entry, Table
from clary.systems.batch_transform.logic_hosts import JOB_PREFIX, Attempt, host_specs, instance_types, uid_of
from clary.systems.batch_transform.logic_progress import finish, follow
from clary.systems.batch_transform.records import (
    ACTIVE,
    FAILED,
    IN_PROGRESS,
    STOPPED,
    STOPPING,
    WAITING,
    TransformJob,
)

TOPIC = "batch_transform"
START_PATIENCE_SECONDS = 5.0

_EVERY_SECONDS = 5.0
_CREDENTIAL_SECONDS = 28 * 86_400.0  # AWS lets no transform job run longer

_log = logging.getLogger("clary.batch_transform")


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the job of a key `account/region/name`, or all of them, oldest first, and sweep."""
    if key is not None:
        account, region, name = key.split("/")
        _drive(platform, platform.records(TransformJob).within(account, region), name)
        return None
    # Before the records are read: whoever runs or holds slots by then is found among them, unless it has ended.
    started, holders = _executor(platform).hosts(), _slots(platform).owners()
    active = platform.records(TransformJob).all(status=ACTIVE, sort="created_at")
    blocked = False
    for entry in active:
        in_queue = entry.parent == WAITING and entry.value.status == IN_PROGRESS
        if in_queue and blocked:
            continue
        table = platform.records(TransformJob).within(entry.account, entry.region)
        try:
            _drive(platform, table, entry.name)
            blocked = blocked or (in_queue and _waits(table, entry.name))
        except Exception:  # noqa: BLE001 - whatever one job meets, the others must go on
            _log.exception("driving transform job %s failed; trying again", entry.value.arn)
    _sweep(platform, started, holders, {entry.value.uid for entry in active})
    return None


def _drive(platform: Platform, table: Table[TransformJob], name: str) -> None:
    """Take one job as far as it will go now."""
    while True:
        entry = table.get(name)
        if entry is None or entry.value.status not in ACTIVE:
            return
        try:
            if not _step(platform, table, entry):
                return
        except Conflict:
            continue


def _step(platform: Platform, table: Table[TransformJob], entry: Entry[TransformJob]) -> bool:
    """One step of one job; whether to look at once for another. Raises Conflict."""
    job, executor = entry.value, _executor(platform)
    attempt = None if job.attempt is None else Attempt(**job.attempt)
    if attempt is None or attempt.over:
        return _begin(platform, table, entry, attempt)
    observations = [executor.observe(attempt.id, host) for host in attempt.hosts()]
    seen = [one for one in observations if one is not None]
    if len(seen) < len(observations) or _stuck(seen, attempt, platform.clock.now()):
        _start(platform, table, entry, attempt)
        return False
    if job.status == STOPPING:
        for one in seen:
            if not one.ended:
                executor.stop(attempt.id, one.host)
    followed = follow(job, seen)
    if followed == job:
        return False
    table.replace(entry, followed, status=followed.status)
    if followed.status not in ACTIVE:
        _clear(platform, followed, attempt)
    return True


def _begin(platform: Platform, table: Table[TransformJob], entry: Entry[TransformJob], last: Attempt | None) -> bool:
    """Begin an attempt, or put the job into the queue, or end it where no attempt can begin. Raises Conflict."""
    job, now = entry.value, platform.clock.now()
    if last is not None:
        _forget(_executor(platform), last)
    ended = _end_before_it_begins(platform, job, now)
    if ended is not None:
        table.replace(entry, ended, status=ended.status)
        _release(platform, ended)
        return False
    granted = None
    if last is not None or not _others_wait(platform, entry):
        types = instance_types(job.request)
        granted = _slots(platform).acquire(_owner(job), types, topic=TOPIC, since=entry.created_at)
    if granted is None:
        if entry.parent != WAITING:
            table.replace(entry, job, parent=WAITING)
        return False
    attempt = Attempt.of(job, entry.name, granted, now)
    written = table.replace(entry, replace(job, attempt=attempt.document()), parent="")
    for topic in _slots(platform).waiting():
        platform.wake(topic)  # the next in line may fit beside this one
    _start(platform, table, written, attempt)
    return False


def _others_wait(platform: Platform, entry: Entry[TransformJob]) -> bool:
    """Whether another job is first in the queue. Jobs start in the order in which they came, so that none starves."""
    queue = platform.records(TransformJob).page(1, sort="created_at", status=IN_PROGRESS, parent=WAITING)
    return any(first.value.uid != entry.value.uid for first in queue)


def _waits(table: Table[TransformJob], name: str) -> bool:
    """Whether the job is in the queue; those behind its first need not be looked at."""
    entry = table.get(name)
    return entry is not None and entry.parent == WAITING


def _end_before_it_begins(platform: Platform, job: TransformJob, now: float) -> TransformJob | None:
    """The job as ended when it was stopped, or no runtime stands for its image."""
    if job.status == STOPPING:
        return finish(job, STOPPED, now)
    try:
        platform.registry.images.resolve(job.container["Image"])
    except ImageUnavailable as error:
        return finish(job, FAILED, now, f"ClientError: {error}")
    return None


def _stuck(observations: list[Observation], attempt: Attempt, now: float) -> bool:
    """Whether a host should have come further long ago: its start was cut short, and is to be repeated."""
    waiting = any(one.phase is Phase.PENDING for one in observations)
    return waiting and now - attempt.began > START_PATIENCE_SECONDS


def _start(platform: Platform, table: Table[TransformJob], entry: Entry[TransformJob], attempt: Attempt) -> None:
    """Start the hosts of an attempt; starting one again does nothing, or repairs what was cut short."""
    try:
        for spec in _specs(platform, entry, attempt):
            _executor(platform).start(spec)
    except (InvalidSpec, ImageUnavailable, AwsError) as error:
        reason = error.message if isinstance(error, AwsError) else str(error)
        failed = finish(entry.value, FAILED, platform.clock.now(), f"ClientError: {reason}")
        table.replace(entry, failed, status=failed.status)
        _clear(platform, failed, attempt)


def _specs(platform: Platform, entry: Entry[TransformJob], attempt: Attempt) -> list[HostSpec]:
    return host_specs(
        entry.value,
        attempt,
        platform.registry.images.resolve(entry.value.container["Image"]),
        name=entry.name,
        account=entry.account,
        region=entry.region,
        wake=Wake(TOPIC, f"{entry.account}/{entry.region}/{entry.name}"),
        environment=_environment(platform, entry),
        role=limiting_role(platform, entry.value.role),
    )


def _environment(platform: Platform, entry: Entry[TransformJob]) -> dict[str, str]:
    region, role = entry.region, entry.value.role
    if role:
        return work_environment(platform, role, region, _CREDENTIAL_SECONDS)
    return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ENDPOINT_URL": platform.endpoint}


def _clear(platform: Platform, job: TransformJob, attempt: Attempt) -> None:
    """Let go of what an ended job used."""
    _forget(_executor(platform), attempt)
    _release(platform, job)


def _release(platform: Platform, job: TransformJob) -> None:
    """Give back the job's slots or its place in line, and wake those who wait: others of this room, and of others."""
    slots = _slots(platform)
    slots.release(_owner(job))
    for topic in {TOPIC, *slots.waiting()}:
        platform.wake(topic)


def _forget(executor: Executor, attempt: Attempt) -> None:
    for host in attempt.hosts():
        executor.forget(attempt.id, host)


def _sweep(platform: Platform, started: list[tuple[str, str]], holders: list[str], active: set[str]) -> None:
    """Take away hosts and slots that belong to no active job: what a crash after a job's end left behind."""
    for attempt, host in started:
        if attempt.startswith(JOB_PREFIX) and uid_of(attempt) not in active:
            _executor(platform).forget(attempt, host)
    for owner in holders:
        if owner.startswith(JOB_PREFIX) and owner.removeprefix(JOB_PREFIX) not in active:
            _slots(platform).release(owner)


def _owner(job: TransformJob) -> str:
    """The job's name as a holder of slots."""
    return f"{JOB_PREFIX}{job.uid}"


def _executor(platform: Platform) -> Executor:
    if platform.executor is None:
        raise RuntimeError("transform jobs are driven where there is an executor: in the controller")
    return platform.executor


def _slots(platform: Platform) -> Slots:
    return Slots(platform.store, platform.clock, platform.settings)
