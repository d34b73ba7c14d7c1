"""What the room stores: buses and rules with their targets in the record store; what is to be delivered, and when
schedules are due, in the key-value domain `events`."""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record

DEFAULT_BUS = "default"
ENABLED, DISABLED = "ENABLED", "DISABLED"


@record("event_bus", version=1)
@dataclass(frozen=True, slots=True)
class EventBus:
    """An event bus. The default one is there without a record. `statements` are those of its policy, by their Sid."""

    description: str = ""
    dead_letters: str = ""
    statements: dict[str, dict[str, Any]] = field(default_factory=dict)


@record("event_rule", version=1)
@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, named `<bus>|<name>`, its status whether it is enabled, its parent the bus.

    `targets` are PutTargets' entries by their Id, `roles` what those that were given a role act as. `since` is when the
    schedule began to count, epoch seconds.
    """

    name: str
    bus: str
    pattern: str = ""
    schedule: str = ""
    description: str = ""
    role_arn: str = ""
    created_by: str = ""
    since: float = 0.0
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one target of `source`, the ARN of a rule or of a schedule.

    `target` is as it was when the event came, `role` the ARN of the role to act as, empty for none. `tries` are those
    that failed. `leads`: it is the first of those that one rule makes of an event, and counts for the rule.
    `scheduled_at` is when a schedule was due. Times are epoch seconds.
    """

    source: str
    target: dict[str, Any]
    role: str
    queued_at: float
    due_at: float
    number: int = 0
    tries: int = 0
    leads: bool = False
    scheduled_at: float = 0.0

    @property
    def is_scheduled(self) -> bool:
        """Whether a schedule of EventBridge Scheduler made it, not a rule."""
        return self.scheduled_at > 0

    @property
    def lane(self) -> str:
        """What is delivered one after the other: all of one target."""
        return f"{self.source}|{self.target.get('Id', '')}"


@record("schedule_group", version=1)
@dataclass(frozen=True, slots=True)
class ScheduleGroup:
    """A group of schedules. The default one is there without a record. `token` is that of its CreateScheduleGroup."""

    token: str = ""


@record("schedule", version=1)
@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule, named `<group>/<name>`, its status whether it is enabled, its parent the group.

    `request` holds CreateSchedule's members, or those of its last update, as they were sent, its times in epoch
    seconds; `role` is what it acts as; `since` is when it began to count; `token` that of its CreateSchedule.
    """

    name: str
    group: str
    request: dict[str, Any]
    role: str
    since: float
    token: str = ""


@record("event_archive", version=1)
@dataclass(frozen=True, slots=True)
class Archive:
    """An archive, its parent the bus whose events it keeps; `uid` is what they are kept under. Zero days: for ever."""

    uid: str
    bus: str
    pattern: str = ""
    description: str = ""
    retention_days: int = 0


@record("event_replay", version=1)
@dataclass(frozen=True, slots=True)
class Replay:
    """A replay of what an archive keeps from `start` to `end`, for the rules of `only`, or all rules of the bus.

    `position` is the key, in hexadecimal, of the last event that was replayed, of the time `replayed_to`. Times are
    epoch seconds.
    """

    archive: str
    uid: str
    bus: str
    start: float
    end: float
    description: str = ""
    only: list[str] = field(default_factory=list)
    position: str = ""
    replayed_to: float | None = None
    ended_at: float | None = None
    reason: str = ""
