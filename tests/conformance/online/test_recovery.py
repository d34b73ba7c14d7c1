"""What is pending when Redis cannot be reached is completed when it can, once; and what Redis forgot is begun anew."""

import asyncio
from pathlib import Path

import pytest
from tests.conformance.online.conftest import Journaled, redis_server

from clary.kernel.core.clock import VirtualClock
from clary.kernel.online import HARD_DELETE, PUT, Item, OnlineStoreError, Outcome, Write, open_online


def test_pending_writes_are_carried_out_once(tmp_path: Path, journal: Journaled, clock: VirtualClock) -> None:
    put = Write("g", "k", PUT, 5, 0.0, b"put", b"put")
    delete = Write("g", "gone", HARD_DELETE, 7, entry=b"deleted", if_applied=True)
    with redis_server(tmp_path) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        store = open_online(journal.kv, clock, journal.append, url)
        store.open("g")
        asyncio.run(store.write(Write("g", "gone", PUT, 6, 0.0, b"x")))
    for write in (put, delete):
        with pytest.raises(OnlineStoreError, match="cannot be reached"):
            asyncio.run(store.write(write))
    assert journal.read() == ["g put"]
    with redis_server(tmp_path, port):
        store.recover()
        assert asyncio.run(store.get("g", "k")) is None, "whoever began it may still be at it"
        clock.advance(60)
        store.recover()
        assert asyncio.run(store.get("g", "k")) == Item(5, 0.0, False, b"put")
        assert asyncio.run(store.get("g", "gone")) is None
        assert asyncio.run(store.write(Write("g", "gone", PUT, 1, 0.0, b"older"))) is Outcome.APPLIED
        clock.advance(60)
        store.recover()
        assert asyncio.run(store.get("g", "gone")) == Item(1, 0.0, False, b"older")
        assert journal.read() == ["g put", "g deleted"]
    (tmp_path / "empty").mkdir()
    with redis_server(tmp_path / "empty", port):
        assert asyncio.run(store.get("g", "k")) is None
        assert asyncio.run(store.write(put)) is Outcome.APPLIED
        assert asyncio.run(store.get("g", "k")) == Item(5, 0.0, False, b"put")
        store.close()
