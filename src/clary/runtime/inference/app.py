"""The HTTP face of a model: raw ASGI, since every layer above it would cost more than a small model's prediction."""

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from clary.runtime.errors import CustomerError
from clary.runtime.inference.contract import Model, Refused, Reply, Request
from clary.runtime.inference.settings import MIB, Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TEXT = "text/plain; charset=utf-8"
# More would only wait until their callers give up.
WAITING_LIMIT = 1024
END = b""
# As SageMaker's own servers say: scripts are written for payloads of this size.
DEFAULT_PAYLOAD = 6 * MIB


class App:
    """Serves `model` once it is set; until then /ping and /invocations answer 503."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model: Model | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._waiting = 0

    def serve(self, model: Model) -> None:
        self._pool = ThreadPoolExecutor(max_workers=model.threads, thread_name_prefix="invoke")
        self._model = model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if path == "/invocations":
            if method != "POST":
                await _answer(send, Reply(b"use POST", TEXT, 405))
            else:
                await self._invocations(scope, receive, send)
        elif path == "/ping" and method in ("GET", "HEAD"):
            ready = self._model is not None
            await _answer(send, Reply(b"" if ready else b"the model is loading", TEXT, 200 if ready else 503))
        elif path == "/execution-parameters" and method == "GET":
            await _answer(send, self._execution_parameters())
        else:
            await _answer(send, Reply(f"there is no {method} {path}".encode(), TEXT, 404))

    async def _invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        model = self._model
        if model is None or self._pool is None:
            await _answer(send, Reply(b"the model is loading", TEXT, 503))
            return
        content_type = accept = b""
        for name, value in scope["headers"]:
            if name == b"content-type":
                content_type = value
            elif name == b"accept":
                accept = value
        if not accept or accept == b"*/*":
            accept = self._settings.default_accept.encode()
        try:
            body = await self._read(receive)
            reply = model.quick(body, content_type, accept)
            if reply is None:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
                request = Request(body, content_type.decode("latin-1"), accept.decode("latin-1"), headers)
                reply = await self._in_thread(lambda: model.invoke(request))
        except Exception as error:
            reply = refusal(error, self._settings.timeout_seconds)
        if isinstance(reply.body, bytes):
            await _answer(send, reply)
        else:
            await self._stream(send, reply, reply.body)

    async def _read(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            self._check(len(body))
            return body
        chunks, size = [body], len(body)
        while message.get("more_body"):
            self._check(size)
            message = await receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        self._check(size)
        return b"".join(chunks)

    def _check(self, size: int) -> None:
        if size > self._settings.max_body:
            raise Refused(413, f"the request body is over {self._settings.max_body} bytes (MAX_CONTENT_LENGTH)")

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        """Run `call` in the pool, for as long as a request may take. A thread can only be left behind, not stopped."""
        assert self._pool is not None
        if self._waiting >= WAITING_LIMIT:
            raise Refused(503, f"{self._waiting} requests are waiting for the model already; try again later")
        loop = asyncio.get_running_loop()
        future: Future[Any] = self._pool.submit(call)
        self._waiting += 1
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._one_less))
        async with asyncio.timeout(self._settings.timeout_seconds):
            return await asyncio.wrap_future(future)

    def _one_less(self) -> None:
        self._waiting -= 1

    async def _stream(self, send: Send, reply: Reply, pieces: Iterator[bytes]) -> None:
        """Send each piece as the user's generator yields it. A fault midway breaks the connection, to be noticed."""
        await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply, None)})
        while True:
            piece = await self._in_thread(lambda: next(pieces, END))
            if not piece:
                break
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _execution_parameters(self) -> Reply:
        threads = self._model.threads if self._model is not None else 1
        return Reply(json.dumps(execution_parameters(self._settings, threads)).encode(), "application/json")


def execution_parameters(settings: Settings, threads: int) -> dict[str, Any]:
    """How batch transform had best ask a model that runs `threads` calls at once, where the job leaves that open."""
    return {
        "MaxConcurrentTransforms": threads * settings.workers,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": max(1, min(settings.max_body, DEFAULT_PAYLOAD) // MIB),
    }


def refusal(error: Exception, timeout_seconds: float) -> Reply:
    """The answer to a request that failed: the caller gets the message, the log the traceback of what is our fault."""
    if isinstance(error, Refused):
        return Reply(str(error).encode(), TEXT, error.status)
    if isinstance(error, CustomerError):
        return Reply(str(error).encode(), TEXT, 400)
    if isinstance(error, TimeoutError):
        return Reply(f"the model did not answer within {timeout_seconds:g} s".encode(), TEXT, 504)
    traceback.print_exception(error)
    sys.stderr.flush()
    message = "".join(traceback.format_exception_only(error)).strip()
    return Reply(message.encode(errors="replace"), TEXT, 500)


async def _answer(send: Send, reply: Reply) -> None:
    assert isinstance(reply.body, bytes)
    await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply, len(reply.body))})
    await send({"type": "http.response.body", "body": reply.body})


def _headers(reply: Reply, length: int | None) -> list[tuple[bytes, bytes]]:
    # The type may come from a user's script; a line break in it would begin another header.
    content_type = "".join(character for character in reply.content_type if character.isprintable())
    headers = [(b"content-type", content_type.encode("latin-1", "replace"))]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return headers
