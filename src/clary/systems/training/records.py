"""What is stored of a training job: the request as it was sent, and where the job stands."""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record


@record("training_job", version=1)
@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training job. All times are epoch seconds.

    `request` is CreateTrainingJob's, completed with defaults and without tags; `role` is the one its hosts act as.
    `uid` tells it from others that had its name. `transitions` are wire-spelled, the last without EndTime while the
    job is active. `attempt` is the run under way or the last one, a `logic_hosts.Attempt`; it is recorded before its
    first host is started, so that every start can be repeated. `trained_seconds` is how long earlier attempts ran,
    `restarts` how many of them the platform lost, `retries` how many it failed. `stop_reason` is the secondary status
    to end in, once somebody asked the job to stop or its time was up.
    """

    uid: str
    arn: str
    request: dict[str, Any]
    role: str
    status: str
    secondary: str
    transitions: list[dict[str, Any]]
    attempt: dict[str, Any] | None = None
    restarts: int = 0
    retries: int = 0
    trained_seconds: float = 0.0
    training_start: float | None = None
    training_end: float | None = None
    failure_reason: str = ""
    stop_reason: str = ""
    artifacts: str = ""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    warm_pool_until: float | None = None
    warm_pool_reused_by: str = ""
    warm_pool_retained_seconds: float = 0.0
