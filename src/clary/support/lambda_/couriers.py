"""Makes the asynchronous invocations that wait in the outbox: one courier for each function that any wait for.

A courier has many invocations under way at once; the gate before the function's instances says how many run.
"""

import asyncio
import logging
import weakref
from functools import partial

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.support.lambda_ import destinations
from clary.support.lambda_.cards import Card
from clary.support.lambda_.invoker import Call, Invoker, Outcome, invoker_of
from clary.support.lambda_.names import Named, named_by
from clary.support.lambda_.outbox import DOMAIN, Outbox, Waiting
from clary.support.lambda_.records import LATEST

DEFAULT_RETRIES = 2
DEFAULT_AGE_SECONDS = 6 * 3600

_AT_ONCE = 100
_LONGEST_PAUSE_SECONDS = 300.0
_log = logging.getLogger("clary.lambda")


class Couriers:
    """The couriers of one process. Everything here runs on one event loop."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop) -> None:
        self.platform = platform
        self.loop = loop
        self.outbox = Outbox(platform.kv(DOMAIN), platform.clock)
        self._couriers: dict[str, _Courier] = {}

    def wake(self, function: str) -> None:
        """Have everything that is due for a function carried, now and as it becomes due."""
        courier = self._couriers.get(function)
        if courier is None:
            courier = self._couriers[function] = _Courier(self, function)
            task = self.loop.create_task(courier.run())
            task.add_done_callback(lambda _: self._couriers.pop(function, None))
            courier.task = task
        courier.news.set()


class _Courier:
    """The invocations of one function."""

    def __init__(self, couriers: Couriers, function: str) -> None:
        self._platform = couriers.platform
        self._outbox = couriers.outbox
        self._function = function
        self._invoker: Invoker = invoker_of(couriers.platform)
        self._under_way: dict[bytes, asyncio.Task[None]] = {}
        self.news = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Carry until nothing waits."""
        while True:
            self.news.clear()
            next_at = self._start_due()
            if next_at is None and not self._under_way and not self.news.is_set():
                return
            seconds = None if next_at is None else max(0.0, next_at - self._platform.clock.now())
            try:
                await asyncio.wait_for(self.news.wait(), seconds)
            except TimeoutError:
                continue

    def _start_due(self) -> float | None:
        """Begin what is due and not under way; when the next is due, None for never."""
        now, most = self._platform.clock.now(), self._invoker.room_for(self._function, _AT_ONCE)
        for waiting in self._outbox.waiting(self._function):
            if waiting.key in self._under_way:
                continue
            if waiting.due_at > now:
                return waiting.due_at
            if len(self._under_way) >= most:
                return None
            task = asyncio.get_running_loop().create_task(self._carry(waiting))
            self._under_way[waiting.key] = task
            task.add_done_callback(partial(self._over, waiting.key))
        return None

    def _over(self, key: bytes, _: asyncio.Task[None]) -> None:
        del self._under_way[key]
        self.news.set()

    async def _carry(self, waiting: Waiting) -> None:
        try:
            await self._try(waiting)
        except Exception:  # noqa: BLE001 - what is stored is carried again, and others go on
            _log.exception("an event of function %s failed; trying again", self._function)
            await asyncio.sleep(_pause(waiting))  # nothing may be written when the disk is full

    async def _try(self, waiting: Waiting) -> None:
        event = waiting.event
        named = named_by(self._function, event.qualifier)
        card = self._invoker.card(self._function)
        if card is None:
            await self._outbox.settle(waiting)
            return
        config = card.events.get(event.qualifier or LATEST, {})
        age = self._platform.clock.now() - event.arrived_at
        if age > config.get("MaximumEventAgeInSeconds", DEFAULT_AGE_SECONDS):
            await self._give_up(waiting, named, card, "EventAgeExceeded", None)
            return
        try:
            outcome = await self._invoker.invoke(named, Call(event.request, waiting.payload, event.client_context))
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                await self._give_up(waiting, named, card, "RetriesExhausted", None)
            else:
                await self._outbox.put_off(waiting, _pause(waiting), tries=event.tries, refusals=event.refusals + 1)
            return
        if not outcome.error:
            self._invoker.measures.count(named, AsyncEventAge=age * 1000)
            await self._tell(waiting, named, config.get("DestinationConfig", {}), "Success", outcome, event.tries + 1)
            await self._outbox.settle(waiting)
        elif event.tries >= config.get("MaximumRetryAttempts", DEFAULT_RETRIES):
            await self._give_up(waiting, named, card, "RetriesExhausted", outcome)
        else:
            seconds = self._platform.settings.function_retry_seconds * (event.tries + 1)
            await self._outbox.put_off(waiting, seconds, tries=event.tries + 1, refusals=0)

    async def _give_up(
        self, waiting: Waiting, named: Named, card: Card, condition: str, outcome: Outcome | None
    ) -> None:
        """Put an event aside where the function's configuration says, or drop it."""
        event = waiting.event
        tries = event.tries + (outcome is not None)
        config = card.events.get(event.qualifier or LATEST, {}).get("DestinationConfig", {})
        told = await self._tell(waiting, named, config, condition, outcome, tries)
        target = self._dead_letters(named, card)
        if target:
            message = destinations.value_of(outcome.payload) if outcome is not None else None
            attributes = {
                "RequestID": event.request,
                "ErrorCode": "200",
                "ErrorMessage": str((message or {}).get("errorMessage", condition))[:1024],
            }
            body = waiting.payload or b"{}"
            sent = await destinations.send(self._platform, named, target, body, attributes)
            self._invoker.measures.count(named, DeadLetterErrors=float(not sent))
            told = told or sent
        if not told:
            self._invoker.measures.count(named, AsyncEventsDropped=1.0)
        await self._outbox.settle(waiting)

    def _dead_letters(self, named: Named, card: Card) -> str:
        alias = card.aliases.get(named.qualifier)
        version = alias[0][0] if alias else named.qualifier or LATEST
        return str(card.versions.get(version, {}).get("dead_letters", ""))

    async def _tell(
        self,
        waiting: Waiting,
        named: Named,
        config: dict[str, dict[str, str]],
        condition: str,
        outcome: Outcome | None,
        tries: int,
    ) -> bool:
        """Tell the destination for this outcome, if there is one; whether it was told."""
        target = config.get("OnSuccess" if condition == "Success" else "OnFailure", {}).get("Destination")
        if not target:
            return False
        document = _document(waiting, named, condition, outcome, tries, self._platform.clock.now())
        sent = await destinations.send(self._platform, named, target, document, {})
        if not sent:
            self._invoker.measures.count(named, DestinationDeliveryFailures=1.0)
        return sent


