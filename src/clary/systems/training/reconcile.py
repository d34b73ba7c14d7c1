"""Drive training jobs from the state asked for to the state observed.

Safe to run at any time, on any worker, twice: it reads the record and the executor, never the request that woke it.
Whatever is begun is recorded first, under names that a second run would choose again; what a crash leaves behind,
hosts and slots of jobs that have ended, the next sweep takes away.
"""

import logging
from contextlib import suppress
from dataclasses import replace

from clary.kernel.core.errors import AwsError
from clary.kernel.images import ImageUnavailable
from clary.kernel.jobs import Executor
from clary.kernel.jobs.contract import HostSpec, InvalidSpec, Observation, Phase, Wake
from clary.kernel.jobs.slots import Slots
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.rooms.roles import limiting_role, work_environment
from clary.kernel.store import Conflict, Entry, Table
from clary.systems.training.logic_documents import same_instances, warm_pool
from clary.systems.training.logic_hosts import Attempt, host_specs, hosts_of
from clary.systems.training.logic_transitions import (
    enter,
    finish,
    follow,
    gang_must_stop,
    out_of_time,
)
from clary.systems.training.records import ACTIVE, COMPLETED, FAILED, IN_PROGRESS, STOPPED, WAITING, TrainingJob

TOPIC = "training"
START_PATIENCE_SECONDS = 5.0
_EVERY_SECONDS = 5.0
_CREDENTIAL_SLACK_SECONDS = 3600.0
_LONGEST_KEEP_ALIVE_SECONDS = 21_600

