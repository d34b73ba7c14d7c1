"""Tumbling windows: what a function makes of the records of a span of time, handed on from call to call.

Windows follow each other without a gap, from the epoch on. A record is in the window in which it arrived. Pure.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

LARGEST_STATE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Window:
    """A window of one shard that is open: it begins at `start`, in epoch seconds, and `state` is what the function
    returned last."""

    start: int
    seconds: int
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + self.seconds

    def members(self, shard: str, source: str, *, final: bool, early: bool) -> dict[str, Any]:
        """What an event tells of the window beside its records."""
        return {
            "window": {"start": _stamp(self.start), "end": _stamp(self.end)},
            "state": self.state,
            "shardId": shard,
            "eventSourceARN": source,
            "isFinalInvokeForWindow": final,
            "isWindowTerminatedEarly": early,
        }

    def after(self, answer: bytes) -> "Window":
        """The window with the state that a function's answer holds; one that holds none empties it."""
        try:
            found = orjson.loads(answer)
        except orjson.JSONDecodeError:
            found = None
        state = found.get("state") if isinstance(found, dict) else None
        return replace(self, state=state if isinstance(state, dict) else {})

    def is_over(self, now: float) -> bool:
        """Whether its time has passed, or it must end before."""
        return now >= self.end or self.is_full

    @property
    def is_full(self) -> bool:
        """Whether the state has grown so large that the window must end before its time."""
        return len(orjson.dumps(self.state)) > LARGEST_STATE_BYTES


def start_of(arrived_at: float, seconds: int) -> int:
    """The start of the window in which something arrived."""
    return int(arrived_at // seconds) * seconds


def by_window(records: Sequence[Mapping[str, Any]], seconds: int) -> list[tuple[int, list[Mapping[str, Any]]]]:
    """Records in runs of those that are in the same window, each with the window's start."""
    found: list[tuple[int, list[Mapping[str, Any]]]] = []
    for record in records:
        start = start_of(record["ApproximateArrivalTimestamp"], seconds)
        if not found or found[-1][0] != start:
            found.append((start, []))
        found[-1][1].append(record)
    return found


def _stamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
