"""Bodies in and out of ASGI: bounded in size and patience on the way in, unhurried and uncopied on the way out."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import FileBody
from clary.kernel.wire import Request, Response

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_FILE_CHUNK_BYTES = 1024 * 1024
_DISCARDED_BYTES = 1024 * 1024
_DISCARD_SECONDS = 2.0


class Whole(Protocol):
    """What our server offers beside ASGI, as the scope's extension `clary.whole`: most requests and answers are small
    and come and go in one piece, and need no messages for it."""

    def take_body(self) -> bytes | None:
        """The body, if all of it is here and none of it was received yet."""

    def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send the whole answer; False, and nothing sent, when it has to wait for the client to take others first."""


class ClientGone(Exception):
    """The client closed the connection: there is nobody left to answer."""


async def receive_chunks(
    request: Request, receive: Receive, limit_bytes: int, silence_seconds: float
) -> AsyncIterator[bytes]:
    """The request's body as it arrives.

    Raises RequestTimeout when the client falls silent, EntityTooLarge beyond the limit, ClientGone when it hangs up.
    """
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit():
        check_size(int(declared), limit_bytes)
    received = 0
    more = True
    while more:
        try:
            async with asyncio.timeout(silence_seconds):
                message = await receive()
        except TimeoutError:
            raise AwsError(
                "RequestTimeout", f"No part of the body arrived within {silence_seconds:g} seconds.", status=400
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        received += len(chunk)
        check_size(received, limit_bytes)
        more = message.get("more_body", False)
        if chunk:
            yield chunk


def is_more_than_discarded(headers: Mapping[str, str]) -> bool:
    """Whether a request says that its body is more than `discard_rest` reads."""
    declared = headers.get("content-length", "")
    return declared.isdigit() and int(declared) > _DISCARDED_BYTES


async def discard_rest(receive: Receive) -> bool:
    """Read what is left of a body nobody wants, if it is little and comes soon; say whether its end was seen."""
    left = _DISCARDED_BYTES
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                if not message.get("more_body", False):
                    return True
                left -= len(message.get("body", b""))
    except TimeoutError:
        pass
    return False


async def read_whole(chunks: AsyncIterator[bytes]) -> bytes:
    """All chunks as one; free of copies when there is only one."""
    parts = [chunk async for chunk in chunks]
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def send_body(
    send: Send, receive: Receive, response: Response, *, head: bool, whole: Whole | None = None
) -> None:
    """Send a response whose body is bytes, a `FileBody` or an async iterator of bytes.

    Raises ClientGone when the client hangs up before an iterator has ended.
    """
    status, headers, body = response.status, response.headers, response.body
    if isinstance(body, bytes):
        _state_length(headers, len(body))
    elif isinstance(body, FileBody):
        _state_length(headers, body.length)
    if head or status in {204, 304}:
        body = b""
    if whole is not None and isinstance(body, bytes) and whole.answer(status, headers, body):
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body})
    elif isinstance(body, FileBody):
        await _send_file(send, receive, body)
    else:
        await _send_stream(send, receive, body)


def _state_length(headers: list[tuple[bytes, bytes]], length: int) -> None:
    for name, _ in headers:
        if name == b"content-length":
            return
    headers.append((b"content-length", b"%d" % length))


async def _send_stream(send: Send, receive: Receive, chunks: AsyncIterator[bytes]) -> None:
    """Send chunks as they come. Sending does not notice a client that is gone, so listen for that beside it.

    Who makes the chunks is told to stop, whether or not the client took them all.
    """
    sending = asyncio.create_task(_send_chunks(send, chunks))
    hangup = asyncio.create_task(_hung_up(receive))
    try:
        await asyncio.wait((sending, hangup), return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            raise ClientGone
        await sending
    finally:
        sending.cancel()
        hangup.cancel()
        await asyncio.wait((sending, hangup))
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


async def _send_chunks(send: Send, chunks: AsyncIterator[bytes]) -> None:
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _send_file(send: Send, receive: Receive, body: FileBody) -> None:
    descriptor = os.open(body.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if body.length <= _FILE_CHUNK_BYTES:
            await send({"type": "http.response.body", "body": os.pread(descriptor, body.length, body.offset)})
        else:
            await _send_stream(send, receive, _file_chunks(descriptor, body))
    finally:
        os.close(descriptor)


async def _file_chunks(descriptor: int, body: FileBody) -> AsyncIterator[bytes]:
    offset, end = body.offset, body.offset + body.length
    while chunk := os.pread(descriptor, min(_FILE_CHUNK_BYTES, end - offset), offset):
        offset += len(chunk)
        yield chunk
        # Sending to a client that is gone does not wait: without this nobody else would be served until the file ends.
        await asyncio.sleep(0)


def check_size(size: int, limit_bytes: int) -> None:
    """Raise EntityTooLarge for a body of more than `limit_bytes`."""
    if size > limit_bytes:
        message = f"The request body is larger than the {limit_bytes} bytes allowed."
        raise AwsError("EntityTooLarge", message, status=413)
