"""Bodies in and out of ASGI: bounded in size and patience on the way in, unhurried and uncopied on the way out."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import FileBody
from clary.kernel.wire import Request, Response

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_FILE_CHUNK_BYTES = 1024 * 1024
_DISCARDED_BYTES = 1024 * 1024
_DISCARD_SECONDS = 2.0


class ClientGone(Exception):
    """The client closed the connection: there is nobody left to answer."""


async def receive_chunks(
    request: Request, receive: Receive, limit_bytes: int, silence_seconds: float
) -> AsyncIterator[bytes]:
    """The request's body as it arrives.

    Raises RequestTimeout when the client falls silent, EntityTooLarge beyond the limit, ClientGone when it hangs up.
    """
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
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
        if received > limit_bytes:
            raise _too_large(limit_bytes)
        more = message.get("more_body", False)
        if chunk:
            yield chunk


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


async def send_body(send: Send, receive: Receive, response: Response, *, head: bool) -> None:
    """Send a response whose body is bytes, a `FileBody` or an async iterator of bytes.

    Raises ClientGone when the client hangs up before an iterator has ended.
    """
    headers, body = response.headers, response.body
    length = body.length if isinstance(body, FileBody) else len(body) if isinstance(body, bytes) else None
    if length is not None and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if head or response.status in {204, 304}:
        await send({"type": "http.response.body", "body": b""})
    elif isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body})
    elif isinstance(body, FileBody):
        await _send_file(send, receive, body)
    else:
        await _send_stream(send, receive, body)


async def _send_stream(send: Send, receive: Receive, chunks: AsyncIterator[bytes]) -> None:
    """Send chunks as they come. Sending does not notice a client that is gone, so listen for that beside it."""
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


def _too_large(limit_bytes: int) -> AwsError:
    return AwsError("EntityTooLarge", f"The request body is larger than the {limit_bytes} bytes allowed.", status=413)
