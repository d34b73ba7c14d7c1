"""The way of an invocation through a process: find the function's instances, have one to itself, ask it.

One `Invoker` for each platform and event loop: gateways, the controller and the carrier have their own. An instance
that turns out to be busy with another process's invocation says so at once, and another is taken, or waited for.
"""

import asyncio
import weakref
from collections import Counter
from functools import partial
from typing import NamedTuple

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.serving.connections import Answer, ModelServer, ServerError, Unreachable
from clary.kernel.serving.demand import Demands, teller
from clary.kernel.serving.gates import Gate, Opening, Place
from clary.support.lambda_.cards import DOMAIN, Card, card_key, read_card
from clary.support.lambda_.fleets import ACCOUNT_CONCURRENCY, TOPIC
from clary.support.lambda_.instances import BELLS, Servers, servers_key
from clary.support.lambda_.measures import Measures
from clary.support.lambda_.names import Named, missing
from clary.support.lambda_.specs import INIT_SECONDS

PATIENCE_SECONDS = 45.0
LARGEST_ANSWER = 7 * 1024 * 1024

_BUSY = 409
_BUSY_SECONDS = 0.01
_GONE_SECONDS = 1.0
_GRACE_SECONDS = 10.0


class Call(NamedTuple):
    """What is asked of a function. `client_context` is as on the wire, `tail` whether the end of the log is wanted."""

    request: str
    payload: bytes
    client_context: str = ""
    tail: bool = False


class Outcome(NamedTuple):
    """How an invocation ended. `error` is AWS's FunctionError, empty for none; `log` the end of the log in base64."""

    version: str
    payload: bytes
    error: str
    log: str | None
    duration_ms: float


class _Stale(Exception):
    """The function has changed: its instances are others now."""


class _Lane:
    """The way to the instances of one kind."""

    def __init__(self, invoker: "Invoker", function: str, version: str, build: str) -> None:
        self._invoker = invoker
        self._function = function
        self._version = version
        self._build = build
        self._key = servers_key(function, f"{version}:{build}")
        self._table: bytes | None = None
        self._servers = Servers()
        self._connections: dict[str, ModelServer] = {}
        platform, loop = invoker.platform, invoker.loop
        account, region, name = function.split("/")
        wake = partial(platform.wake, TOPIC, function)
        tell = teller(invoker.kv, platform.clock, (account, region, name), f"{version}:{build}", wake)
        self.gate = Gate(
            loop,
            look=self._look,
            bells=platform.bells(BELLS),
            key=self._key,
            demands=Demands(loop, platform.settings.function_idle_seconds, tell),
            full=lambda under_way, most: _throttled("ConcurrentInvocationLimitExceeded"),
            late=lambda: _throttled("ConcurrentInvocationLimitExceeded"),
            patience_seconds=PATIENCE_SECONDS,
        )

    def server(self, place: Place) -> ModelServer | None:
        """The connections to an instance; None when it has just gone."""
        address = self._servers.servers.get(place.instance)
        if address is None:
            return None
        server = self._connections.get(address)
        if server is None:
            server = self._connections[address] = ModelServer(address, self._invoker.loop, LARGEST_ANSWER)
        return server

    def close(self) -> None:
        for server in self._connections.values():
            server.close()

    def _look(self) -> Opening:
        card = self._invoker.card(self._function)
        known = card.versions.get(self._version) if card is not None else None
        if known is None or known["build"] != self._build:
            raise _Stale
        table = self._invoker.kv.get(self._key)
        if table != self._table:
            self._table = table
            self._servers = Servers() if table is None else Servers(**orjson.loads(table))
            for gone in self._connections.keys() - set(self._servers.servers.values()):
                self._connections.pop(gone).close()
        if self._servers.fault and not self._servers.servers:
            raise AwsError("InvalidRuntimeException", self._servers.fault, status=502)
        return Opening(self._servers.servers, ACCOUNT_CONCURRENCY)


