"""Drive training jobs from the state asked for to the state observed: what of it is training's own."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from clary.kernel.images import ImageUnavailable
from clary.kernel.jobs.contract import HostSpec, Observation, Resources
from clary.kernel.jobs.statuses import COMPLETED, FAILED, STOPPED
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.rooms.driving import JobKind, drive_jobs, wake_for
from clary.kernel.rooms.roles import limiting_role, work_environment
from clary.kernel.store import Conflict, Entry, Table
from clary.systems.training.logic_documents import same_instances, warm_pool
from clary.systems.training.logic_hosts import JOB_PREFIX, Attempt, host_specs, hosts_of
from clary.systems.training.logic_transitions import (
    enter,
    finish,
    follow,
    gang_must_stop,
    out_of_time,
)
from clary.systems.training.records import TrainingJob

TOPIC = "training"

_EVERY_SECONDS = 5.0
_CREDENTIAL_SLACK_SECONDS = 3600.0
_LONGEST_KEEP_ALIVE_SECONDS = 21_600


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the job of a key `account/region/name`, or all of them, oldest first, and sweep."""
    return drive_jobs(platform, TrainingJobs(), key)


class TrainingJobs(JobKind[TrainingJob, Attempt]):
    """A gang of hosts that ends together, with time limits on its wait and its run, and warm pools."""

    topic = TOPIC
    prefix = JOB_PREFIX
    record = TrainingJob

    def attempt(self, job: TrainingJob) -> Attempt | None:
        return None if job.attempt is None else Attempt(**job.attempt)

    def instance_types(self, job: TrainingJob) -> list[str]:
        return [host.instance_type for host in hosts_of(job.request)]

    def end_before_it_begins(self, platform: Platform, job: TrainingJob, now: float) -> TrainingJob | None:
        if job.stop_reason:
            return finish(job, STOPPED, job.stop_reason, now)
        if _seconds_left(job) <= 0:
            return finish(job, STOPPED, "MaxRuntimeExceeded", now)
        try:
            platform.registry.images.resolve(job.request["AlgorithmSpecification"]["TrainingImage"])
        except ImageUnavailable as error:
            return self.failed(job, f"ClientError: {error}", now)
        return None

    def begun(self, entry: Entry[TrainingJob], granted: Sequence[Resources], now: float) -> tuple[TrainingJob, Attempt]:
        job = entry.value
        number = job.restarts + job.retries + 1
        attempt = Attempt.of(job, entry.name, hosts_of(job.request), granted, number, now, _seconds_left(job))
        begun = replace(job, attempt=attempt.document())
        return begun if job.secondary == "Starting" else enter(begun, "Starting", now), attempt

    def specs(self, platform: Platform, entry: Entry[TrainingJob], attempt: Attempt) -> list[HostSpec]:
        job = entry.value
        lasting = attempt.max_runtime_seconds + _CREDENTIAL_SLACK_SECONDS
        return host_specs(
            job,
            attempt,
            platform.registry.images.resolve(job.request["AlgorithmSpecification"]["TrainingImage"]),
            name=entry.name,
            account=entry.account,
            region=entry.region,
            wake=wake_for(TOPIC, entry),
            environment=work_environment(platform, job.role, entry.region, lasting),
            role=limiting_role(platform, job.role),
        )

    def failed(self, job: TrainingJob, reason: str, now: float) -> TrainingJob:
        return finish(job, FAILED, "Failed", now, reason=reason)

    def must_stop(self, job: TrainingJob, seen: Sequence[Observation]) -> bool:
        return gang_must_stop(job, seen)

    def follow(self, job: TrainingJob, seen: Sequence[Observation]) -> TrainingJob:
        return follow(job, seen)

    def waiting(self, job: TrainingJob, now: float) -> TrainingJob:
        return enter(job, "Pending", now)

    def expired(self, entry: Entry[TrainingJob], now: float) -> TrainingJob | None:
        left = self.seconds_left(entry, now)
        return out_of_time(entry.value, "MaxWaitTimeExceeded" if left is not None and left <= 0 else "")

    def seconds_left(self, entry: Entry[TrainingJob], now: float) -> float | None:
        """Until the job's time to wait is up: in all for managed spot training, for capacity otherwise."""
        job = entry.value
        condition = job.request["StoppingCondition"]
        if job.stop_reason:
            return None
        limits = [condition[name] for name in ("MaxWaitTimeInSeconds",) if name in condition]
        if job.attempt is None and "MaxPendingTimeInSeconds" in condition:
            limits.append(condition["MaxPendingTimeInSeconds"])
        return min((entry.created_at + limit - now for limit in limits), default=None)

    def has_begun(self, table: Table[TrainingJob], entry: Entry[TrainingJob]) -> None:
        if entry.value.restarts + entry.value.retries == 0:
            _take_warm_pool(table, entry)


def _seconds_left(job: TrainingJob) -> float:
    """What MaxRuntimeInSeconds, which holds for all attempts together, leaves to the next."""
    return float(job.request["StoppingCondition"]["MaxRuntimeInSeconds"]) - job.trained_seconds


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
