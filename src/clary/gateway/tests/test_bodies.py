"""Bodies on their way out: whole, in order, and at no one else's expense."""

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from clary.gateway.access_log import AccessLog
from clary.gateway.app import Exchange
from clary.gateway.bodies import ClientGone, send_body
from clary.kernel.auth.signatures import Scope
from clary.kernel.rooms import FileBody
from clary.kernel.wire import Request, Response

MIB = 1024 * 1024


async def never() -> MutableMapping[str, Any]:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


async def gone() -> MutableMapping[str, Any]:
    return {"type": "http.disconnect"}


@pytest.mark.parametrize(("offset", "length"), [(0, 3 * MIB), (5, 0), (7, 100), (MIB - 1, MIB + 2)])
def test_a_part_of_a_file_arrives_as_it_is(tmp_path: Path, offset: int, length: int) -> None:
    data = bytes(range(256)) * (3 * MIB // 256)
    path = tmp_path / "file"
    path.write_bytes(data)
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(send_body(send, never, Response(200, [], FileBody(path, offset, length)), head=False))
    assert dict(sent[0]["headers"])[b"content-length"] == str(length).encode()
    assert b"".join(message["body"] for message in sent[1:]) == data[offset : offset + length]
    assert [message.get("more_body", False) for message in sent[1:]][-1] is False


def test_a_file_is_not_read_to_its_end_for_a_client_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(1024 * MIB)
    sent = 0

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    with pytest.raises(ClientGone):
        asyncio.run(send_body(send, gone, Response(200, [], FileBody(path, 0, 1024 * MIB)), head=False))
    assert sent < 10 * MIB


def test_a_claimed_key_cannot_write_lines_of_the_access_log(tmp_path: Path) -> None:
    async def log() -> None:
        access_log = AccessLog(tmp_path / "access.log")
        exchange = Exchange(Request("GET", "/", "", {}), never, scope=Scope("a b\nc", "", "s3", "v2-query"))
        access_log.write(exchange, Response(403, []), ("127.0.0.1", 1), 0.001)
        access_log._flush()

    asyncio.run(log())
    assert [line.split()[2] for line in (tmp_path / "access.log").read_text().splitlines()] == ["a%20b%0Ac"]
