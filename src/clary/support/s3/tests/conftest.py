"""A client of the shared server and a bucket of one's own."""

from collections.abc import Callable
from typing import Any

import pytest

from clary.testing import Server

Unique = Callable[[str], str]


@pytest.fixture
def s3(server: Server) -> Any:
    return server.client("s3")


@pytest.fixture
def bucket(s3: Any, unique: Unique) -> str:
    name = unique("bucket")
    s3.create_bucket(Bucket=name)
    return name
