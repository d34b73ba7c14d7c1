"""Answers on their way to S3: few bytes stay in memory, many go to a file of this home until they are stored."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from clary.kernel.core.ids import new_id
from clary.systems.async_inference.places import LARGEST_BYTES, Payload

_IN_MEMORY_BYTES = 1 << 20


class TooLarge(Exception):
    """An answer has more bytes than are taken."""


class Spool:
    """Holds the answers of one request; leave its context to forget them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for path in self._files:
            with contextlib.suppress(OSError):
                path.unlink()

    async def take(self, chunks: AsyncGenerator[bytes, None]) -> Payload:
        """All that `chunks` yields. Raises TooLarge, and what `chunks` raises."""
        kept: list[bytes] = []
        size = pending = 0
        file: IO[bytes] | None = None
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    kept.append(chunk)
                    size += len(chunk)
                    pending += len(chunk)
                    if size > LARGEST_BYTES:
                        raise TooLarge(f"its answer is larger than {LARGEST_BYTES} bytes")
                    if pending > _IN_MEMORY_BYTES:
                        if file is None:
                            file = await asyncio.to_thread(self._open)
                        await asyncio.to_thread(file.writelines, kept)
                        kept, pending = [], 0
            if file is None:
                return Payload(size, b"".join(kept))
            await asyncio.to_thread(file.writelines, kept)
        finally:
            if file is not None:
                await asyncio.to_thread(file.close)
        return Payload(size, path=self._files[-1])

    def _open(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / new_id()
        self._files.append(path)
        return path.open("wb")


def clear(folder: Path) -> None:
    """Remove what a dispatcher that was killed left."""
    shutil.rmtree(folder, ignore_errors=True)
