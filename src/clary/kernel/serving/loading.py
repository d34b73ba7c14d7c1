"""Have models loaded by services that are given theirs on demand: ask their shims, as `kernel/jobs/on_demand` says.

NotLoaded
├── NoModel         there is no such model, or its data are unusable
├── LoadRefused     the service does not load it: `status` and the message are its own
└── StillLoading    not in the time that there was; it goes on
"""

import asyncio
from collections.abc import Collection
from typing import Any

import orjson

from clary.kernel.jobs.on_demand.words import LOAD, RELEASE, USED, Fault, model_id
from clary.kernel.serving.connections import ModelServer, ServerError, TimedOut, Unreachable
from clary.kernel.serving.requests import Heading

__all__ = ["LoadRefused", "Loader", "NoModel", "NotLoaded", "StillLoading", "invoke_path"]

_HEADING = Heading("application/json")
_TOLD_SECONDS = 5.0
_ANSWER_SECONDS = 2.0  # how much longer than it may wait a shim may take to say so
_LARGEST_ANSWER = 8 * 1024 * 1024


class NotLoaded(Exception):
    pass


class NoModel(NotLoaded):
    pass


class LoadRefused(NotLoaded):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class StillLoading(NotLoaded):
    pass


def invoke_path(name: str) -> str:
    """Where a service that has the model `name` loaded is asked for its predictions."""
    return f"/models/{model_id(name)}/invoke"


class Loader:
    """The shim at an address such as `unix:PATH`, for the event loop it is used on."""

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self._server = ModelServer(address, loop, _LARGEST_ANSWER)

    async def load(self, name: str, timeout_seconds: float) -> bool:
        """Have a model loaded, and kept so until `release`; whether it was loaded before.

        Raises NotLoaded, or ServerError when the service cannot be asked.
        """
        wait_seconds = max(timeout_seconds, 0.0)
        body = orjson.dumps({"model": name, "wait_seconds": wait_seconds})
        try:
            answer = await self._server.ask(_HEADING.head(len(body), LOAD), body, wait_seconds + _ANSWER_SECONDS)
        except TimedOut:
            raise StillLoading(f'The model "{name}" is still being downloaded or loaded.') from None
        said: dict[str, Any] = orjson.loads(answer.body)
        if answer.status == 200:
            return bool(said["hit"])
        raise _failure(said)

    async def release(self, name: str) -> None:
        """Say that a model that was loaded here has been used. That a shim has gone meanwhile does not matter."""
        await self._tell(RELEASE, {"model": name})

    async def used(self, names: Collection[str]) -> None:
        """Say that models were used lately."""
        await self._tell(USED, {"models": list(names)})

    async def _tell(self, path: str, document: dict[str, Any]) -> None:
        body = orjson.dumps(document)
        try:
            await self._server.ask(_HEADING.head(len(body), path), body, _TOLD_SECONDS)
        except ServerError:
            return

    def close(self) -> None:
        self._server.close()


def _failure(said: dict[str, Any]) -> Exception:
    fault, message = said.get("fault"), str(said.get("message"))
    if fault == Fault.DATA:
        return NoModel(message)
    if fault == Fault.REFUSED:
        return LoadRefused(int(said["status"]), message)
    if fault == Fault.LOADING:
        return StillLoading(message)
    return Unreachable(message)
