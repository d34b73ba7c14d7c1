"""What is stored of a processing job: the request as it was sent, and where the job stands."""

from dataclasses import dataclass
from typing import Any

from clary.kernel.store import record


@record("processing_job", version=1)
@dataclass(frozen=True, slots=True)
class ProcessingJob:
    """A processing job. All times are epoch seconds.

    `request` is CreateProcessingJob's, completed with defaults and without tags; `role` is the one its hosts act as.
    `uid` tells it from others that had its name. `attempt` is the run under way or the last one, a
    `logic_hosts.Attempt`; it is recorded before its first host is started, so that every start can be repeated.
    `restarts` is how many attempts were lost, `ran_seconds` how long those ran.
    """

    uid: str
    arn: str
    request: dict[str, Any]
    role: str
    status: str
    attempt: dict[str, Any] | None = None
    restarts: int = 0
    ran_seconds: float = 0.0
    started: float | None = None
    ended: float | None = None
    failure_reason: str = ""
    exit_message: str = ""
