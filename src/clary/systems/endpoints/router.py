"""The way of an invocation through a gateway: find the endpoint's servers, choose an instance, ask it.

One `Router` for each platform and event loop. It keeps a copy of every endpoint's table that was asked for lately,
read anew when it is older than 20 ms or has proved wrong, and the connections to the servers in it.
"""

import asyncio
import random
import weakref
from collections.abc import AsyncGenerator, Collection
from functools import partial
from typing import NamedTuple

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.serving.connections import ModelServer
from clary.kernel.serving.gates import Gate
from clary.kernel.serving.loading import invoke_path
from clary.kernel.serving.requests import SESSION_ID, Heading
from clary.kernel.serving.routes import (
    DIRECT,
    DOMAIN,
    RANDOM,
    Route,
    Target,
    choose_target,
    load_route,
    route_key,
)
from clary.systems.endpoints.captures import Captures, Sampled
from clary.systems.endpoints.concurrency import Concurrency
from clary.systems.endpoints.deploy import REQUEST_SECONDS
from clary.systems.endpoints.gates import COLD_START_SECONDS, Turn, open_gate
from clary.systems.endpoints.measures import Invocation, Measures
from clary.systems.endpoints.multi_model import Shelves
from clary.systems.endpoints.passage import (
    Answered,
    Chosen,
    NotAnswered,
    Servers,
    Stop,
    pass_through,
    pass_through_streamed,
)
from clary.systems.endpoints.sessions import Sessions
from clary.systems.endpoints.shadows import Copies

FRESH_SECONDS = 0.02
KNOWN_SECONDS = 10.0

_LARGEST_ANSWER = 25 * 1024 * 1024
_MOST_TRIES = 3


class Address(NamedTuple):
    """The endpoint that a request names."""

    account: str
    region: str
    endpoint: str


class Wish(NamedTuple):
    """What a request says about who should answer it; empty means anyone."""

    variant: str = ""
    session: str = ""
    container: str = ""
    instance: str = ""
    model: str = ""


