"""Which of several hosts explains why a job failed, and AWS's words for it. Pure."""

from collections.abc import Sequence

from clary.kernel.jobs.contract import Failure, Observation, Outcome, Phase

REASON_LIMIT = 1024

_OURS = "InternalServerError: We encountered an internal error. Please try again."


def first_to_blame(broken: Sequence[Observation]) -> Observation:
    """A host's own failure explains the job before one of ours, and that before a host that was lost."""
    return min(broken, key=lambda one: (_blame(one), ended_at(one)))


def failure_reason(one: Observation, host: str) -> str:
    """AWS's FailureReason for a host that failed; `host` is what the job calls one, such as `training host`."""
    reason = one.reason.strip()
    if one.outcome is Outcome.LOST:
        return f"{_OURS} (A {host} was lost.)"
    if one.failure is Failure.CLIENT:
        return f"ClientError: {reason}"
    if one.failure is Failure.INTERNAL:
        return f"{_OURS} ({reason})"
    code = one.exit_code if one.exit_code is not None else 128 + (one.signal or 0)
    ending = f", exit code: {code}"
    return f"AlgorithmError: {reason[: REASON_LIMIT - len('AlgorithmError: ') - len(ending)]}{ending}"


def ended_at(one: Observation) -> float:
    return one.phases.get(Phase.ENDED, 0.0)


def _blame(one: Observation) -> int:
    if one.outcome is Outcome.LOST:
        return 2
    return 1 if one.failure is Failure.INTERNAL else 0
