"""The state machine of a transform job: from what is observed of its hosts to AWS's statuses and messages. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from clary.kernel.jobs.blame import REASON_LIMIT, ended_at, first_to_blame
from clary.kernel.jobs.contract import Failure, Observation, Outcome, Phase
from clary.kernel.jobs.statuses import ACTIVE, COMPLETED, FAILED, IN_PROGRESS, STOPPED, STOPPING
from clary.systems.batch_transform.logic_hosts import places_done
from clary.systems.batch_transform.records import TransformJob

RESTARTS = 3

_BLAMES = ("ClientError: ", "AlgorithmError: ")
_OURS = "InternalServerError: We encountered an internal error. Please try again."


def finish(job: TransformJob, status: str, now: float, reason: str = "") -> TransformJob:
    """The job in a final status."""
    return replace(job, status=status, ended=now, failure_reason=reason[:REASON_LIMIT])


def ask_to_stop(job: TransformJob) -> TransformJob | None:
    """The job on its way to Stopped; None when it is on its way or has ended."""
    return replace(job, status=STOPPING) if job.status == IN_PROGRESS else None


def follow(job: TransformJob, observations: Sequence[Observation]) -> TransformJob:
    """The job after a look at all hosts of its attempt; the same job when there is nothing new.

    Hosts share the objects and nothing else: the job ends once all have ended, so that a failed object costs no other
    its output. A host that was lost means another attempt, which leaves out what is stored already.
    """
    if job.status not in ACTIVE:
        return job
    began = [one.phases[Phase.DOWNLOADING] for one in observations if Phase.DOWNLOADING in one.phases]
    if began and job.started is None:
        job = replace(job, started=min(began))
    ended = [one for one in observations if one.ended]
    lost = any(one.outcome is Outcome.LOST for one in ended)
    if lost and job.status == IN_PROGRESS and job.restarts < RESTARTS:
        return _again(job, observations)
    if len(ended) < len(observations):
        return job
    now = max(ended_at(one) for one in ended)
    if job.status == STOPPING:
        return finish(job, STOPPED, now)
    broken = [one for one in ended if one.outcome is not Outcome.COMPLETED]
    if not broken:
        return finish(job, COMPLETED, now)
    return finish(job, FAILED, now, failure_reason(first_to_blame(broken)))


def failure_reason(one: Observation) -> str:
    """AWS's FailureReason for a host that failed. The runtime says itself whose fault an object or a model is."""
    reason = one.reason.strip()
    if one.failure is Failure.CLIENT:
        return f"ClientError: {reason}"
    if one.failure is Failure.ALGORITHM:
        return reason if reason.startswith(_BLAMES) else f"AlgorithmError: {reason}"
    return f"{_OURS} ({reason or 'A transform host was lost.'})"


def _again(job: TransformJob, observations: Sequence[Observation]) -> TransformJob:
    stored = [uri for one in observations for uri in one.outputs]
    done = sorted({*job.done, *places_done(job.request, stored)})
    attempt = {**(job.attempt or {}), "over": True}
    return replace(job, attempt=attempt, done=done, restarts=job.restarts + 1)
