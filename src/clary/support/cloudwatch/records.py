"""What the room keeps in the record store; data of metrics are the kernel's telemetry."""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record


@record("cloudwatch_alarm", version=1)
@dataclass(frozen=True, slots=True)
class Alarm:
    """A metric alarm; its state is the envelope's status too. Times are epoch seconds.

    `settings` are the members of PutMetricAlarm as they came, tags aside. `to_notify` are the actions of the last
    change of state that are still to be carried out, with the state it came from in `previous`.
    """

    settings: dict[str, Any]
    state: str
    reason: str
    reason_data: str
    configured_at: float
    updated_at: float
    transitioned_at: float
    previous: str = ""
    to_notify: list[str] = field(default_factory=list)


@record("cloudwatch_alarm_history", version=1)
@dataclass(frozen=True, slots=True)
class AlarmHistoryItem:
    """Something that happened to an alarm, the record's parent; the record's name sorts by time."""

    alarm: str
    kind: str
    summary: str
    data: dict[str, Any] = field(default_factory=dict)


@record("cloudwatch_dashboard", version=1, scope="account")
@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard's body, JSON as the client wrote it."""

    body: str
