"""Every backend of the online store keeps the promises of `clary.kernel.online.contract`."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from tests.conformance.online.conftest import Journaled

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.ids import short_id
from clary.kernel.online import (
    HARD_DELETE,
    PUT,
    REPLACE,
    SOFT_DELETE,
    Item,
    OnlineStore,
    OnlineStoreError,
    Outcome,
    Size,
    Write,
    open_online,
)

T = TypeVar("T")
SECOND = 10**9
APPLIED, OLDER, CHANGED, GONE = Outcome.APPLIED, Outcome.OLDER, Outcome.CHANGED, Outcome.GONE


def done(what: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(what)


@pytest.fixture
def group(store: OnlineStore) -> str:
    name = short_id()
    store.open(name)
    return name


def test_decides_by_event_time(store: OnlineStore, group: str) -> None:
    async def scenario() -> list[Outcome]:
        return [
            await store.write(Write(group, "k", PUT, 5 * SECOND, data=b"five")),
            await store.write(Write(group, "k", PUT, 5 * SECOND, data=b"again")),
            await store.write(Write(group, "k", PUT, 5 * SECOND + 1, data=b"a nanosecond later")),
            await store.write(Write(group, "k", SOFT_DELETE, 5 * SECOND)),
            await store.write(Write(group, "k", SOFT_DELETE, 6 * SECOND)),
            await store.write(Write(group, "k", PUT, 6 * SECOND, data=b"six")),
            await store.write(Write(group, "k", HARD_DELETE, 6 * SECOND)),
            await store.write(Write(group, "k", HARD_DELETE, 7 * SECOND)),
            await store.write(Write(group, "k", PUT, -3 * SECOND, data=b"before 1970")),
            await store.write(Write(group, "absent", HARD_DELETE, 1)),
        ]

    assert done(scenario()) == [
        APPLIED, OLDER, APPLIED, OLDER, APPLIED, OLDER, OLDER, APPLIED, APPLIED, APPLIED,
    ]  # fmt: skip
    assert done(store.get(group, "k")) == Item(-3 * SECOND, 0.0, False, b"before 1970")
    assert done(store.get(group, "absent")) is None


def test_forgets_what_expired_and_says_farewell(
    store: OnlineStore, group: str, clock: VirtualClock, journal: Journaled
) -> None:
    now = clock.now()

    async def scenario() -> None:
        for key, expires in (("soon", now + 1.5), ("later", now + 100), ("never", 0.0), ("put anew", now + 1)):
            await store.write(Write(group, key, PUT, 9 * SECOND, expires, key.encode()))

    done(scenario())
    assert done(store.get(group, "soon")) == Item(9 * SECOND, now + 1.5, False, b"soon")
    clock.advance(2)
    assert done(store.get_many([(group, "soon"), (group, "never")])) == [None, Item(9 * SECOND, 0.0, False, b"never")]
    assert done(store.write(Write(group, "put anew", PUT, 3 * SECOND, data=b"older"))) is APPLIED
    assert store.size(group).records == 4
    keys, more = store.keys(group, limit=10)
    assert (sorted(keys), more) == (["later", "never", "put anew"], None)

    def farewell(name: str, key: str, item: Item) -> bytes:
        return f"{key} at {item.expires - now}".encode()

    assert store.clear_expired(10, farewell) == 1
    assert store.clear_expired(10, farewell) == 0
    assert journal.read() == [f"{group} soon at 1.5"]
    assert store.size(group).records == 3
    assert done(store.get(group, "put anew")) == Item(3 * SECOND, 0.0, False, b"older")


def test_replaces_only_what_is_expected(store: OnlineStore, group: str, journal: Journaled) -> None:
    async def scenario() -> list[Outcome]:
        await store.write(Write(group, "k", PUT, 5, 0.0, b"one"))
        there = await store.get(group, "k")
        first = Write(group, "k", REPLACE, 5, 0.0, b"two", b"two", if_applied=True, expected=there)
        return [
            await store.write(first),
            await store.write(first._replace(data=b"three", entry=b"three")),
            await store.write(first._replace(key="absent")),
        ]

    assert done(scenario()) == [APPLIED, CHANGED, CHANGED]
    assert journal.read() == [f"{group} two"]
    assert done(store.get(group, "k")) == Item(5, 0.0, False, b"two")


def test_journals_what_a_write_says(opened: Callable[[], OnlineStore], group: str, journal: Journaled) -> None:
    store = opened()
    writes = [
        Write(group, "k", PUT, 5, data=b"x", entry=b"newest"),
        Write(group, "k", PUT, 4, data=b"y", entry=b"historic"),
        Write(group, "k", None, entry=b"offline alone"),
        Write(group, "k", HARD_DELETE, 4, entry=b"too late", if_applied=True),
        Write(group, "k", HARD_DELETE, 6, entry=b"gone", if_applied=True),
        Write("unknown", "k", PUT, 6, entry=b"of nobody"),
    ]
    outcomes = done(store.write_many(writes))
    assert outcomes == [APPLIED, OLDER, APPLIED, OLDER, APPLIED, GONE]
    assert journal.read() == [f"{group} {entry}" for entry in ("newest", "historic", "offline alone", "gone")]


def test_counts_and_lists_and_drops(opened: Callable[[], OnlineStore], group: str) -> None:
    store, other = opened(), short_id()
    store.open(other)
    store.open(group)
    keys = [f"{number} \u2603" for number in range(30)]

    async def fill() -> None:
        await asyncio.gather(*(store.write(Write(group, key, PUT, 5, 0.0, b"12345")) for key in keys))
        await store.write(Write(other, keys[0], PUT, 5, 0.0, b"other"))
        await store.write(Write(group, keys[0], SOFT_DELETE, 6))
        await store.write(Write(group, keys[1], HARD_DELETE, 6))
        await store.write(Write(group, keys[2], PUT, 6, 0.0, b"123"))

    done(fill())
    one = store.size(other)
    assert one.records == 1
    in_all = sum(len(key.encode()) for key in keys) - len(keys[1].encode())
    header = one.bytes - len(keys[0].encode()) - 5
    assert store.size(group) == Size(29, in_all + 29 * header + 5 * 27 + 3)
    for deleted, expected in ((False, keys[2:]), (True, [keys[0], *keys[2:]])):
        listed: list[str] = []
        position = None
        while not listed or position is not None:
            page, position = store.keys(group, after=position, limit=4, deleted=deleted)
            assert len(page) <= 4
            listed += page
        assert sorted(listed) == sorted(expected)
    store.drop(group)
    store.drop(group)
    assert store.size(group) == Size(0, 0)
    assert done(store.get(group, keys[3])) is None
    assert done(store.write(Write(group, keys[3], PUT, 9))) is GONE
    assert done(store.get(other, keys[0])) == Item(5, 0.0, False, b"other")


def test_says_what_is_wrong_with_its_place(journal: Journaled, clock: VirtualClock) -> None:
    with pytest.raises(OnlineStoreError, match="is no place"):
        open_online(journal.kv, clock, journal.append, "http://somewhere")
    store = open_online(journal.kv, clock, journal.append, "redis://127.0.0.1:9")
    with pytest.raises(OnlineStoreError, match="cannot be reached"):
        done(store.get("group", "key"))
    store.close()
