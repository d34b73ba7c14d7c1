"""Multi-model endpoints, as a gateway sees them: which instance is asked for a model, and how it comes to be loaded.

Every gateway sends a model's requests to the same instance unless it is busy, so that the model is loaded once: the
instances are ordered for each model by a hash. When all that have it are busy, another loads it too, in the background;
nobody waits for that. A model that is loaded is asked at once; only when its server does not know it (404) is the shim
beside it told to load it, and the request sent again.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.serving.connections import Answer, ModelServer, ServerError, TimedOut
from clary.kernel.serving.loading import Loader, LoadRefused, NoModel, NotLoaded, StillLoading
from clary.kernel.serving.routes import Target

BUSY_REQUESTS = 4

_TELL_SECONDS = 1.0
_MOST_REMEMBERED = 100_000
_BACKGROUND_SECONDS = 600.0
_NOT_FOUND = 404


class Shelves:
    """What a gateway knows of the models of one endpoint: who has which, and what was used since it last told.

    What it believes may be wrong, since shims unload what they need room for: then a server answers 404.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._loaders: dict[str, Loader] = {}
        self._has: dict[tuple[str, str], None] = {}
        self._used: dict[str, set[str]] = {}
        self._spreading: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling = False

    def pick(self, target: Target, instances: Sequence[str], model: str, busy: Callable[[str], int]) -> str:
        """The instance to ask for a model; `busy` says how many requests one has."""
        holders = [instance for instance in instances if (instance, model) in self._has]
        if not holders:
            return max(instances, key=lambda instance: _weight(instance, model))
        best = min(holders, key=busy)
        others = [instance for instance in instances if instance not in holders]
        if others and busy(best) >= BUSY_REQUESTS:
            other = min(others, key=busy)
            if 2 * busy(other) <= busy(best):
                self._spread(target, other, model)
        return best

    def open(self, target: Target, instance: str, model: str, server: ModelServer) -> "OneModel":
        return OneModel(self, self.loader(target, instance), instance, model, server, kept=target.kept)

    def loader(self, target: Target, instance: str) -> Loader:
        address = target.loaders[instance]
        found = self._loaders.get(address)
        if found is None:
            found = self._loaders[address] = Loader(address, self._loop)
        return found

    def has(self, instance: str, model: str) -> bool:
        return (instance, model) in self._has

    def remember(self, instance: str, model: str) -> None:
        self._has[instance, model] = None
        if len(self._has) > _MOST_REMEMBERED:
            del self._has[next(iter(self._has))]

    def forget(self, instance: str, model: str) -> None:
        self._has.pop((instance, model), None)

    def used(self, loader: Loader, model: str) -> None:
        """Tell the shim, together with whatever else is used within a second."""
        self._used.setdefault(loader.address, set()).add(model)
        if not self._telling:
            self._telling = True
            self._loop.call_later(_TELL_SECONDS, self._tell)

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done that nobody waits for."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def keep_to(self, targets: Sequence[Target]) -> None:
        """Let go of instances that are gone."""
        addresses = {address for target in targets for address in target.loaders.values()}
        instances = {instance for target in targets for instance in target.loaders}
        for address in self._loaders.keys() - addresses:
            self._loaders.pop(address).close()
        for gone in [key for key in self._has if key[0] not in instances]:
            del self._has[gone]

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.keep_to(())

    def _tell(self) -> None:
        used, self._used = self._used, {}
        self._telling = False
        for address, models in used.items():
            loader = self._loaders.get(address)
            if loader is not None:
                self.do(loader.used(models))

    def _spread(self, target: Target, instance: str, model: str) -> None:
        if (instance, model) not in self._spreading:
            self._spreading.add((instance, model))
            self.do(self._load_also(self.loader(target, instance), instance, model))

    async def _load_also(self, loader: Loader, instance: str, model: str) -> None:
        try:
            await loader.load(model, _BACKGROUND_SECONDS)
            self.remember(instance, model)
            await loader.release(model)
        except (NotLoaded, ServerError):
            return  # those that have it go on serving
        finally:
            self._spreading.discard((instance, model))


def _weight(instance: str, model: str) -> bytes:
    """By which all gateways order instances alike, and differently for each model."""
    return hashlib.blake2b(f"{instance}/{model}".encode(), digest_size=8).digest()


def _not_ready(why: str) -> AwsError:
    return AwsError("ModelNotReadyException", f"{why} Wait and try your request again.")


class OneModel:
    """One request to one model of an instance; `ask` is that of `ModelServer`, with the loading of the model before it.

    `hit` says afterwards whether the model was there already, and `waited_seconds` how long the request waited for it.
    """

    def __init__(
        self, shelves: Shelves, loader: Loader, instance: str, model: str, server: ModelServer, *, kept: bool
    ) -> None:
        self.hit: bool | None = None
        self.waited_seconds = 0.0
        self._shelves = shelves
        self._loader = loader
        self._instance = instance
        self._model = model
        self._server = server
        self._kept = kept

    async def ask(self, head: bytes, body: bytes, timeout_seconds: float) -> Answer:
        """Raises ServerError, or AwsError when there is no such model or it does not get loaded in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        if self._kept and self._shelves.has(self._instance, self._model):
            answer = await self._server.ask(head, body, timeout_seconds)
            if answer.status != _NOT_FOUND:
                self.hit = True
                self._shelves.used(self._loader, self._model)
                return answer
            self._shelves.forget(self._instance, self._model)
        began = loop.time()
        try:
            hit = await self._loader.load(self._model, deadline - began)
        except NoModel as error:
            raise AwsError("ValidationError", f"Failed to download model data. {error}") from None
        except StillLoading as error:
            raise _not_ready(str(error)) from None
        except LoadRefused as error:
            self.hit = False
            return Answer(error.status, [], str(error).encode(), None)
        finally:
            self.waited_seconds = loop.time() - began
        self.hit = hit
        self._shelves.remember(self._instance, self._model)
        try:
            return await self._server.ask(head, body, deadline - loop.time())
        except TimedOut:
            if self.waited_seconds < timeout_seconds / 2:
                raise
            raise _not_ready(f'The model "{self._model}" took most of the time of this request to be loaded.') from None
        finally:
            self._shelves.do(self._loader.release(self._model))
