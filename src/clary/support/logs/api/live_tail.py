"""Live tail: what comes in, sent on once a second for as long as the client listens."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, operation
from clary.kernel.telemetry.log_records import LogGroup
from clary.kernel.telemetry.logs import Logs
from clary.support.logs.api.events import compiled
from clary.support.logs.lookup import find_group, group_name, invalid
from clary.support.logs.patterns import Pattern

_EVERY_SECONDS = 1.0
_LONGEST_SECONDS = 3 * 3600.0
_MOST_EVENTS = 500


@operation("logs", "StartLiveTail")
async def start_live_tail(
    ctx: Context,
    logGroupIdentifiers: Sequence[str],
    logStreamNames: Sequence[str] | None = None,
    logStreamNamePrefixes: Sequence[str] | None = None,
    logEventFilterPattern: str | None = None,
) -> dict[str, Any]:
    """Stream matching events of up to ten groups as they come in, whatever their timestamps, for up to three hours."""
    if logStreamNames and logStreamNamePrefixes:
        raise invalid("Specify either logStreamNames or logStreamNamePrefixes, and not both.")
    if (logStreamNames or logStreamNamePrefixes) and len(logGroupIdentifiers) > 1:
        raise invalid("Streams can only be chosen with a single log group.")
    groups = {identifier: find_group(ctx, group_name(ctx, identifier)) for identifier in logGroupIdentifiers}
    pattern = compiled(logEventFilterPattern or "")
    start = {
        "requestId": ctx.request_id,
        "sessionId": new_uuid(),
        "logGroupIdentifiers": list(logGroupIdentifiers),
        "logStreamNames": list(logStreamNames or ()),
        "logStreamNamePrefixes": list(logStreamNamePrefixes or ()),
        "logEventFilterPattern": logEventFilterPattern or "",
    }
    tail = Tail(ctx.platform.logs, groups, pattern, tuple(logStreamNames or ()), tuple(logStreamNamePrefixes or ()))
    return {"responseStream": _session(ctx, start, tail)}


async def _session(ctx: Context, start: dict[str, Any], tail: "Tail") -> AsyncIterator[dict[str, Any]]:
    yield {"sessionStart": {name: value for name, value in start.items() if value}}
    end = ctx.platform.clock.monotonic() + _LONGEST_SECONDS
    while ctx.platform.clock.monotonic() < end:
        await asyncio.sleep(_EVERY_SECONDS)
        results = await asyncio.to_thread(tail.poll)
        sampled = len(results) > _MOST_EVENTS
        if sampled:
            results = results[:: -(-len(results) // _MOST_EVENTS)]
        yield {"sessionUpdate": {"sessionMetadata": {"sampled": sampled}, "sessionResults": results}}
    yield {"SessionTimeoutException": {"message": "The Live Tail session has reached its time limit of three hours."}}


class Tail:
    """Follows groups from the moment it is made; `poll` gives what matched since the last time."""

    def __init__(
        self,
        logs: Logs,
        groups: dict[str, LogGroup],
        pattern: Pattern,
        names: tuple[str, ...] = (),
        prefixes: tuple[str, ...] = (),
    ) -> None:
        self._logs = logs
        self._groups = groups
        self._pattern = pattern
        self._names = names
        self._prefixes = prefixes
        self._seen = {identifier: logs.last_arrival(group) for identifier, group in groups.items()}

    def poll(self) -> list[dict[str, Any]]:
        """Matching events that came in since the last call, by group, in the order they came."""
        return [result for identifier in self._groups for result in self._poll_group(identifier)]

    def _poll_group(self, identifier: str) -> list[dict[str, Any]]:
        group = self._groups[identifier]
        results = []
        while arrivals := self._logs.arrivals(group, self._seen[identifier]):
            self._seen[identifier] = arrivals[-1].number
            for arrival in arrivals:
                if not self._follows(arrival.stream_name):
                    continue
                results += [
                    {
                        "logStreamName": arrival.stream_name,
                        "logGroupIdentifier": identifier,
                        "message": event.message,
                        "timestamp": event.timestamp,
                        "ingestionTime": event.ingested_at,
                    }
                    for event in self._logs.arrived_events(arrival)
                    if self._pattern.match(event.message) is not None
                ]
        return results

    def _follows(self, stream: str) -> bool:
        if self._names:
            return stream in self._names
        return not self._prefixes or stream.startswith(self._prefixes)