class _Known:
    """One endpoint's table as last read, with the connections to its servers."""

    __slots__ = ("read_at", "route", "servers", "shelves", "table")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.shelves = Shelves(loop)
        self.table: bytes | None = None
        self.route = Route([])
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
        self._routes: dict[Address, _Known] = {}
        self._gates: dict[tuple[Address, str], Gate] = {}
        self._platform = platform
        self._captures = Captures(platform)
        self._copies = Copies(loop)
        self._concurrency = Concurrency(platform.metrics, loop, self._under_way)
        platform.at_close(self.measures.close)

    async def ask(self, address: Address, wish: Wish, heading: Heading, body: bytes) -> Answered:
        """Send a request to an instance of the endpoint and return the whole answer.

        Raises AwsError when no server can be asked, and NotAnswered when one that was gave no answer.
        """
        turn = await self._turn(address, wish)
        try:
            return (await self._ask(address, wish, heading, body, turn))[0]
        finally:
            if turn is not None:
                turn.leave()

    async def ask_streamed(
        self, address: Address, wish: Wish, heading: Heading, body: bytes
    ) -> tuple[Answered, AsyncGenerator[bytes, None]]:
        """`ask` for an answer whose body is passed on as it comes."""
        turn = await self._turn(address, wish)
        try:
            answered, chunks = await self._ask(address, wish, heading, body, turn, streamed=True)
        except BaseException:
            if turn is not None:
                turn.leave()
            raise
        assert chunks is not None
        return answered, chunks

    async def _turn(self, address: Address, wish: Wish) -> Turn | None:
        """Wait for an instance of a serverless variant; None for all others."""
        gate = self._gate(self._fresh(address), address, wish)
        return None if gate is None else await Turn.wait(gate)

    async def _ask(
        self, address: Address, wish: Wish, heading: Heading, body: bytes, turn: Turn | None, *, streamed: bool = False
    ) -> tuple[Answered, AsyncGenerator[bytes, None] | None]:
        """The answer, and its body as it comes where it is to be streamed."""
        known = self._fresh(address)
        started = self.loop.time() - (turn.waited_seconds if turn else 0.0)
        chosen = self._choose(known, address, _inside(wish, turn))
        over = turn.leave if turn else None
        tried: list[Chosen] = []
        chunks = None
        while True:
            asked = self.loop.time()
            try:
                if streamed:
                    answered, chunks = await pass_through_streamed(chosen, heading, body, asked + REQUEST_SECONDS, over)
                else:
                    answered = await pass_through(chosen, heading, body, asked + REQUEST_SECONDS)
            except NotAnswered as failure:
                tried.append(chosen)
                instead = await self._instead(failure, address, wish, tried, started, turn)
                if instead is not None:
                    known, chosen = instead
                    continue
                self._count(address, chosen, None, started, asked, turn)
                self._copy(known, address, wish, chosen, heading, body, None)
                raise
            self._count(address, chosen, answered, started, asked, turn)
            sampled = self._captures.sample(known.route.capture, address, heading, body)
            if sampled is not None and chunks is not None:
                chunks = self._captures.keep_streamed(sampled, chosen.target, answered.answer, chunks)
            elif sampled is not None:
                self._captures.keep(sampled, chosen.target, answered.answer)
            self._copy(known, address, wish, chosen, heading, body, sampled)
            return answered, chunks

    async def _instead(
        self, failure: NotAnswered, address: Address, wish: Wish, tried: list[Chosen], started: float, turn: Turn | None
    ) -> tuple[_Known, Chosen] | None:
        """Whom to ask after those that were tried in vain, by the table as it is now; None when nobody may be.

        Every other instance is asked before any is once more.
        """
        if not failure.may_ask_another or wish.session:
            return None
        if turn is not None:
            if self.loop.time() - started > COLD_START_SECONDS:
                return None
            await turn.again()
            known = self._fresh(address)
            return known, self._choose(known, address, _inside(wish, turn))
        known = self._read(address)
        asked = {one.servers for one in tried}
        chosen = self._choose(known, address, wish, asked)
        return None if chosen.servers in asked and len(tried) >= _MOST_TRIES else (known, chosen)

    def _gate(self, known: _Known, address: Address, wish: Wish) -> Gate | None:
        """Where requests to a serverless variant have to pass; None for all others."""
        if not known.route.targets or not known.route.targets[0].concurrency:
            return None

        def look() -> Target:
            return self._target(self._fresh(address), address, wish)

        name = look().name
        gate = self._gates.get((address, name))
        if gate is None:
            gate = self._gates[address, name] = open_gate(self._platform, self.loop, address, name, look)
        return gate

    def _copy(
        self,
        known: _Known,
        address: Address,
        wish: Wish,
        chosen: Chosen,
        heading: Heading,
        body: bytes,
        sampled: Sampled | None,
    ) -> None:
        """Let shadow variants have copies of a request, captured there too when it is `sampled`.

        Requests of a session have none: a shadow does not know it.
        """
        if not known.route.shadows or heading.value(SESSION_ID) is not None:
            return
        for shadow in known.route.shadows:
            if random.random() * chosen.target.weight >= shadow.weight:
                continue
            try:
                stops = _chosen(known, shadow, _pick(known, shadow, list(shadow.servers), wish), wish)
            except (AwsError, ValueError):  # it has no server now, or none for the container that is named
                self.measures.count_dropped(*address, shadow.name)
                continue
            copy = partial(self._ask_shadow, address, stops, heading, body, sampled)
            if not self._copies.send(address, len(body), copy):
                self.measures.count_dropped(*address, shadow.name)

    async def _ask_shadow(
        self, address: Address, chosen: Chosen, heading: Heading, body: bytes, sampled: Sampled | None
    ) -> None:
        asked = self.loop.time()
        try:
            answered = await pass_through(chosen, heading, body, asked + REQUEST_SECONDS)
        except NotAnswered:
            self._count(address, chosen, None, asked, asked)
            return
        self._count(address, chosen, answered, asked, asked)
        if sampled is not None:
            self._captures.keep(sampled, chosen.target, answered.answer)

    def _choose(self, known: _Known, address: Address, wish: Wish, asked: Collection[Servers] = ()) -> Chosen:
        """Who is to answer: one of those that were not `asked` already, if there is one."""
        if known.route.asynchronous is not None:
            raise _invalid(
                f"Endpoint {address.endpoint} of account {address.account} takes asynchronous requests only: its "
                "configuration has an AsyncInferenceConfig. Use InvokeEndpointAsync."
            )
        if wish.session:
            return self._holder(address, known, wish)
        target = self._target(known, address, wish, asked)
        instances = [one for one in target.servers if wish.instance == one] if wish.instance else list(target.servers)
        if asked:
            instances = _others(target, asked) or instances
        if not instances and not target.count:
            raise _invalid(
                f"There are no copies or instances to answer: {address.endpoint} is scaled to zero. Raise its count, "
                "or wait for its scaling policies to do so."
            )
        if not instances:
            raise AwsError(
                "ServiceUnavailable",
                f'No server of variant "{target.name}" of endpoint "{address.endpoint}" is healthy at the moment; '
                "it is being started again.",
            )
        _check_model(address, target, wish)
        return _chosen(known, target, _pick(known, target, instances, wish), wish)

    def _fresh(self, address: Address) -> _Known:
        known = self._routes.get(address)
        if known is None or self.loop.time() - known.read_at > FRESH_SECONDS:
            known = self._read(address)
        return known

    def _target(self, known: _Known, address: Address, wish: Wish, asked: Collection[Servers] = ()) -> Target:
        targets = known.route.targets
        others = [one for one in targets if _others(one, asked)] if asked else targets
        target = choose_target(others, wish.variant) or choose_target(targets, wish.variant)
        if target is None:
            raise _invalid(f'Variant "{wish.variant}" was not found on endpoint "{address.endpoint}".')
        return target

    def _holder(self, address: Address, known: _Known, wish: Wish) -> Chosen:
        instance = self.sessions.holder(route_key(*address), wish.session, self._clock.now())
        for target in known.route.targets:
            if instance is not None and instance in target.servers and wish.variant in {"", target.name}:
                _check_model(address, target, wish)
                return _chosen(known, target, instance, wish)
        raise _invalid(f'Session "{wish.session}" of endpoint "{address.endpoint}" was not found or has expired.')

    def _read(self, address: Address) -> _Known:
        table = self._kv.get(route_key(*address))
        if table is None:
            self._forget(address)
            raise NoRoute(address)
        known = self._routes.get(address) or self._routes.setdefault(address, _Known(self.loop))
        self._concurrency.start()
        known.read_at = self.loop.time()
        if table != known.table:
            known.table = table
            known.route = load_route(table)
            before, known.servers = known.servers, {}
            for target in (*known.route.targets, *known.route.shadows):
                for places in target.servers.values():
                    for place in places:
                        server = before.pop(place, None)
                        known.servers[place] = server or ModelServer(place, self.loop, _LARGEST_ANSWER)
            for gone in before.values():
                gone.close()
            known.shelves.keep_to(known.route.targets)
        return known

    def _under_way(self) -> dict[tuple[str, str, str, str], list[int]]:
        """The requests under way at each server, by variant; endpoints that are gone are forgotten."""
        counts: dict[tuple[str, str, str, str], list[int]] = {}
        for address, known in list(self._routes.items()):
            if self.loop.time() - known.read_at > KNOWN_SECONDS:
                try:
                    self._read(address)
                except NoRoute:
                    continue
            for target in (*known.route.targets, *known.route.shadows):
                of_variant = counts.setdefault((*address, target.name), [])
                for places in target.servers.values():
                    busy = [known.servers[place].outstanding for place in places]
                    of_variant += busy if target.mode == DIRECT else [sum(busy)]
        return counts

    def _forget(self, address: Address) -> None:
        known = self._routes.pop(address, None)
        for gate in [key for key in self._gates if key[0] == address]:
            del self._gates[gate]
        if known is not None:
            known.shelves.close()
            for server in known.servers.values():
                server.close()

    def close(self) -> None:
        """Let go of all connections."""
        for address in list(self._routes):
            self._forget(address)

    def _count(
        self,
        address: Address,
        chosen: Chosen,
        answered: Answered | None,
        started: float,
        asked: float,
        turn: Turn | None = None,
    ) -> None:
        now, target, model = self.loop.time(), chosen.target, chosen.model
        status, latencies = (answered.answer.status, answered.latencies) if answered is not None else (0, ())
        loading = model.waited_seconds if model else 0.0
        invocation = Invocation(
            status=status,
            model_seconds=now - asked - loading,
            overhead_seconds=asked - started,
            instances=target.count,
            setup_seconds=turn.waited_seconds if turn else 0.0,
            latencies=latencies,
            direct=target.mode == DIRECT,
            hit=model.hit if model else None,
            loading_seconds=loading,
        )
        self.measures.count(*address, chosen.target.name, invocation)


