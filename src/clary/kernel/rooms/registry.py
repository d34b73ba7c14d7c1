"""Every room that is installed, and the one way to call what they offer.

Built-in rooms are packages of `clary.systems` and `clary.support`; others register the entry point group
`clary.rooms`, whose values are room packages of the same shape.
"""

import asyncio
import contextvars
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType
from typing import Any

from clary.kernel.auth import policies
from clary.kernel.core.errors import AwsError, validation
from clary.kernel.images import Catalogue
from clary.kernel.rooms.bodies import Reply
from clary.kernel.rooms.context import Context
from clary.kernel.rooms.declare import CLAIMS, CONTROLLER, OBSERVER, PERIOD, SERVED, Claim, Period, Room, Served
from clary.kernel.rooms.observing import told
from clary.kernel.rooms.resources import Resource
from clary.kernel.store.records import kind_of
from clary.kernel.wire import SERVICES, Operation, check
from clary.kernel.wire import service as wire_service

_ENTRY_POINT_GROUP = "clary.rooms"
_HANDLER_THREADS = 32
_OBSERVED_EVERY_SECONDS = 5.0
_WITHOUT_REGIONS = frozenset({"iam", "sts"})


@dataclass(frozen=True, slots=True)
class Handler:
    """A function bound to the operation it handles."""

    function: Callable[..., Any]
    claim: Claim
    room: Room
    is_async: bool
    members: frozenset[str] | None

    def refuse_unknown(self, params: Mapping[str, Any]) -> None:
        """Raise ValidationException for a member this handler does not honour, rather than ignore it."""
        if self.members is None or params.keys() <= self.members:
            return
        names = ", ".join(sorted(params.keys() - self.members))
        raise validation(f"Clary's {self.claim.operation} does not support: {names}. Leave it out.")


class Registry:
    """The installed rooms. Nothing of a room but its `ROOM` is imported before it is needed."""

    def __init__(self, packages: Iterable[str] | None = None) -> None:
        names = sorted(packages) if packages is not None else sorted(_installed())
        self._packages = {name: importlib.import_module(name) for name in names}

    @cached_property
    def rooms(self) -> dict[str, Room]:
        """Rooms by package name."""
        return {name: package.ROOM for name, package in self._packages.items()}

    @cached_property
    def handlers(self) -> dict[tuple[str, str], Handler]:
        """Handlers by (service, operation). Imports every room's `api`."""
        found: dict[tuple[str, str], Handler] = {}
        for name, room in self.rooms.items():
            for function in _marked(name, "api", CLAIMS):
                for claim in getattr(function, CLAIMS):
                    other = found.get((claim.service, claim.operation))
                    if other is not None:
                        raise TypeError(
                            f"{claim.service}:{claim.operation} is claimed by {other.room.name} and {room.name}"
                        )
                    found[claim.service, claim.operation] = _handler(function, claim, room)
        return found

    @cached_property
    def reconcilers(self) -> list[tuple[Period, Callable[..., float | None]]]:
        """Every room's reconcilers, its observer among them. Imports every room's `reconcile`."""
        own = [
            (getattr(function, PERIOD), function)
            for name in self.rooms
            for function in _marked(name, "reconcile", PERIOD)
        ]
        observing = [
            (Period(room.observer_topic, _OBSERVED_EVERY_SECONDS, CONTROLLER), told(room.observer_topic, function))
            for name, room in self.rooms.items()
            for function in _marked(name, "reconcile", OBSERVER)
        ]
        return own + observing

    @cached_property
    def observers(self) -> dict[str, list[str]]:
        """The topics of those who observe records, by the kind of record."""
        found: dict[str, list[str]] = {}
        for room in self.rooms.values():
            for kind in room.observes:
                found.setdefault(kind, []).append(room.observer_topic)
        return found

    @cached_property
    def documents(self) -> dict[str, tuple[Served, Callable[..., bytes]]]:
        """The documents that rooms serve to everyone, by path."""
        return {
            getattr(function, SERVED).path: (getattr(function, SERVED), function)
            for name in self.rooms
            for function in _marked(name, "api", SERVED)
        }

    @cached_property
    def resources(self) -> dict[tuple[str, str], Resource[Any]]:
        """The kinds of resource that rooms declare in their `api`, by service and type in their ARN."""
        return {
            (value.service, value.type_name): value
            for name in self.rooms
            for part in _modules(name, "api")
            for value in vars(part).values()
            if isinstance(value, Resource)
        }

    def resource_of(self, kind: str) -> Resource[Any]:
        """The kind of resource whose records are stored as `kind`. Raises KeyError."""
        return self._resources_by_kind[kind]

    @cached_property
    def _resources_by_kind(self) -> dict[str, Resource[Any]]:
        return {kind_of(resource.record): resource for resource in self.resources.values()}

    @cached_property
    def images(self) -> Catalogue:
        """Every family of images that rooms name in their `images.FAMILIES`."""
        return Catalogue(
            family for name in self.rooms for part in _modules(name, "images") for family in vars(part)["FAMILIES"]
        )

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_HANDLER_THREADS, thread_name_prefix="handler")

    def model(self, service: str, operation: str) -> Operation:
        """The wire model of an operation. Raises UnknownOperationException."""
        try:
            return wire_service(service).operations[operation]
        except KeyError:
            raise AwsError("UnknownOperationException", f"{service} has no operation {operation}") from None

    def takes_unsigned(self, operation: Operation) -> bool:
        """Whether a room lets those call `operation` who do not sign."""
        handler = self.handlers.get((operation.service.name, operation.name))
        return handler is not None and handler.claim.unsigned

    async def invoke(self, ctx: Context, params: Mapping[str, Any]) -> Reply:
        """Check, authorise and run a call on the event loop. Raises AwsError."""
        handler = self._admit(ctx, params)
        if handler.is_async:
            output = await handler.function(ctx, **params)
        else:
            run = partial(contextvars.copy_context().run, handler.function, ctx, **params)
            output = await asyncio.get_running_loop().run_in_executor(self._threads, run)
        return output if isinstance(output, Reply) else Reply(output or {})

    def call(self, ctx: Context, params: Mapping[str, Any]) -> dict[str, Any]:
        """`invoke` from a thread that runs no event loop."""
        handler = self._admit(ctx, params)
        output = handler.function(ctx, **params)
        if handler.is_async:
            loop = ctx.platform.loop
            output = asyncio.run(output) if loop is None else asyncio.run_coroutine_threadsafe(output, loop).result()
        return dict(output.output if isinstance(output, Reply) else output or {})

    def _admit(self, ctx: Context, params: Mapping[str, Any]) -> Handler:
        operation = ctx.operation
        handler = self.handlers.get((operation.service.name, operation.name))
        if handler is None:
            raise AwsError(
                "NotImplemented" if operation.service.name == "s3" else "NotImplementedException",
                f"Clary does not implement {operation.service.name}:{operation.name} yet. "
                "`clary coverage` lists what works.",
                status=501,
            )
        check(operation, params)
        handler.refuse_unknown(params)
        authorise(ctx, handler, params)
        return handler


