"""What the room's tests share: a client of the session's server, and streams that are gone when a test is over."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clary.testing import Server


@pytest.fixture
def kinesis(server: Server) -> Any:
    return server.client("kinesis")


@pytest.fixture
def stream(kinesis: Any, unique: Callable[[str], str]) -> Iterator[Callable[..., str]]:
    """Make a stream of so many shards; it is deleted after the test."""
    made = []

    def make(shards: int | None = 1, **options: Any) -> str:
        name = unique("stream")
        count = {} if shards is None else {"ShardCount": shards}
        kinesis.create_stream(StreamName=name, **count, **options)
        made.append(name)
        return name

    yield make
    for name in made:
        kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
