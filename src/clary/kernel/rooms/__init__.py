"""Rooms: how a system declares itself, and how it is found, called and driven.

A room package's `__init__.py` holds `ROOM = Room(...)`; `api.py` (a module or a package) its operations;
`reconcile.py`, where there is one, its reconcilers:

    @operation("sagemaker", "StopTrainingJob")
    def stop_training_job(ctx: Context, TrainingJobName: str) -> None: ...

    @reconciler("training", every_seconds=5.0)
    def reconcile(platform: Platform, key: str | None) -> float | None: ...

What a room does when records of others get another status is its `@observer`, told in `reconcile` too.

A handler's keyword arguments are the members of the operation's input, spelled as on the wire; those it lacks are
refused when a client sends them. `def` handlers run in a worker thread; `async def` handlers run on the gateway's
event loop and must never block it.
"""

from clary.kernel.rooms.bodies import Body, FileBody, Reply
from clary.kernel.rooms.context import Context
from clary.kernel.rooms.declare import CARRIER, CONTROLLER, Room, observer, operation, reconciler, served
from clary.kernel.rooms.parts import OnePerPlatform
from clary.kernel.rooms.platform import Platform
from clary.kernel.rooms.registry import Handler, Registry
from clary.kernel.rooms.resources import Resource

__all__ = [
    "CARRIER",
    "CONTROLLER",
    "Body",
    "Context",
    "FileBody",
    "Handler",
    "OnePerPlatform",
    "Platform",
    "Registry",
    "Reply",
    "Resource",
    "Room",
    "observer",
    "operation",
    "reconciler",
    "served",
]
