"""The way of an invocation through a gateway: find the endpoint's servers, choose one, ask it.

One `Router` for each platform and event loop. It keeps a copy of every endpoint's table that was asked for lately,
read anew when it is older than 20 ms or has proved wrong, and the connections to the servers in it.
"""

import asyncio
import random
import weakref
from collections.abc import AsyncGenerator
from typing import NamedTuple

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.systems.endpoints.connections import Answer, ModelServer, ServerError, Unreachable
from clary.systems.endpoints.deploy import REQUEST_SECONDS
from clary.systems.endpoints.measures import Invocation, Measures
from clary.systems.endpoints.routes import DOMAIN, Target, choose_target, read_route, route_key
from clary.systems.endpoints.sessions import Sessions

FRESH_SECONDS = 0.02

_LARGEST_ANSWER = 25 * 1024 * 1024
_MOST_TRIES = 3
_RANDOM = "RANDOM"


class Address(NamedTuple):
    """The endpoint that a request names."""

    account: str
    region: str
    endpoint: str


class Wish(NamedTuple):
    """What a request says about who should answer it; empty means anyone."""

    variant: str = ""
    session: str = ""


class Chosen(NamedTuple):
    """Who answers a request."""

    target: Target
    instance: str
    server: ModelServer


class _Route:
    """One endpoint's table as last read, with the connections to its servers."""

    __slots__ = ("read_at", "servers", "table", "targets")

    def __init__(self) -> None:
        self.table: bytes | None = None
        self.targets: list[Target] = []
        self.servers: dict[str, ModelServer] = {}
        self.read_at = 0.0


class Router:
    """Sends requests to model servers. Everything here runs on one event loop."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.sessions = Sessions(platform.kv(DOMAIN))
        self.measures = Measures(platform.metrics, loop)
        self._kv = platform.kv(DOMAIN)
        self._clock = platform.clock
        self._routes: dict[Address, _Route] = {}

    async def ask(self, address: Address, wish: Wish, head: bytes, body: bytes) -> tuple[Chosen, Answer]:
        """Send a request to a server of the endpoint and return the whole answer.

        Raises AwsError when no server can be asked, and NotAnswered when the one that was gave no answer.
        """
        started = self.loop.time()
        chosen = self._choose(address, wish)
        for tries in range(1, _MOST_TRIES + 1):
            asked = self.loop.time()
            try:
                answer = await chosen.server.ask(head, body, REQUEST_SECONDS)
            except Unreachable as error:
                if tries < _MOST_TRIES and not wish.session:
                    chosen = self._choose(address, wish, instead_of=chosen)
                    continue
                self._count(address, chosen, 0, started, asked)
                raise NotAnswered(chosen, error) from None
            except ServerError as error:
                self._count(address, chosen, 0, started, asked)
                raise NotAnswered(chosen, error) from None
            self._count(address, chosen, answer.status, started, asked)
            return chosen, answer
        raise AssertionError("unreachable")

    async def ask_streamed(
        self, address: Address, wish: Wish, head: bytes, body: bytes
    ) -> tuple[Chosen, Answer, AsyncGenerator[bytes, None]]:
        """`ask` for an answer whose body is passed on as it comes."""
        started = self.loop.time()
        chosen = self._choose(address, wish)
        asked = self.loop.time()
        try:
            answer, chunks = await chosen.server.ask_streamed(head, body, REQUEST_SECONDS)
        except ServerError as error:
            self._count(address, chosen, 0, started, asked)
            raise NotAnswered(chosen, error) from None
        self._count(address, chosen, answer.status, started, asked)
        return chosen, answer, chunks

    def _choose(self, address: Address, wish: Wish, *, instead_of: Chosen | None = None) -> Chosen:
        route = self._routes.get(address)
        if route is None or instead_of is not None or self.loop.time() - route.read_at > FRESH_SECONDS:
            route = self._read(address)
        if wish.session:
            return self._holder(address, route, wish)
        if wish.variant:
            target = next((one for one in route.targets if one.name == wish.variant), None)
            if target is None:
                raise _invalid(f'Variant "{wish.variant}" was not found on endpoint "{address.endpoint}".')
        else:
            target = choose_target(route.targets)
        instances = list(target.servers)
        if instead_of is not None and len(instances) > 1 and instead_of.instance in instances:
            instances.remove(instead_of.instance)
        if not instances:
            raise AwsError(
                "ServiceUnavailable",
                f'No server of variant "{target.name}" of endpoint "{address.endpoint}" is healthy at the moment; '
                "it is being started again.",
            )
        instance = self._pick(route, target, instances)
        return Chosen(target, instance, route.servers[target.servers[instance]])

    def _pick(self, route: _Route, target: Target, instances: list[str]) -> str:
        if len(instances) == 1:
            return instances[0]
        start = random.randrange(len(instances))  # so that equals take turns
        if target.routing == _RANDOM:
            return instances[start]
        turned = instances[start:] + instances[:start]
        return min(turned, key=lambda instance: route.servers[target.servers[instance]].outstanding)

    def _holder(self, address: Address, route: _Route, wish: Wish) -> Chosen:
        instance = self.sessions.holder(route_key(*address), wish.session, self._clock.now())
        for target in route.targets:
            if instance is not None and instance in target.servers and wish.variant in {"", target.name}:
                return Chosen(target, instance, route.servers[target.servers[instance]])
        raise _invalid(f'Session "{wish.session}" of endpoint "{address.endpoint}" was not found or has expired.')

    def _read(self, address: Address) -> _Route:
        table = self._kv.get(route_key(*address))
        if table is None:
            self._forget(address)
            raise NoRoute(address)
        route = self._routes.setdefault(address, _Route())
        route.read_at = self.loop.time()
        if table != route.table:
            route.table = table
            route.targets = read_route(table)
            before, route.servers = route.servers, {}
            for target in route.targets:
                for place in target.servers.values():
                    known = before.pop(place, None)
                    route.servers[place] = known or ModelServer(place, self.loop, _LARGEST_ANSWER)
            for gone in before.values():
                gone.close()
        return route

    def _forget(self, address: Address) -> None:
        route = self._routes.pop(address, None)
        for server in route.servers.values() if route else ():
            server.close()

    def close(self) -> None:
        """Let go of all connections."""
        for address in list(self._routes):
            self._forget(address)

    def _count(self, address: Address, chosen: Chosen, status: int, started: float, asked: float) -> None:
        now = self.loop.time()
        invocation = Invocation(status, now - asked, asked - started, chosen.target.count)
        self.measures.count(*address, chosen.target.name, invocation)


class NoRoute(Exception):
    """The endpoint takes no requests, or does not exist."""


class NotAnswered(Exception):
    """The server that was asked gave no answer; the cause is a ServerError."""

    def __init__(self, chosen: Chosen, error: ServerError) -> None:
        super().__init__(str(error))
        self.chosen = chosen
        self.error = error


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)


_routers: "weakref.WeakKeyDictionary[Platform, Router]" = weakref.WeakKeyDictionary()


def router_of(platform: Platform) -> Router:
    """The router of this platform on the running event loop."""
    loop = asyncio.get_running_loop()
    router = _routers.get(platform)
    if router is None or router.loop is not loop:
        router = _routers[platform] = Router(platform, loop)
    return router
