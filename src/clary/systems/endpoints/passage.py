"""The way of a request through the containers of an instance that is chosen: each is asked in turn, until the last."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from clary.kernel.serving.connections import Answer, ModelServer, ServerError, TimedOut, Unreachable
from clary.kernel.serving.requests import INVOCATIONS, Heading
from clary.kernel.serving.routes import Target
from clary.systems.endpoints.multi_model import OneModel

_LATE = 504
_AVOIDED_SECONDS = 10.0  # by then a server that hangs has failed its pings


class Stop(NamedTuple):
    """A container on a request's way, the server that it runs in, or one model of it, and where that is asked."""

    container: str
    server: ModelServer | OneModel
    path: str = INVOCATIONS


Servers = tuple[str, ...]
"""The addresses of the servers of one instance: others, once they were started again."""


class Chosen(NamedTuple):
    """Who answers a request: the last of `stops`, from what those before it made of the request.

    `model` is the model that the request names, where it names one.
    """

    target: Target
    instance: str
    stops: list[Stop]
    model: OneModel | None = None

    @property
    def servers(self) -> Servers:
        return tuple(self.target.servers[self.instance])


class Answered(NamedTuple):
    """An answer, and the container that gave it: the last one, or the first that refused.

    `latencies` holds the seconds that each container took that was asked, where a variant has several.
    """

    chosen: Chosen
    container: str
    answer: Answer
    latencies: tuple[tuple[str, float], ...] = ()


class NotAnswered(Exception):
    """A server that was asked gave no answer. `may_ask_another` when nothing of the request has reached any."""

    def __init__(self, container: str, error: ServerError, *, may_ask_another: bool) -> None:
        super().__init__(str(error))
        self.container = container
        self.error = error
        self.may_ask_another = may_ask_another


async def pass_through(chosen: Chosen, heading: Heading, body: bytes, deadline: float) -> Answered:
    """Send a request through all containers, the answer of one to the next, and return the last answer.

    Or the first that is not a success. Raises NotAnswered.
    """
    answered = await _ask(chosen, 0, heading.head(len(body), chosen.stops[0].path), body, deadline)
    for number in range(1, len(chosen.stops)):
        answer = answered.answer
        if not 200 <= answer.status < 300:
            return answered
        path = chosen.stops[number].path
        head = heading.head(len(answer.body), path, content_type=answer.header(b"content-type"))
        before = answered.latencies
        answered = await _ask(chosen, number, head, answer.body, deadline)
        answered = answered._replace(latencies=before + answered.latencies)
    return answered


async def pass_through_streamed(
    chosen: Chosen, heading: Heading, body: bytes, deadline: float, over: Callable[[], None] | None
) -> tuple[Answered, AsyncGenerator[bytes, None]]:
    """`pass_through` for an answer whose body is passed on as the last container gives it; see `ask_streamed`."""
    head, last = heading.head(len(body)), chosen.stops[-1]
    latencies: tuple[tuple[str, float], ...] = ()
    if len(chosen.stops) > 1:
        before = await pass_through(chosen._replace(stops=chosen.stops[:-1]), heading, body, deadline)
        body, latencies = before.answer.body, before.latencies
        if not 200 <= before.answer.status < 300:
            if over is not None:
                over()
            return before, _one(body)
        head = heading.head(len(body), content_type=before.answer.header(b"content-type"))
    assert isinstance(last.server, ModelServer)  # a request for a streamed answer cannot name a model
    loop = asyncio.get_running_loop()
    asked = loop.time()
    try:
        answer, chunks = await last.server.ask_streamed(head, body, deadline - asked, over)
    except ServerError as error:
        raise _not_answered(chosen, len(chosen.stops) - 1, error) from None
    if len(chosen.target.containers) > 1:
        latencies += ((last.container, loop.time() - asked),)
    return Answered(chosen, last.container, answer, latencies), chunks


async def _one(chunk: bytes) -> AsyncGenerator[bytes, None]:
    yield chunk


async def _ask(chosen: Chosen, number: int, head: bytes, body: bytes, deadline: float) -> Answered:
    container, server, _ = chosen.stops[number]
    loop = asyncio.get_running_loop()
    asked = loop.time()
    try:
        answer = await server.ask(head, body, deadline - asked)
    except ServerError as error:
        raise _not_answered(chosen, number, error) from None
    if answer.status == _LATE and isinstance(server, ModelServer):  # not one of many models
        server.avoid_until = loop.time() + _AVOIDED_SECONDS
    if len(chosen.target.containers) == 1:
        return Answered(chosen, container, answer)
    return Answered(chosen, container, answer, ((container, loop.time() - asked),))


def _not_answered(chosen: Chosen, number: int, error: ServerError) -> NotAnswered:
    """That a stop gave no answer. What the one before it has answered is not asked of another instance once more."""
    container, server, _ = chosen.stops[number]
    if isinstance(error, TimedOut) and isinstance(server, ModelServer):
        server.avoid_until = asyncio.get_running_loop().time() + _AVOIDED_SECONDS
    return NotAnswered(container, error, may_ask_another=number == 0 and isinstance(error, Unreachable))