class NoRoute(Exception):
    """The endpoint takes no requests, or does not exist."""


def _inside(wish: Wish, turn: Turn | None) -> Wish:
    return wish if turn is None else wish._replace(instance=turn.instance)


def _others(target: Target, asked: Collection[Servers]) -> list[str]:
    """The instances of a target but for those whose servers were asked."""
    return [instance for instance, places in target.servers.items() if tuple(places) not in asked]


def _pick(known: _Known, target: Target, instances: list[str], wish: Wish) -> str:
    """The instance to ask: by chance, or the one that has least to do, of those that have the model if one is named.

    None that let a request run late just now, while others did not.
    """
    if len(instances) == 1:
        return instances[0]
    now = asyncio.get_running_loop().time()
    punctual = [one for one in instances if all(known.servers[at].avoid_until <= now for at in target.servers[one])]
    instances = punctual or instances
    start = random.randrange(len(instances))  # so that equals take turns
    if target.routing == RANDOM:
        return instances[start]

    def busy(instance: str) -> int:
        return sum(known.servers[place].outstanding for place in target.servers[instance])

    if wish.model:
        return known.shelves.pick(target, instances, wish.model, busy)
    return min(instances[start:] + instances[:start], key=busy)


def _chosen(known: _Known, target: Target, instance: str, wish: Wish) -> Chosen:
    """An instance, with the containers that a request passes through."""
    places = target.servers[instance]
    if not target.containers:
        raise _invalid(
            f'Variant "{target.name}" holds inference components: say which one is to answer in InferenceComponentName.'
        )
    if target.mode == DIRECT:
        if wish.container not in target.containers:
            known_names = ", ".join(target.containers)
            raise _invalid(
                f'TargetContainerHostname "{wish.container}" names no container of variant "{target.name}"; '
                f"its containers are invoked directly, so name one of {known_names}."
            )
        number = target.containers.index(wish.container)
        return Chosen(target, instance, [Stop(wish.container, known.servers[places[number]])])
    if wish.container:
        raise _invalid(
            f'TargetContainerHostname is for models whose containers are invoked directly; variant "{target.name}" '
            "is not one of them. Leave it out."
        )
    stops = [Stop(name, known.servers[place]) for name, place in zip(target.containers, places, strict=True)]
    if target.many:
        number = target.containers.index(target.many)
        model = known.shelves.open(target, instance, wish.model, known.servers[places[number]])
        stops[number] = Stop(target.many, model, invoke_path(wish.model))
        return Chosen(target, instance, stops, model)
    return Chosen(target, instance, stops)


def _check_model(address: Address, target: Target, wish: Wish) -> None:
    if target.many and not wish.model:
        raise _invalid(
            f'Endpoint "{address.endpoint}" is a multi-model endpoint, and the request is missing a target model '
            "header: name one of its models in InvokeEndpoint's TargetModel."
        )
    if wish.model and not target.many:
        raise _invalid(
            f'Endpoint "{address.endpoint}" is not a multi-model endpoint and does not support target model header: '
            "leave out TargetModel."
        )


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
