"""What passes between the pool and its processes: messages with their length before them, over a socket.

Tasks go out pickled; what comes back is JSON, for a process that has read users' data is not to be trusted.
"""

import socket
import struct
from dataclasses import asdict
from typing import Any

import orjson

from clary.lake.engine.tasks import TaskResult, WrittenFile

_LENGTH = struct.Struct("!I")
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024


class Ended(Exception):
    """The other end is gone."""


def send(connection: socket.socket, message: bytes) -> None:
    """Send a message whole. Raises Ended."""
    try:
        connection.sendall(_LENGTH.pack(len(message)) + message)
    except OSError:
        raise Ended from None


def receive(connection: socket.socket, largest: int = 0) -> bytes:
    """The next message. Raises Ended, also for one that is larger than `largest`, unless that is 0."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if largest and length > largest:
        raise Ended
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        try:
            part = connection.recv(min(count - len(parts), 1 << 20))
        except OSError:
            raise Ended from None
        if not part:
            raise Ended
        parts += part
    return bytes(parts)


def answer_of(result: TaskResult) -> dict[str, Any]:
    """A result as a message shows it."""
    return {"result": asdict(result)}


def result_of(answer: dict[str, Any]) -> TaskResult:
    """The result in an answer. Raises ValueError, TypeError or KeyError where it is none."""
    given = dict(answer["result"])
    files = tuple(
        WrittenFile(
            str(each["path"]), tuple(each["values"]), int(each["rows"]), int(each["size_bytes"]), int(each["bucket"])
        )
        for each in given.pop("files")
    )
    return TaskResult(files=files, **given)


def packed(answer: dict[str, Any]) -> bytes:
    return orjson.dumps(answer)
