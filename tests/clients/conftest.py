"""Fixtures of the client tests: environments by name, and data for the programs."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.environments import CannotMake, Environment, make

from clary.testing import Server

FLIGHTS = Path(__file__).parents[2] / "examples" / "data" / "flights.csv"


@pytest.fixture
def environment(server: Server) -> Callable[[str], Environment]:
    """An environment by name; the test is skipped, with the reason, where it cannot be made."""

    def find(name: str) -> Environment:
        try:
            folder = make(name)
        except CannotMake as error:
            pytest.skip(f"no {name} environment: {error}")
        return Environment(folder, server.home)

    return find


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.csv and test.csv: flights as numbers, the minutes in the air first."""
    folder = tmp_path_factory.mktemp("flights")
    with FLIGHTS.open(newline="") as file:
        rows = [row[:5] for row in list(csv.reader(file))[1:]]
    for name, part in {"train.csv": rows[: 4 * len(rows) // 5], "test.csv": rows[4 * len(rows) // 5 :]}.items():
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows(part)
    return folder
