"""Every backend of streams, each over a home of its own."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clary.kernel.core.clock import SystemClock
from clary.kernel.streams import Streams, open_streams

BACKENDS = ("embedded",)


@pytest.fixture(params=BACKENDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Streams]:
    """Opens the same streams each time; close what it returned."""
    return lambda: open_streams(tmp_path, SystemClock())


@pytest.fixture
def streams(opened: Callable[[], Streams]) -> Iterator[Streams]:
    with closing(opened()) as found:
        yield found
