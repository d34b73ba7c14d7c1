"""Killing what delivers, while it delivers: nothing that was acknowledged is missing where it went, or there twice."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from clary.lake.tests.postgres import Postgres
from clary.systems.firehose.tests.conftest import Client
from clary.systems.firehose.tests.warehouses.conftest import Search
from clary.systems.firehose.tests.warehouses.test_end_to_end import redshift, search_of
from clary.testing import eventually, start_server, stop_server

pytestmark = pytest.mark.slow

KILLS = 4
BATCH = 250


@pytest.fixture
def own(tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Client]:
    """A client of a server of this test alone."""
    client = Client(start_server(tmp_path / "home", warm_interpreters=False), unique)
    yield client
    stop_server(client.server)


def carrier(client: Client) -> psutil.Process | None:
    return next(iter(client.server.processes("carrier")), None)


def test_a_killed_carrier_loses_nothing_and_doubles_nothing(own: Client, postgres: Postgres, search: Search) -> None:
    table, index = own.unique("orders"), own.unique("orders").lower()
    postgres.run("CREATE TABLE {} (id int)", table)  # without a key, so that nothing but Clary keeps rows single
    streams = [
        own.create(RedshiftDestinationConfiguration=redshift(own, postgres, table, "json 'auto'")),
        own.create(AmazonopensearchserviceDestinationConfiguration=search_of(own, search.server.url, index)),
    ]
    total = 0
    for kill in range(KILLS):
        for _ in range(4):
            batch = [json.dumps({"id": number}).encode() for number in range(total, total + BATCH)]
            for name in streams:
                own.put(name, batch)
            total += BATCH
        # Some of it is on its way, the more so the later the kill.
        eventually(lambda least=total - BATCH * (4 - kill): len(postgres.run("SELECT id FROM {}", table)) >= least)
        victim = eventually(lambda: carrier(own))
        victim.kill()
    rows = eventually(lambda: len(found := postgres.run("SELECT id FROM {} ORDER BY id", table)) >= total and found)
    assert rows == [(number,) for number in range(total)]
    documents = eventually(lambda: len(found := search.documents(index)) >= total and found)
    assert sorted(document["id"] for document in documents.values()) == list(range(total))
    assert not own.objects("staged/errors/")
    postgres.run("DROP TABLE {}", table)
