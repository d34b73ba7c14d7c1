"""The words a room uses about itself. They only mark: nothing happens at import."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from clary.kernel.rooms.context import Context

F = TypeVar("F", bound=Callable[..., Any])
Resource = str | Callable[["Context", Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Room:
    """What a room is called and what it is for.

    `number` is its row in the systems table, which the rooms of one system share; support rooms have none. `observes`
    are the kinds of records, of any room, whose changes of status its `@observer` is told.
    """

    name: str
    title: str
    summary: str
    number: int | None = None
    observes: tuple[str, ...] = ()

    @property
    def observer_topic(self) -> str:
        """What its observer is woken by."""
        return f"{self.name}-observer"


class Claim(NamedTuple):
    """An operation a function handles; `resource` is what authorisation asks about."""

    service: str
    operation: str
    resource: Resource
    unsigned: bool


CONTROLLER = "controller"
CARRIER = "carrier"


class Period(NamedTuple):
    """How a reconciler is woken, and in which of the server's processes."""

    topic: str
    every_seconds: float
    process: str


class Served(NamedTuple):
    """A document that a function makes, and the path below `/_clary/` where everyone may read it."""

    path: str
    content_type: str


CLAIMS = "__clary_claims__"
SERVED = "__clary_served__"
PERIOD = "__clary_period__"
OBSERVER = "__clary_observer__"


def operation(service: str, name: str, *, resource: Resource = "*", unsigned: bool = False) -> Callable[[F], F]:
    """Mark a function as the handler of an operation.

    `resource` names what is acted on, for authorisation: the resource part of an ARN of the same service with input
    members in braces, as in `training-job/{TrainingJobName}` or `{QueueUrl:last}` (what follows its last slash); or a
    whole ARN that starts with `arn:`. Where members name it in several ways, it is a function of the context and the
    members that makes such a text; it is asked only about callers who are held to policies. With `unsigned`, those who
    do not sign may call it too: then the context's principal is anonymous and its account empty, and the handler
    decides whether what it was given is proof enough.
    """

    def mark(function: F) -> F:
        claims = getattr(function, CLAIMS, ())
        setattr(function, CLAIMS, (*claims, Claim(service, name, resource, unsigned)))
        return function

    return mark


def served(path: str, content_type: str) -> Callable[[F], F]:
    """Mark a function of the platform, which returns bytes, as what `GET /_clary/<path>` answers to anyone."""

    def mark(function: F) -> F:
        setattr(function, SERVED, Served(path, content_type))
        return function

    return mark


def reconciler(topic: str, *, every_seconds: float, process: str = CONTROLLER) -> Callable[[F], F]:
    """Mark a function as the reconciler of `topic`, run on `platform.wake(topic, key)` and on the period.

    Those that move users' data in bulk say `CARRIER`: they run in a process of their own, where they may take the
    time that others in the controller would wait for. Jobs are started and observed in the controller alone.
    """

    def mark(function: F) -> F:
        setattr(function, PERIOD, Period(topic, every_seconds, process))
        return function

    return mark


def observer(function: F) -> F:
    """Mark a function of the platform and a list of `Change`s as what takes the changes that the room observes.

    It runs in the controller, and is told each change at least once, those of one record in order. When it returns
    they are forgotten: what it makes of them must be durable by then, and the same when it is told again.
    """
    setattr(function, OBSERVER, True)
    return function