_log = logging.getLogger("clary.training")


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the job of a key `account/region/name`, or all of them, oldest first, and sweep."""
    if key is not None:
        account, region, name = key.split("/")
        return _drive(platform, platform.records(TrainingJob).within(account, region), name)
    executor = _executor(platform)
    # Before the records are read: whoever runs or holds slots by then is found among them, unless it has ended.
    started, holders = executor.hosts(), _slots(platform).owners()
    active = platform.records(TrainingJob).all(status=ACTIVE, sort="created_at")
    waits = []
    blocked = False
    for entry in active:
        in_queue = entry.parent == WAITING and entry.status == IN_PROGRESS
        if in_queue and blocked and not _overdue(entry, platform.clock.now()):
            continue
        table = platform.records(TrainingJob).within(entry.account, entry.region)
        try:
            waits.append(_drive(platform, table, entry.name))
            blocked = blocked or (in_queue and _waits(table, entry.name))
        except Exception:  # noqa: BLE001 - whatever one job meets, the others must go on
            _log.exception("driving training job %s failed; trying again", entry.value.arn)
    _sweep(platform, started, holders, {entry.value.uid for entry in active})
    return min((wait for wait in waits if wait is not None), default=None)


def _drive(platform: Platform, table: Table[TrainingJob], name: str) -> float | None:
    """Take one job as far as it will go now; return the seconds until time alone changes something."""
    while True:
        entry = table.get(name)
        if entry is None or entry.value.status not in ACTIVE:
            return None
        try:
            if not _step(platform, table, entry):
                return _until_deadline(entry, platform.clock.now())
        except Conflict:
            continue


def _step(platform: Platform, table: Table[TrainingJob], entry: Entry[TrainingJob]) -> bool:
    """One step of one job; whether to look at once for another."""
    job = entry.value
    overdue = out_of_time(job, _overdue(entry, platform.clock.now()))
    if overdue is not None:
        _write(table, entry, overdue)
        return True
    attempt = None if job.attempt is None else Attempt(**job.attempt)
    if attempt is None or attempt.over:
        return _begin(platform, table, entry, attempt)
    executor = _executor(platform)
    observations = [executor.observe(attempt.id, host.name) for host in attempt.host_list()]
    seen = [one for one in observations if one is not None]
    if len(seen) < len(observations) or _stuck(seen, attempt, platform.clock.now()):
        _start(platform, table, entry, attempt)
        return False
    if gang_must_stop(job, seen):
        for one in seen:
            if not one.ended:
                executor.stop(attempt.id, one.host)
    followed = follow(job, seen)
    if followed == job:
        return False
    _write(table, entry, followed)
    if followed.status not in ACTIVE:
        _clear(platform, followed, attempt)
    return True


def _begin(platform: Platform, table: Table[TrainingJob], entry: Entry[TrainingJob], last: Attempt | None) -> bool:
    """Begin an attempt, or put the job into the queue, or end it where no attempt can begin."""
    job = entry.value
    now = platform.clock.now()
    if last is not None:
        _forget(_executor(platform), last)
    ended = _end_before_it_begins(platform, job, now)
    if ended is not None:
        _write(table, entry, ended)
        _release(platform, ended)
        return False
    hosts = hosts_of(job.request)
    granted = None
    if last is not None or not _others_wait(platform, entry):
        types = [one.instance_type for one in hosts]
        granted = _slots(platform).acquire(_owner(job), types, topic=TOPIC, since=entry.created_at)
    if granted is None:
        if entry.parent != WAITING:
            table.replace(entry, enter(job, "Pending", now), parent=WAITING)
        return False
    number = job.restarts + job.retries + 1
    attempt = Attempt.of(job, entry.name, hosts, granted, number, now, _seconds_left(job))
    begun = replace(job, attempt=attempt.document())
    if job.secondary != "Starting":
        begun = enter(begun, "Starting", now)
    written = table.replace(entry, begun, parent="")
    for topic in _slots(platform).waiting():
        platform.wake(topic)  # the next in line may fit beside this one
    if number == 1:
        _take_warm_pool(table, written)
    _start(platform, table, written, attempt)
    return False


def _others_wait(platform: Platform, entry: Entry[TrainingJob]) -> bool:
    """Whether another job is first in the queue. Jobs start in the order in which they came, so that none starves."""
    queue = platform.records(TrainingJob).page(1, sort="created_at", status=IN_PROGRESS, parent=WAITING)
    return any(first.value.uid != entry.value.uid for first in queue)


def _waits(table: Table[TrainingJob], name: str) -> bool:
    """Whether the job is in the queue; those behind its first need not be looked at."""
    entry = table.get(name)
    return entry is not None and entry.parent == WAITING


def _end_before_it_begins(platform: Platform, job: TrainingJob, now: float) -> TrainingJob | None:
    """The job as ended when it was stopped, has no time left, or no runtime stands for its image."""
    if job.stop_reason:
        return finish(job, STOPPED, job.stop_reason, now)
    if _seconds_left(job) <= 0:
        return finish(job, STOPPED, "MaxRuntimeExceeded", now)
    try:
        platform.registry.images.resolve(job.request["AlgorithmSpecification"]["TrainingImage"])
    except ImageUnavailable as error:
        return finish(job, FAILED, "Failed", now, reason=f"ClientError: {error}")
    return None


def _seconds_left(job: TrainingJob) -> float:
    """What MaxRuntimeInSeconds, which holds for all attempts together, leaves to the next."""
    return float(job.request["StoppingCondition"]["MaxRuntimeInSeconds"]) - job.trained_seconds


def _stuck(observations: list[Observation], attempt: Attempt, now: float) -> bool:
    """Whether a host should have come further long ago: its start was cut short, and is to be repeated."""
    waiting = any(one.phase is Phase.PENDING for one in observations)
    return waiting and now - attempt.log_ms / 1000 > START_PATIENCE_SECONDS


def _start(platform: Platform, table: Table[TrainingJob], entry: Entry[TrainingJob], attempt: Attempt) -> None:
    """Start the hosts of an attempt; starting one again does nothing, or repairs what was cut short."""
    job = entry.value
    executor = _executor(platform)
    try:
        for spec in _specs(platform, entry, attempt):
            executor.start(spec)
    except (InvalidSpec, ImageUnavailable, AwsError) as error:
        reason = error.message if isinstance(error, AwsError) else str(error)
        failed = finish(job, FAILED, "Failed", platform.clock.now(), reason=f"ClientError: {reason}")
        _write(table, entry, failed)
        _clear(platform, failed, attempt)


def _specs(platform: Platform, entry: Entry[TrainingJob], attempt: Attempt) -> list[HostSpec]:
    job = entry.value
    lasting = attempt.max_runtime_seconds + _CREDENTIAL_SLACK_SECONDS
    return host_specs(
        job,
        attempt,
        platform.registry.images.resolve(job.request["AlgorithmSpecification"]["TrainingImage"]),
        name=entry.name,
        account=entry.account,
        region=entry.region,
        wake=Wake(TOPIC, f"{entry.account}/{entry.region}/{entry.name}"),
        environment=work_environment(platform, job.role, entry.region, lasting),
        role=limiting_role(platform, job.role),
    )


def _write(table: Table[TrainingJob], entry: Entry[TrainingJob], job: TrainingJob) -> None:
    table.replace(entry, job, status=job.status)


def _clear(platform: Platform, job: TrainingJob, attempt: Attempt) -> None:
    """Let go of what an ended job used, and wake those that wait for it."""
    _forget(_executor(platform), attempt)
    _release(platform, job)


def _release(platform: Platform, job: TrainingJob) -> None:
    """Give back the job's slots or its place in line, and wake those who wait: others of this room, and of others."""
    slots = _slots(platform)
    slots.release(_owner(job))
    for topic in {TOPIC, *slots.waiting()}:
        platform.wake(topic)