def _document(waiting: Waiting, named: Named, condition: str, outcome: Outcome | None, tries: int, now: float) -> bytes:
    """What AWS tells a destination."""
    found = {
        "version": "1.0",
        "timestamp": iso(now),
        "requestContext": {
            "requestId": waiting.event.request,
            "functionArn": named._replace(qualifier=named.qualifier or LATEST).arn,
            "condition": condition,
            "approximateInvokeCount": tries,
        },
        "requestPayload": destinations.value_of(waiting.payload),
    }
    if outcome is not None:
        context = {"statusCode": 200, "executedVersion": outcome.version}
        found["responseContext"] = context | ({"functionError": outcome.error} if outcome.error else {})
        found["responsePayload"] = destinations.value_of(outcome.payload)
    return orjson.dumps(found)


def _pause(waiting: Waiting) -> float:
    """How long an event waits that the function could not be called for."""
    return float(min(2.0 ** min(waiting.event.refusals, 10), _LONGEST_PAUSE_SECONDS))


_couriers: "weakref.WeakKeyDictionary[Platform, Couriers]" = weakref.WeakKeyDictionary()


def couriers_of(platform: Platform) -> Couriers:
    """The couriers of this platform on the running event loop."""
    loop = asyncio.get_running_loop()
    couriers = _couriers.get(platform)
    if couriers is None or couriers.loop is not loop:
        couriers = _couriers[platform] = Couriers(platform, loop)
    return couriers