class Invoker:
    """Calls functions. Everything here runs on one event loop."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop) -> None:
        self.platform = platform
        self.loop = loop
        self.kv = platform.kv(DOMAIN)
        self.measures = Measures(platform, loop)
        self._cards: dict[str, tuple[bytes, Card]] = {}
        self._lanes: dict[tuple[str, str], tuple[str, _Lane]] = {}
        self._under_way: Counter[str] = Counter()

    def card(self, function: str) -> Card | None:
        """What is known of a function, `account/region/name`, now; None when there is none."""
        table = self.kv.get(card_key(function))
        if table is None:
            self._forget(function)
            return None
        known = self._cards.get(function)
        if known is None or known[0] != table:
            known = self._cards[function] = table, read_card(table)
        return known[1]

    def room_for(self, function: str, most: int) -> int:
        """How many invocations of a function one who has many should have under way: at most `most`, at least one, and
        no more than it may have at all, since what is refused has to be tried again."""
        card = self.card(function)
        reserved = card.reserved if card is not None else None
        return most if reserved is None else max(1, min(most, reserved))

    async def invoke(self, named: Named, call: Call) -> Outcome:
        """Call a function and wait for its answer, which may be that it failed.

        Raises ResourceNotFoundException; TooManyRequestsException when it has as many invocations under way as it may,
        or no instance was free in time; and ServiceException when its instance was lost.
        """
        card = self.card(named.key)
        if card is None:
            raise missing(f"Function not found: {named.arn}")
        version = card.version_for(named)
        account = named.account
        try:
            self._admit(named.key, account, card)
        except AwsError:
            self.measures.count(named, Throttles=1.0)
            raise
        self._under_way[named.key] += 1
        self._under_way[account] += 1
        try:
            answer, version = await self._answer(named, version, call)
        except AwsError as error:
            if error.code == "TooManyRequestsException":
                self.measures.count(named, Throttles=1.0)
            raise
        finally:
            under_way = float(self._under_way[named.key])
            self._leave(named.key)
            self._leave(account)
        outcome = Outcome(
            version,
            answer.body,
            answer.header(b"clary-function-error") or "",
            answer.header(b"clary-log-result"),
            float(answer.header(b"clary-duration-ms") or 0.0),
        )
        self.measures.count(
            named,
            Invocations=1.0,
            Errors=float(bool(outcome.error)),
            Duration=outcome.duration_ms,
            ConcurrentExecutions=under_way,
            Throttles=0.0,
        )
        return outcome

    def _admit(self, function: str, account: str, card: Card) -> None:
        if card.reserved is not None and self._under_way[function] >= card.reserved:
            raise _throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        if self._under_way[account] >= ACCOUNT_CONCURRENCY:
            raise _throttled("ConcurrentInvocationLimitExceeded")

    def _leave(self, key: str) -> None:
        self._under_way[key] -= 1
        if not self._under_way[key]:
            del self._under_way[key]

    async def _answer(self, named: Named, version: str, call: Call) -> tuple[Answer, str]:
        give_up_at = self.loop.time() + PATIENCE_SECONDS
        while True:
            card = self.card(named.key)
            if card is None or version not in card.versions:
                raise missing(f"Function not found: {named.arn}")
            known = card.versions[version]
            lane = self._lane(named.key, version, known["build"])
            try:
                place = await lane.gate.enter()
            except _Stale:
                continue
            answer = await self._ask(lane, place, named, call, known["seconds"])
            if answer is not None:
                return answer, version
            if self.loop.time() > give_up_at:
                raise _throttled("ConcurrentInvocationLimitExceeded")

    async def _ask(self, lane: _Lane, place: Place, named: Named, call: Call, seconds: float) -> Answer | None:
        """The instance's answer; None when it is to be another's."""
        again_seconds = 0.0
        try:
            server = lane.server(place)
            if server is None:
                return None
            answer = await server.ask(_head(named, call), call.payload, seconds + INIT_SECONDS + _GRACE_SECONDS)
            if answer.status == _BUSY:
                again_seconds = _BUSY_SECONDS
                return None
            if answer.status != 200:
                raise _lost(named, f"it answered with status {answer.status}")
            return answer
        except Unreachable:
            again_seconds = _GONE_SECONDS
            return None
        except ServerError as error:
            again_seconds = _GONE_SECONDS
            raise _lost(named, str(error)) from None
        finally:
            if again_seconds:
                lane.gate.leave_later(place, again_seconds)
            else:
                lane.gate.leave(place)

    def _forget(self, function: str) -> None:
        if self._cards.pop(function, None) is not None:
            for key in [key for key in self._lanes if key[0] == function]:
                self._lanes.pop(key)[1].close()

    def _lane(self, function: str, version: str, build: str) -> _Lane:
        known = self._lanes.get((function, version))
        if known is None or known[0] != build:
            if known is not None:
                known[1].close()
            known = self._lanes[function, version] = build, _Lane(self, function, version, build)
        return known[1]


def _head(named: Named, call: Call) -> bytes:
    context = f"Clary-Client-Context: {call.client_context}\r\n" if call.client_context else ""
    tail = "Clary-Log-Type: Tail\r\n" if call.tail else ""
    return (
        f"POST /invocations HTTP/1.1\r\nHost: function\r\nContent-Length: {len(call.payload)}\r\n"
        f"Clary-Request-Id: {call.request}\r\nClary-Function-Arn: {named.arn}\r\n{context}{tail}\r\n"
    ).encode("latin-1")


def _throttled(reason: str) -> AwsError:
    return AwsError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        status=429,
        members={"Reason": reason, "Type": "User"},
    )


def _lost(named: Named, why: str) -> AwsError:
    return AwsError(
        "ServiceException",
        f"The instance of {named.function} that had this invocation was lost: {why}. It may have run.",
        status=500,
        members={"Type": "Service"},
    )


_invokers: "weakref.WeakKeyDictionary[Platform, Invoker]" = weakref.WeakKeyDictionary()


def invoker_of(platform: Platform) -> Invoker:
    """The invoker of this platform on the running event loop."""
    loop = asyncio.get_running_loop()
    invoker = _invokers.get(platform)
    if invoker is None or invoker.loop is not loop:
        invoker = _invokers[platform] = Invoker(platform, loop)
    return invoker
