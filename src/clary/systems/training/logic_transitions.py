"""The state machine of a training job: from what is observed of its hosts to AWS's statuses and messages. Pure."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.jobs.blame import REASON_LIMIT, ended_at, failure_reason, first_to_blame
from clary.kernel.jobs.contract import Failure, Observation, Outcome, Phase
from clary.kernel.jobs.statuses import ACTIVE, COMPLETED, FAILED, IN_PROGRESS, STOPPED, STOPPING
from clary.systems.training.records import TrainingJob

RESTARTS = 3

_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Pending": "Training job waiting for capacity",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Interrupted": "Training job interrupted: a managed spot instance was lost",
    "Restarting": "Restarting the training job on other instances",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "Completed": "Training job completed",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded the limit of its StoppingCondition",
}

_STAGES = ("Downloading", "Training", "Uploading")
_STAGE_PHASES = {"Downloading": Phase.DOWNLOADING, "Training": Phase.RUNNING, "Uploading": Phase.UPLOADING}


def first_transition(now: float) -> list[dict[str, Any]]:
    return [{"Status": "Starting", "StartTime": now, "StatusMessage": "Starting the training job"}]


def enter(job: TrainingJob, secondary: str, now: float, message: str = "") -> TrainingJob:
    """The job in another secondary status; times never run backwards."""
    *earlier, last = job.transitions
    at = max(now, last["StartTime"])
    transitions = [
        *earlier,
        {**last, "EndTime": at},
        {"Status": secondary, "StartTime": at, "StatusMessage": message or _MESSAGES[secondary]},
    ]
    return replace(job, secondary=secondary, transitions=transitions)


def finish(job: TrainingJob, status: str, secondary: str, now: float, *, reason: str = "") -> TrainingJob:
    """The job in a final status."""
    reason = reason[:REASON_LIMIT]
    ended = enter(job, secondary, now, message=reason)
    at = ended.transitions[-1]["StartTime"]
    transitions = [*ended.transitions[:-1], {**ended.transitions[-1], "EndTime": at}]
    keep_alive = job.request["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0)
    return replace(
        ended,
        status=status,
        transitions=transitions,
        failure_reason=reason,
        training_end=at,
        warm_pool_until=at + keep_alive if keep_alive and status == COMPLETED else None,
    )


def ask_to_stop(job: TrainingJob, now: float) -> TrainingJob | None:
    """The job on its way to Stopped; None when it is on its way or has ended."""
    if job.status != IN_PROGRESS:
        return None
    return replace(enter(job, "Stopping", now), status=STOPPING, stop_reason="Stopped")


def out_of_time(job: TrainingJob, reason: str) -> TrainingJob | None:
    """The job on its way to be stopped by the platform, to end in the secondary status `reason`; None without one."""
    if not reason or job.status not in ACTIVE or job.stop_reason:
        return None
    return replace(job, stop_reason=reason)


def follow(job: TrainingJob, observations: Sequence[Observation]) -> TrainingJob:
    """The job after a look at all hosts of its attempt; the same job when there is nothing new.

    A gang ends together: the job ends once all hosts ended, or as soon as one of them failed or was lost; a job that
    was told to stop waits for all, and is Stopped however they ended.
    """
    if job.status not in ACTIVE:
        return job
    followed = _through_stages(job, observations)
    ended = [one for one in observations if one.ended]
    if not ended:
        return followed
    broken = [one for one in ended if one.outcome in {Outcome.FAILED, Outcome.LOST}]
    if broken and not job.stop_reason:
        return _after_breakage(followed, observations, broken)
    if len(ended) < len(observations):
        return followed
    return _after_end(followed, observations)


def gang_must_stop(job: TrainingJob, observations: Sequence[Observation]) -> bool:
    """Whether hosts that still run must be told to stop."""
    return bool(job.stop_reason) or any(
        one.ended and one.outcome in {Outcome.TIMED_OUT, Outcome.STOPPED} for one in observations
    )


def billable_seconds(job: TrainingJob, now: float) -> int:
    """The seconds that attempts ran, rounded up."""
    running = 0.0
    if job.attempt is not None and job.attempt.get("began") is not None:
        running = max(0.0, (job.training_end or now) - job.attempt["began"])
    return math.ceil(job.trained_seconds + running)


def _through_stages(job: TrainingJob, observations: Sequence[Observation]) -> TrainingJob:
    """Enter the stages that the hosts went through: Downloading with the first host, the others with the last."""
    for index, stage in enumerate(_STAGES):
        begun = [one.phases[_STAGE_PHASES[stage]] for one in observations if _STAGE_PHASES[stage] in one.phases]
        if not begun or (stage != "Downloading" and len(begun) < len(observations)):
            break
        at = min(begun) if stage == "Downloading" else max(begun)
        if stage == "Downloading":
            job = _began(job, at)
        if job.status == IN_PROGRESS and job.secondary not in _STAGES[index:]:
            job = enter(job, stage, at)
    return job


def _began(job: TrainingJob, at: float) -> TrainingJob:
    if job.attempt is None or job.attempt.get("began") is not None:
        return job
    return replace(
        job,
        attempt={**job.attempt, "began": at},
        training_start=at if job.training_start is None else job.training_start,
    )


def _after_breakage(
    job: TrainingJob, observations: Sequence[Observation], broken: Sequence[Observation]
) -> TrainingJob:
    now = min(ended_at(one) for one in broken)
    first = first_to_blame(broken)
    lost = first.outcome is Outcome.LOST
    if lost and job.restarts < RESTARTS:
        return _again(replace(job, restarts=job.restarts + 1), now)
    ours = lost or first.failure is Failure.INTERNAL
    allowed = job.request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
    if ours and job.retries < allowed:
        return _again(replace(job, retries=job.retries + 1), now)
    return finish(
        _with_metrics(job, observations), FAILED, "Failed", now, reason=failure_reason(first, "training host")
    )


def _after_end(job: TrainingJob, observations: Sequence[Observation]) -> TrainingJob:
    now = max(ended_at(one) for one in observations)
    job = _with_metrics(job, observations)
    stored = [uri for one in observations for uri in one.outputs]
    job = replace(job, artifacts=_artifacts(job, stored))
    if job.stop_reason:
        return finish(job, STOPPED, job.stop_reason, now)
    if any(one.outcome is Outcome.TIMED_OUT for one in observations):
        return finish(job, STOPPED, "MaxRuntimeExceeded", now)
    if any(one.outcome is Outcome.STOPPED for one in observations):
        return finish(job, STOPPED, "Stopped", now)
    return finish(job, COMPLETED, "Completed", now)


def _again(job: TrainingJob, now: float) -> TrainingJob:
    """The job whose attempt is over, to be started anew from its checkpoints."""
    spot = job.request.get("EnableManagedSpotTraining", False)
    attempt = job.attempt or {}
    began = attempt.get("began")
    trained = job.trained_seconds + (max(0.0, now - began) if began is not None else 0.0)
    interrupted = enter(job, "Interrupted" if spot else "Restarting", now)
    return replace(interrupted, attempt={**attempt, "began": None, "over": True}, trained_seconds=trained)


def _with_metrics(job: TrainingJob, observations: Sequence[Observation]) -> TrainingJob:
    latest: dict[str, dict[str, Any]] = {}
    for one in observations:
        for metric in one.metrics:
            known = latest.get(metric.name)
            if known is None or metric.timestamp > known["Timestamp"]:
                latest[metric.name] = {
                    "MetricName": metric.name,
                    "Value": metric.value,
                    "Timestamp": metric.timestamp,
                }
    return replace(job, metrics=list(latest.values()))


def _artifacts(job: TrainingJob, stored: Sequence[str]) -> str:
    model = (job.attempt or {}).get("model_uri", "")
    return model if model in stored else ""
