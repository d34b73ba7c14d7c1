"""Drive processing jobs from the state asked for to the state observed: what of it is processing's own."""

from collections.abc import Sequence
from dataclasses import replace

from clary.kernel.core.ids import new_id
from clary.kernel.images import ImageUnavailable, Runtime
from clary.kernel.jobs.contract import HostSpec, Observation, Resources
from clary.kernel.jobs.statuses import FAILED, STOPPED, STOPPING
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.rooms.driving import JobKind, drive_jobs, wake_for
from clary.kernel.rooms.roles import limiting_role, work_environment
from clary.kernel.store import Entry
from clary.support.processing.datasets import queries_run, stop_queries
from clary.support.processing.logic_datasets import queried_inputs
from clary.support.processing.logic_hosts import JOB_PREFIX, Attempt, command, host_specs, hosts_of, seconds_left
from clary.support.processing.logic_progress import finish, follow, must_stop, out_of_time
from clary.support.processing.records import ProcessingJob

TOPIC = "processing"

_EVERY_SECONDS = 5.0
_CREDENTIAL_SLACK_SECONDS = 3600.0
_QUERY_SECONDS = 0.5


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the job of a key `account/region/name`, or all of them, oldest first, and sweep."""
    return drive_jobs(platform, ProcessingJobs(), key)


class ProcessingJobs(JobKind[ProcessingJob, Attempt]):
    """A gang of hosts that ends together; a lost one means another attempt, from the beginning."""

    topic = TOPIC
    prefix = JOB_PREFIX
    record = ProcessingJob

    def attempt(self, job: ProcessingJob) -> Attempt | None:
        return None if job.attempt is None else Attempt(**job.attempt)

    def instance_types(self, job: ProcessingJob) -> list[str]:
        return [host.instance_type for host in hosts_of(job.request)]

    def end_before_it_begins(self, platform: Platform, job: ProcessingJob, now: float) -> ProcessingJob | None:
        if job.status == STOPPING:
            stop_queries(platform, job)
            return finish(job, STOPPED, now)
        if seconds_left(job) <= 0:
            return out_of_time(job, now)
        try:
            command(job.request, _runtime(platform, job))
        except ImageUnavailable as error:
            return self.failed(job, f"ClientError: {error}", now)
        return None

    def must_wait(self, platform: Platform, job: ProcessingJob) -> bool:
        return job.attempt is None and queries_run(platform, job)

    def seconds_left(self, entry: Entry[ProcessingJob], now: float) -> float | None:
        return _QUERY_SECONDS if entry.value.attempt is None and queried_inputs(entry.value) else None

    def begun(
        self, entry: Entry[ProcessingJob], granted: Sequence[Resources], now: float
    ) -> tuple[ProcessingJob, Attempt]:
        attempt = Attempt.of(entry.value, entry.name, granted, now, new_id())
        return replace(entry.value, attempt=attempt.document()), attempt

    def specs(self, platform: Platform, entry: Entry[ProcessingJob], attempt: Attempt) -> list[HostSpec]:
        job = entry.value
        lasting = attempt.max_runtime_seconds + _CREDENTIAL_SLACK_SECONDS
        return host_specs(
            job,
            attempt,
            _runtime(platform, job),
            name=entry.name,
            account=entry.account,
            region=entry.region,
            wake=wake_for(TOPIC, entry),
            environment=work_environment(platform, job.role, entry.region, lasting),
            role=limiting_role(platform, job.role),
        )

    def failed(self, job: ProcessingJob, reason: str, now: float) -> ProcessingJob:
        return finish(job, FAILED, now, reason=reason)

    def must_stop(self, job: ProcessingJob, seen: Sequence[Observation]) -> bool:
        return must_stop(job, seen)

    def follow(self, job: ProcessingJob, seen: Sequence[Observation]) -> ProcessingJob:
        return follow(job, seen)


def _runtime(platform: Platform, job: ProcessingJob) -> Runtime:
    """What stands for the job's image. Raises ImageUnavailable."""
    return platform.registry.images.resolve(job.request["AppSpecification"]["ImageUri"])
