"""What feeds of streams and queues have in common: the mapping they are for, its function, and when to stop."""

import asyncio
from typing import Any

import orjson

from clary.kernel.core.arns import Arn, parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.support.lambda_.invoker import Call, Outcome, invoker_of
from clary.support.lambda_.names import Named
from clary.support.lambda_.patterns import filters_of
from clary.support.lambda_.progress import Progress
from clary.support.lambda_.records import EventSourceMapping

LARGEST_EVENT = 6_291_456
REPORTS_FAILURES = "ReportBatchItemFailures"

_LONGEST_PAUSE_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.25


class Stopped(Exception):
    """The feed is to end: the mapping was disabled, changed or deleted."""


class Feed:
    """One mapping at work, on one event loop."""

    def __init__(self, platform: Platform, entry: Entry[EventSourceMapping]) -> None:
        self.platform = platform
        self.mapping = entry.name
        self.account = entry.account
        self.members = entry.value.members
        self.source: Arn = parse_arn(entry.parent)
        function = parse_arn(entry.value.function)
        name, _, qualifier = function.resource.removeprefix("function:").partition(":")
        self.named = Named(function.account, function.region, name, qualifier)
        self.filters = filters_of(self.members.get("FilterCriteria"))
        self.progress = Progress(platform, entry.name)
        self.invoker = invoker_of(platform)
        self.stopping = asyncio.Event()
        self.start_at = entry.value.start_at
        self.role = ""

    async def run(self) -> None:
        """Feed the function until told to stop."""
        raise NotImplementedError

    @property
    def reports_failures(self) -> bool:
        return REPORTS_FAILURES in (self.members.get("FunctionResponseTypes") or ())

    async def ask(self, service: str, operation: str, **params: Any) -> Any:
        """Call the room of the source, on behalf of the function's account."""
        ctx = self.platform.acting_as_root(self.account, self.source.region, service, operation)
        return (await self.platform.registry.invoke(ctx, params)).output

    async def call(self, event: Any) -> Outcome | None:
        """Call the function; None when it could not be called, now."""
        try:
            outcome = await self.invoker.invoke(self.named, Call(new_uuid(), orjson.dumps(event)))
        except AwsError as error:
            await self.progress.tell(f"PROBLEM: Function call failed: {error.code}")
            return None
        await self.progress.tell("PROBLEM: Function call failed" if outcome.error else "OK")
        return outcome

    async def pause(self, seconds: float) -> None:
        """Wait so long. Raises Stopped when the feed is to end."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped

    def check(self) -> None:
        """Raise Stopped when the feed is to end."""
        if self.stopping.is_set():
            raise Stopped


def pause_before(tries: int) -> float:
    """How long to wait before another try."""
    return float(min(_FIRST_PAUSE_SECONDS * 2 ** min(tries, 10), _LONGEST_PAUSE_SECONDS))


def failed_items(outcome: Outcome, known: set[str]) -> set[str] | None:
    """The identifiers that a function reports as failed; None when its answer makes no sense, and all failed."""
    try:
        answer = orjson.loads(outcome.payload)
    except orjson.JSONDecodeError:
        return None
    if answer in (None, {}, "", []):
        return set()
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if isinstance(answer, dict) and failures in (None, []):
        return set()
    if not isinstance(failures, list):
        return None
    found = {one.get("itemIdentifier") if isinstance(one, dict) else None for one in failures}
    return {str(one) for one in found} if found <= known else None