def authorise(ctx: Context, handler: Handler, params: Mapping[str, Any]) -> None:
    """Raise AccessDenied unless the caller may do what `handler` does to what `params` name."""
    principal = ctx.principal
    if principal.kind == "anonymous":
        if handler.claim.unsigned:
            return
    elif principal.permissions is None:
        return  # nothing is forbidden to it
    resource = partial(_resource, ctx, handler.claim.resource, params)
    policies.require(principal, ctx.operation, resource, {"aws:requestedregion": ctx.region})


def _resource(ctx: Context, template: str | Callable[..., str], params: Mapping[str, Any]) -> str:
    if template == "*":
        return "*"
    service = ctx.operation.service.name
    name = template.format_map(_Members(params)) if isinstance(template, str) else template(ctx, params)
    if name == "*":
        return name
    return name if name.startswith("arn:") else ctx.arn(name, region="" if service in _WITHOUT_REGIONS else None)


class _Members(dict[str, Any]):
    def __getitem__(self, name: str) -> "_Text":
        return _Text(self.get(name, "*"))


class _Text(str):
    """A member in a resource's template: `{QueueUrl:last}` is what follows its last slash."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return self.rpartition("/")[2] if spec == "last" else super().__format__(spec)


def _installed() -> set[str]:
    names = {
        f"{parent}.{module.name}"
        for parent in ("clary.systems", "clary.support")
        for module in pkgutil.iter_modules(importlib.import_module(parent).__path__)
        if module.ispkg
    }
    return names | {point.value for point in importlib.metadata.entry_points(group=_ENTRY_POINT_GROUP)}


def _modules(package: str, module: str) -> list[ModuleType]:
    """`package.module`, and the modules in it when it is a package; none when there is no such module."""
    if importlib.util.find_spec(f"{package}.{module}") is None:
        return []
    root = importlib.import_module(f"{package}.{module}")
    if not hasattr(root, "__path__"):
        return [root]
    return [root, *(importlib.import_module(f"{root.__name__}.{m.name}") for m in pkgutil.iter_modules(root.__path__))]


def _marked(package: str, module: str, mark: str) -> list[Callable[..., Any]]:
    """The functions of `package.module` that carry a mark."""
    return [
        value
        for part in _modules(package, module)
        for value in vars(part).values()
        if callable(value) and getattr(value, "__module__", None) == part.__name__ and hasattr(value, mark)
    ]


def _handler(function: Callable[..., Any], claim: Claim, room: Room) -> Handler:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    members = None if takes_all else frozenset(parameter.name for parameter in parameters)
    return Handler(function, claim, room, inspect.iscoroutinefunction(function), members)


def unimplemented(registry: Registry) -> list[str]:
    """`service:Operation` of everything in scope that no room handles."""
    return sorted(
        f"{name}:{operation}"
        for name in SERVICES
        for operation in wire_service(name).operations
        if (name, operation) not in registry.handlers
    )
