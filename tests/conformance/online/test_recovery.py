"""What is pending when Redis cannot be reached is completed when it can, once; and what Redis forgot is begun anew."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.online.conftest import Journaled, redis_server

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.ids import short_id
from clary.kernel.online import HARD_DELETE, PUT, Item, OnlineStoreError, Outcome, Write, open_online
from clary.kernel.online.redis import RedisStore
from clary.testing import reserved_port


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


def test_pending_writes_are_carried_out_once(
    tmp_path: Path, port: int, journal: Journaled, clock: VirtualClock
) -> None:
    put = Write("g", "k", PUT, 5, 0.0, b"put", b"put")
    delete = Write("g", "gone", HARD_DELETE, 7, entry=b"deleted", if_applied=True)
    with redis_server(tmp_path, port) as url:
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


def test_who_repeats_what_has_ended_comes_too_late(redis_url: str, journal: Journaled, clock: VirtualClock) -> None:
    """Somebody idle had put a record; it is hard-deleted while the pending put is about to be repeated."""
    store, group = RedisStore(redis_url, journal.kv, clock, journal.append), short_id()
    store.open(group)
    put = Write(group, "k", PUT, 5, 0.0, b"put", b"put")
    asyncio.run(store.write(put))
    (pending,) = [int.from_bytes(key[1:], "big") for key, _ in journal.kv.scan(b"p", b"q")]
    asyncio.run(store.write(Write(group, "k", HARD_DELETE, 6, entry=b"deleted", if_applied=True)))
    asyncio.run(store.write(Write(group, "other", PUT, 1, 0.0, b"x", b"other")))
    store._repeat(put, pending)
    assert asyncio.run(store.get(group, "k")) is None
    store.close()
    assert journal.read() == [f"{group} {entry}" for entry in ("put", "deleted", "other")]
    assert list(journal.kv.scan(b"p", b"q")) == []
