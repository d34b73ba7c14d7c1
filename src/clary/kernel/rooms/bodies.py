"""What goes in and out of a handler besides plain members: streamed bodies, and replies with a status of their own."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple


class Body:
    """The body of a request that is streamed: iterate over it once, or `read` it whole.

    By the time a chunk is seen its framing is gone; signature and checksums are checked at the end, so commit
    nothing before the iteration has ended without an error.
    """

    def __init__(self, chunks: AsyncIterator[bytes], content_length: int | None) -> None:
        self._chunks = chunks
        self.content_length = content_length

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self._chunks])


@dataclass(frozen=True, slots=True)
class FileBody:
    """`length` bytes of a file from `offset`, sent without passing through the handler."""

    path: Path
    offset: int
    length: int


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Reply(NamedTuple):
    """An output with a status or headers that the model does not give."""

    output: Mapping[str, Any] = _NOTHING
    status: int | None = None
    headers: Mapping[str, str] = _NOTHING
