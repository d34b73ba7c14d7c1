"""What the room keeps: scalable targets, their policies and scheduled actions, and what scaling was done.

A target's record is named `<scalable dimension>/<resource id>`; what belongs to it has that name as its parent, and as
the beginning of its own.
"""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record


@dataclass(frozen=True, slots=True)
class Cooldown:
    """The time after a change. `base` is the capacity there was before it; times are epoch seconds."""

    scaled_out: bool
    base: int
    until: float


@record("scalable_target", version=1)
@dataclass(frozen=True, slots=True)
class ScalableTarget:
    """A variant whose instance count may be between `minimum` and `maximum`.

    `id` is the one in its ARN; `activity` names the scaling activity that is under way, empty for none. Measurements
    from before `changed_at`, when its capacity last changed, say nothing any more; after a failure nothing is tried
    `not_before` that time.
    """

    resource: str
    dimension: str
    id: str
    minimum: int
    maximum: int
    suspended: dict[str, bool] = field(default_factory=dict)
    activity: str = ""
    cooldown: Cooldown | None = None
    changed_at: float = 0.0
    not_before: float = 0.0

    def __post_init__(self) -> None:
        stored: Any = self.cooldown
        if isinstance(stored, dict):
            object.__setattr__(self, "cooldown", Cooldown(**stored))


@record("scaling_policy", version=1)
@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """`settings` is the policy's configuration as it was sent; `alarms` are those that the policy itself made."""

    name: str
    arn: str
    kind: str
    settings: dict[str, Any]
    alarms: list[str] = field(default_factory=list)


@record("scheduled_action", version=1)
@dataclass(frozen=True, slots=True)
class ScheduledAction:
    """Other bounds at a time. `next_at` is when it is due next, None for never again; times are epoch seconds."""

    name: str
    arn: str
    schedule: str
    timezone: str = ""
    start: float | None = None
    end: float | None = None
    minimum: int | None = None
    maximum: int | None = None
    next_at: float | None = None


@record("scaling_activity", version=1)
@dataclass(frozen=True, slots=True)
class ScalingActivity:
    """Something done to a target; the envelope's status is its StatusCode, and its name sorts by time.

    `before` and `asked` are capacities, None where bounds alone were set; `cooldown_seconds` follow its success.
    """

    id: str
    description: str
    cause: str
    started_at: float
    ended_at: float | None = None
    message: str = ""
    before: int | None = None
    asked: int | None = None
    cooldown_seconds: float = 0.0
