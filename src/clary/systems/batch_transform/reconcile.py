"""Drive transform jobs from the state asked for to the state observed: what of it is batch transform's own."""

from collections.abc import Sequence
from dataclasses import replace

from clary.kernel.images import ImageUnavailable, Runtime
from clary.kernel.jobs.contract import HostSpec, Observation, Resources
from clary.kernel.jobs.statuses import FAILED, STOPPED, STOPPING
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.rooms.driving import JobKind, drive_jobs, wake_for
from clary.kernel.rooms.roles import limiting_role, work_environment
from clary.kernel.store import Entry
from clary.systems.batch_transform.logic_hosts import JOB_PREFIX, Attempt, host_specs, instance_types
from clary.systems.batch_transform.logic_progress import finish, follow
from clary.systems.batch_transform.records import TransformJob

TOPIC = "batch_transform"

_EVERY_SECONDS = 5.0
_CREDENTIAL_SECONDS = 28 * 86_400.0  # AWS lets no transform job run longer


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the job of a key `account/region/name`, or all of them, oldest first, and sweep."""
    return drive_jobs(platform, TransformJobs(), key)


class TransformJobs(JobKind[TransformJob, Attempt]):
    """Hosts that share the objects and nothing else; a lost one means another attempt for what is not stored."""

    topic = TOPIC
    prefix = JOB_PREFIX
    record = TransformJob

    def attempt(self, job: TransformJob) -> Attempt | None:
        return None if job.attempt is None else Attempt(**job.attempt)

    def instance_types(self, job: TransformJob) -> list[str]:
        return instance_types(job.request)

    def end_before_it_begins(self, platform: Platform, job: TransformJob, now: float) -> TransformJob | None:
        if job.status == STOPPING:
            return finish(job, STOPPED, now)
        try:
            _runtimes(platform, job)
        except ImageUnavailable as error:
            return self.failed(job, f"ClientError: {error}", now)
        return None

    def begun(
        self, entry: Entry[TransformJob], granted: Sequence[Resources], now: float
    ) -> tuple[TransformJob, Attempt]:
        attempt = Attempt.of(entry.value, entry.name, granted, now)
        return replace(entry.value, attempt=attempt.document()), attempt

    def specs(self, platform: Platform, entry: Entry[TransformJob], attempt: Attempt) -> list[HostSpec]:
        return host_specs(
            entry.value,
            attempt,
            _runtimes(platform, entry.value),
            name=entry.name,
            account=entry.account,
            region=entry.region,
            wake=wake_for(TOPIC, entry),
            environment=work_environment(platform, entry.value.role, entry.region, _CREDENTIAL_SECONDS),
            role=limiting_role(platform, entry.value.role),
        )

    def failed(self, job: TransformJob, reason: str, now: float) -> TransformJob:
        return finish(job, FAILED, now, reason)

    def must_stop(self, job: TransformJob, seen: Sequence[Observation]) -> bool:
        return job.status == STOPPING

    def follow(self, job: TransformJob, seen: Sequence[Observation]) -> TransformJob:
        return follow(job, seen)


def _runtimes(platform: Platform, job: TransformJob) -> list[Runtime]:
    """What stands for each container's image. Raises ImageUnavailable."""
    return [platform.registry.images.resolve(container["Image"]) for container in job.containers]
