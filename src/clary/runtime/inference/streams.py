"""Answers that come piece by piece: what a script yields, as bytes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any


def streams(answer: Any) -> bool:
    return isinstance(answer, Iterator | AsyncIterator)


def pieces_of(answer: Any) -> Iterator[bytes]:
    """The pieces of a generator, of either kind; closing this closes it. Empty ones would end an answer: left out."""
    source = _driven(answer) if isinstance(answer, AsyncIterator) else answer
    try:
        for piece in source:
            data = piece.encode() if isinstance(piece, str) else bytes(piece)
            if data:
                yield data
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def _driven(answer: AsyncIterator[Any]) -> Iterator[Any]:
    """An asynchronous generator, run on a loop of its own in the thread that asks for its pieces."""
    with asyncio.Runner() as runner:
        try:
            while True:
                try:
                    piece = runner.run(_next(answer))
                except StopAsyncIteration:
                    return
                yield piece
        finally:
            close = getattr(answer, "aclose", None)
            if close is not None:
                runner.run(close())


async def _next(answer: AsyncIterator[Any]) -> Any:
    return await anext(answer)
