"""A home with one bucket, over every backend."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.objects.support import ACCOUNT, BACKENDS

from clary.kernel.objects import Objects


@pytest.fixture(params=BACKENDS)
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Objects]:
    with BACKENDS[request.param](tmp_path) as objects:
        objects.buckets.create("bucket", ACCOUNT, "eu-west-1")
        yield objects


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return tmp_path / "objects" / "bucket"