def _sweep(platform: Platform, started: list[tuple[str, str]], holders: list[str], active: set[str]) -> None:
    """Take away hosts and slots that belong to no active job: what a crash after a job's end left behind."""
    for attempt, host in started:
        if attempt.startswith("training-") and attempt.split("-")[-2] not in active:
            _executor(platform).forget(attempt, host)
    for owner in holders:
        if owner.startswith("training-") and owner.rpartition("-")[2] not in active:
            _slots(platform).release(owner)


def _forget(executor: Executor, attempt: Attempt) -> None:
    for host in attempt.host_list():
        executor.forget(attempt.id, host.name)


def _take_warm_pool(table: Table[TrainingJob], entry: Entry[TrainingJob]) -> None:
    """Mark the warm pool that this job's instances come from as reused, where there is one that fits.

    A crash right before leaves a pool marked Available although its instances are in use: it then ends by time.
    """
    wanted = entry.value.request["ResourceConfig"]
    if not wanted.get("KeepAlivePeriodInSeconds"):
        return
    now = entry.updated_at
    for other in table.all(status=COMPLETED, updated_after=now - _LONGEST_KEEP_ALIVE_SECONDS, sort="created_at"):
        pool = warm_pool(other.value, now)
        if pool is None or pool["Status"] != "Available" or not same_instances(other.value, entry.value):
            continue
        retained = now - (other.value.training_end or now)
        taken = replace(other.value, warm_pool_reused_by=entry.name, warm_pool_retained_seconds=retained)
        with suppress(Conflict):
            table.replace(other, taken)
            return


def _overdue(entry: Entry[TrainingJob], now: float) -> str:
    """The secondary status to stop the job with because its time to wait is up; empty while it is not."""
    left = _until_deadline(entry, now)
    return "MaxWaitTimeExceeded" if left is not None and left <= 0 else ""


def _until_deadline(entry: Entry[TrainingJob], now: float) -> float | None:
    """Seconds until the job's time to wait is up: in all for managed spot training, for capacity otherwise."""
    job = entry.value
    condition = job.request["StoppingCondition"]
    if job.stop_reason:
        return None
    limits = [condition[name] for name in ("MaxWaitTimeInSeconds",) if name in condition]
    if job.attempt is None and "MaxPendingTimeInSeconds" in condition:
        limits.append(condition["MaxPendingTimeInSeconds"])
    return min((entry.created_at + limit - now for limit in limits), default=None)


def _owner(job: TrainingJob) -> str:
    """The job's name as a holder of slots."""
    return f"training-{job.uid}"


def _executor(platform: Platform) -> Executor:
    if platform.executor is None:
        raise RuntimeError("training jobs are driven where there is an executor: in the controller")
    return platform.executor


def _slots(platform: Platform) -> Slots:
    return Slots(platform.store, platform.clock, platform.settings)
