"""The state machine of a processing job: from what is observed of its hosts to AWS's statuses and messages. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from clary.kernel.jobs.blame import REASON_LIMIT, ended_at, failure_reason, first_to_blame
from clary.kernel.jobs.contract import Observation, Outcome, Phase
from clary.kernel.jobs.statuses import ACTIVE, COMPLETED, FAILED, IN_PROGRESS, STOPPED, STOPPING
from clary.support.processing.records import ProcessingJob

RESTARTS = 3

_BREAKS = (Outcome.FAILED, Outcome.LOST)


def finish(job: ProcessingJob, status: str, now: float, *, reason: str = "", message: str = "") -> ProcessingJob:
    """The job in a final status."""
    return replace(
        job, status=status, ended=now, failure_reason=reason[:REASON_LIMIT], exit_message=message[:REASON_LIMIT]
    )


def out_of_time(job: ProcessingJob, now: float, message: str = "") -> ProcessingJob:
    """The job as stopped because its time is up, which AWS tells by no status of its own."""
    limit = job.request["StoppingCondition"]["MaxRuntimeInSeconds"]
    return finish(
        job, STOPPED, now, reason=f"The job was stopped: its MaxRuntimeInSeconds of {limit} is over.", message=message
    )


def ask_to_stop(job: ProcessingJob) -> ProcessingJob | None:
    """The job on its way to Stopped; None when it is on its way or has ended."""
    return replace(job, status=STOPPING) if job.status == IN_PROGRESS else None


def must_stop(job: ProcessingJob, observations: Sequence[Observation]) -> bool:
    """Whether hosts that still run are to be stopped: the hosts of a job end together."""
    return job.status == STOPPING or any(one.ended and one.outcome is not Outcome.COMPLETED for one in observations)


def follow(job: ProcessingJob, observations: Sequence[Observation]) -> ProcessingJob:
    """The job after a look at all hosts of its attempt; the same job when there is nothing new.

    It ends once all have ended, the others of one that failed having been told to stop, so that what they made is
    stored. A host that was lost means another attempt; a job that was told to stop is Stopped however its hosts ended.
    """
    if job.status not in ACTIVE:
        return job
    job = _begun(job, observations)
    ended = [one for one in observations if one.ended]
    lost = any(one.outcome is Outcome.LOST for one in ended)
    if lost and job.status == IN_PROGRESS and job.restarts < RESTARTS:
        return _again(job, min(ended_at(one) for one in ended))
    if len(ended) < len(observations):
        return job
    now = max(ended_at(one) for one in ended)
    message = next((one.message for one in ended if one.message), "")
    if job.status == STOPPING:
        return finish(job, STOPPED, now, message=message)
    broken = [one for one in ended if one.outcome in _BREAKS]
    if broken:
        reason = failure_reason(first_to_blame(broken), "processing host")
        return finish(job, FAILED, now, reason=reason, message=message)
    if any(one.outcome is Outcome.TIMED_OUT for one in ended):
        return out_of_time(job, now, message)
    if any(one.outcome is Outcome.STOPPED for one in ended):
        return finish(job, STOPPED, now, message=message)
    return finish(job, COMPLETED, now, message=message)


def _begun(job: ProcessingJob, observations: Sequence[Observation]) -> ProcessingJob:
    began = [one.phases[Phase.DOWNLOADING] for one in observations if Phase.DOWNLOADING in one.phases]
    if not began or job.attempt is None or job.attempt["began"] is not None:
        return job
    started = min(began) if job.started is None else job.started
    return replace(job, started=started, attempt={**job.attempt, "began": min(began)})


def _again(job: ProcessingJob, now: float) -> ProcessingJob:
    """The job whose attempt is over, to be started anew."""
    attempt = job.attempt or {}
    began = attempt.get("began")
    ran = job.ran_seconds + (max(0.0, now - began) if began is not None else 0.0)
    return replace(job, attempt={**attempt, "over": True}, restarts=job.restarts + 1, ran_seconds=ran)
