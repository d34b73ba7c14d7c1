"""SageMaker's multi-model container contract: models that are loaded, asked and unloaded while the server runs.

    POST   /models                 {"model_name", "url"}: load the model in the directory `url`. 409 when it is, or
                                   507 when there is no memory for it: unload another, and ask again
    GET    /models                 {"models": [{"modelName", "modelUrl"}], "nextPageToken"}, by ?next_page_token=
    GET    /models/{name}          {"modelName", "modelUrl"}, 404
    DELETE /models/{name}          finish the calls under way and free the memory, 404
    POST   /models/{name}/invoke   like /invocations, 404 when it is not loaded
    GET    /ping

Each model runs in a process of its own. One that ends, by a fault of its own or since it did not answer in time, is no
longer loaded: the call that it was answering gets a 5xx, and it can be loaded again.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from clary.runtime.inference.app import nothing_at
from clary.runtime.inference.contract import TEXT, Reply
from clary.runtime.inference.http import Exchange
from clary.runtime.inference.loaded_model import LoadedModel
from clary.runtime.inference.memory import memory_of
from clary.runtime.inference.model_link import LoadFailed, ModelLink
from clary.runtime.inference.nursery import start_nursery
from clary.runtime.inference.server import listening, run
from clary.runtime.inference.settings import MIB, Settings
from clary.runtime.paths import ml_paths

PAGE = 100
LOAD_SECONDS = 600.0
_JSON = "application/json"
_LOOK_SECONDS = 0.1
_WATCH_SECONDS = 5.0
_AWS_ROOT = "/opt/ml/"


def serve_many(settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> int:
    """Serve models on `listener` until SIGTERM; return the exit code. `ready` is called once any can be loaded."""
    process, nursery = start_nursery(listener)

    async def main() -> int:
        app = MultiModelApp(settings, process, nursery)
        async with listening(settings, listener, app) as stopped:
            watching = asyncio.create_task(app.watch())
            ready()
            waiting = [asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(app.orphaned.wait())]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in (*waiting, watching):
                one.cancel()
        return 0 if stopped.is_set() else 1

    try:
        return run(main())
    finally:
        nursery.close()  # which ends every model
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, 0)


class MultiModelApp:
    """The models by name, and the answers about them."""

    def __init__(self, settings: Settings, process: int, nursery: socket.socket) -> None:
        self._settings = settings
        self._accept = settings.default_accept.encode()
        self._process = process
        self._nursery = nursery
        self._models: dict[str, LoadedModel] = {}
        self._links: dict[int, ModelLink] = {}
        self._codes: dict[int, int] = {}  # of processes that ended before they were known
        self._tasks: set[asyncio.Task[None]] = set()
        self.orphaned = asyncio.Event()  # set when the nursery has ended, without which nothing can be loaded
        nursery.setblocking(False)
        asyncio.get_running_loop().add_reader(nursery.fileno(), self._hear)

    def __call__(self, exchange: Exchange) -> None:
        head = exchange.head
        if head.path.startswith("/models/"):
            rest = head.path.removeprefix("/models/")
            if head.method == "POST" and rest.endswith("/invoke"):
                self._invoke(exchange, unquote(rest.removesuffix("/invoke")))
            elif head.method == "GET":
                exchange.answer(self._describe(unquote(rest)))
            elif head.method == "DELETE":
                self._later(exchange, self._unload(unquote(rest)))
            else:
                exchange.answer(nothing_at(head))
        elif head.path == "/models" and head.method == "POST":
            self._later(exchange, self._load(exchange.body))
        elif head.path == "/models" and head.method == "GET":
            exchange.answer(self._list(head.query))
        elif head.path == "/ping" and head.method in ("GET", "HEAD"):
            exchange.answer(Reply(b"", TEXT))
        else:
            exchange.answer(nothing_at(head))

    async def watch(self) -> None:
        """End the model that has grown most, whenever all together have come to take more than they may."""
        while self._settings.memory_bytes:
            await asyncio.sleep(_WATCH_SECONDS)
            models = [model for model in self._models.values() if model.ready]
            sizes = await self._sizes(models)
            excess = sum(sizes.values()) - self._settings.memory_bytes
            grown = {model: sum(sizes.get(one, 0) for one in model.processes) - model.loaded_bytes for model in models}
            largest = max(grown, key=grown.__getitem__, default=None)
            if excess > 0 and largest is not None and grown[largest] > 0:
                largest.end(
                    f"the models take {excess // MIB + 1} MiB more than SM_MEMORY_BYTES allows; this one, which has "
                    f"grown by {grown[largest] // MIB} MiB since it was loaded, was ended"
                )

    def _invoke(self, exchange: Exchange, name: str) -> None:
        model = self._models.get(name)
        if model is None or not model.ready:
            exchange.answer(_not_loaded(name))
            return
        accept = exchange.head.accept
        model.ask(exchange, self._accept if not accept or accept == b"*/*" else accept)

    def _describe(self, name: str) -> Reply:
        model = self._models.get(name)
        return _json(_shown(model)) if model is not None and model.ready else _not_loaded(name)

    def _list(self, query: str) -> Reply:
        after = parse_qs(query).get("next_page_token", [""])[0]
        names = sorted(name for name, model in self._models.items() if model.ready and name > after)
        answer: dict[str, Any] = {"models": [_shown(self._models[name]) for name in names[:PAGE]]}
        if len(names) > PAGE:
            answer["nextPageToken"] = names[PAGE - 1]
        return _json(answer)

    async def _load(self, body: bytes) -> Reply:
        try:
            asked = json.loads(body)
            name, url = asked["model_name"], asked["url"]
        except (ValueError, TypeError, KeyError):
            return _fault(400, 'the body must be {"model_name": ..., "url": ...}')
        if not isinstance(name, str) or not name or not isinstance(url, str):
            return _fault(400, "model_name and url must be text")
        directory = _place(url)
        if not directory.is_dir():
            return _fault(400, f"url is {url!r}, which is no directory")
        while (present := self._models.get(name)) is not None:
            if present.ready:
                return _fault(409, f"model {name!r} is loaded already")
            await present.changed.wait()
        model = self._models[name] = LoadedModel(name, url, self._settings.timeout_seconds, self._drop)
        try:
            await self._start(model, directory)
        except LoadFailed as failed:
            model.end(str(failed))
            await model.gone()
            return _fault(failed.status, str(failed))
        print(f"loaded model {name!r}", file=sys.stderr, flush=True)
        return _json({"status": f"model {name!r} is loaded"})

    async def _start(self, model: LoadedModel, directory: Path) -> None:
        """Raises LoadFailed; the model is then to be ended."""
        limit = self._settings.memory_bytes
        others = list(self._models.values())  # those loaded later do not count, so that of two the first is loaded
        base = sum((await self._sizes(others)).values()) if limit else 0
        if limit and base >= limit:
            raise _no_room(base, limit)
        links = [ModelLink(self._nursery, model, self._meet) for _ in range(self._settings.workers)]
        model.links = links
        for link in links:
            await link.start(str(directory))
        loading = [link.loaded for link in links]
        deadline = asyncio.get_running_loop().time() + LOAD_SECONDS
        while (await asyncio.wait(loading, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_EXCEPTION))[1]:
            if any(one.done() and one.exception() for one in loading):
                break
            if limit and (taken := base + sum((await self._sizes([model], alone=True)).values())) > limit:
                raise _no_room(taken, limit)
            if asyncio.get_running_loop().time() > deadline:
                raise LoadFailed(504, f"the model did not load within {LOAD_SECONDS:g} s")
        for one in loading:
            if one.done():
                one.result()
        if limit:
            sizes = await self._sizes(others)
            if sum(sizes.values()) > limit:
                raise _no_room(sum(sizes.values()), limit)
            model.loaded_bytes = sum(sizes.get(link.process, 0) for link in links)
        if self._models.get(model.name) is not model:
            raise LoadFailed(500, "the model was unloaded while it was being loaded")
        model.become_ready()

    async def _unload(self, name: str) -> Reply:
        model = self._models.get(name)
        if model is None:
            return _not_loaded(name)
        await model.finish()
        model.end("the model was unloaded")
        await model.gone()
        print(f"unloaded model {name!r}", file=sys.stderr, flush=True)
        return _json({"status": f"model {name!r} is unloaded"})

    async def _sizes(self, models: list[LoadedModel], *, alone: bool = False) -> dict[int, int]:
        """Bytes by process: of the models, and, unless `alone`, of the server and the nursery."""
        processes = [process for model in models for process in model.processes]
        return await asyncio.to_thread(memory_of, processes, [] if alone else [os.getpid(), self._process])

    def _meet(self, link: ModelLink) -> None:
        code = self._codes.pop(link.process, None)
        if code is not None:
            link.ended.set_result(code)
        elif not link.ended.done():
            self._links[link.process] = link

    def _drop(self, model: LoadedModel) -> None:
        if self._models.get(model.name) is model:
            del self._models[model.name]

    def _later(self, exchange: Exchange, work: Coroutine[Any, Any, Reply]) -> None:
        async def answer() -> None:
            exchange.answer(await work)

        task = asyncio.get_running_loop().create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self) -> None:
        """The nursery says that a process has ended, or has ended itself."""
        try:
            text = self._nursery.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            text = b""
        if not text:
            asyncio.get_running_loop().remove_reader(self._nursery.fileno())
            self.orphaned.set()
            return
        news = json.loads(text)
        link = self._links.pop(news["ended"], None)
        if link is None:
            self._codes[news["ended"]] = news["code"]
        elif not link.ended.done():
            link.ended.set_result(news["code"])


def _place(url: str) -> Path:
    """The directory that `url` names, below what stands for /opt/ml here."""
    root = ml_paths().root
    if url.startswith(_AWS_ROOT) and str(root) != _AWS_ROOT.rstrip("/"):
        return root / url.removeprefix(_AWS_ROOT)
    return Path(url)


def _shown(model: LoadedModel) -> dict[str, str]:
    return {"modelName": model.name, "modelUrl": model.url}


def _json(answer: dict[str, Any]) -> Reply:
    return Reply(json.dumps(answer).encode(), _JSON)


def _fault(status: int, message: str) -> Reply:
    return Reply(json.dumps({"code": status, "message": message}).encode(), _JSON, status)


def _not_loaded(name: str) -> Reply:
    return _fault(404, f"model {name!r} is not loaded")


def _no_room(taken: int, limit: int) -> LoadFailed:
    return LoadFailed(
        507, f"there is no memory for the model: with it {taken // MIB} MiB are taken of {limit // MIB}; unload another"
    )
