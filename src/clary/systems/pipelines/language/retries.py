"""When a step that failed is tried again.

A policy names the failures it is for. Its first retry waits `IntervalSeconds`, each further one `BackoffRate` times as
long as the one before, until `MaxAttempts` retries have been made or `ExpireAfterMin` minutes have passed. Without
either there are five. Service faults and throttling are retried whatever the step; its policies say how if they name
them.
"""

from clary.systems.pipelines.language.definition import RetryPolicy, Step

SERVICE_FAULT, THROTTLING = "Step.SERVICE_FAULT", "Step.THROTTLING"
DEFAULT_ATTEMPTS = 5
LONGEST_WAIT_SECONDS = 86400.0

_DEFAULT = RetryPolicy((SERVICE_FAULT, THROTTLING))


def policy_for(step: Step, exception: str) -> RetryPolicy | None:
    """The first of the step's policies for a failure of this kind, the default one, or None: it is not retried."""
    return next((policy for policy in (*step.retries, _DEFAULT) if exception in policy.exceptions), None)


def wait_before_retry(step: Step, exception: str, retries: int, since_first_seconds: float) -> float | None:
    """The seconds to wait before the step is tried again; None: it has failed.

    `retries` counts those already made for this kind of failure, `since_first_seconds` is the time since the first of
    these failures.
    """
    policy = policy_for(step, exception)
    if policy is None:
        return None
    wait = min(policy.interval_seconds * policy.backoff_rate**retries, LONGEST_WAIT_SECONDS)
    if policy.expire_after_minutes is not None:
        return wait if since_first_seconds + wait <= policy.expire_after_minutes * 60 else None
    return wait if retries < (policy.max_attempts or DEFAULT_ATTEMPTS) else None
