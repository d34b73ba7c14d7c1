"""What the tests of objects share: the backends, and words to say what they expect."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.errors import AwsError
from clary.kernel.kv import open_kv
from clary.kernel.objects import Objects, open_objects

ACCOUNT = "111122223333"
LARGE = random.Random(1).randbytes(300_000)


@contextmanager
def opened(home: Path) -> Iterator[Objects]:
    with closing(open_kv(home, "objects")) as kv, closing(open_objects(home, kv, VirtualClock())) as objects:
        yield objects


BACKENDS = {"files": opened}


async def pieces(data: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(AwsError) as caught:
        yield
    assert caught.value.code == code, caught.value


def keys(objects: Objects, prefix: str = "") -> list[str]:
    return [listed.key for listed in objects.list("bucket", prefix)]
