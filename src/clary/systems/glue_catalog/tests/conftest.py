"""A catalog on a real server, and a database of one's own in it."""

from collections.abc import Callable
from typing import Any

import pytest

from clary.testing import Server


@pytest.fixture
def glue(server: Server) -> Any:
    return server.client("glue")


@pytest.fixture
def database(glue: Any, unique: Callable[[str], str]) -> str:
    name = unique("db").replace("-", "_").lower()
    glue.create_database(DatabaseInput={"Name": name})
    return name
