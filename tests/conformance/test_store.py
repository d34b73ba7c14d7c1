"""What every record store promises, tested on each."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clary.kernel.store.contract import AlreadyExists, Conflict, Delete, Insert, Key, Query, Replace, Row, Store
from clary.kernel.store.sql import open_sqlite

BACKENDS: dict[str, Callable[[Path], Store]] = {"sqlite": lambda folder: open_sqlite(folder / "records.db")}


@pytest.fixture(params=sorted(BACKENDS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = BACKENDS[request.param](tmp_path)
    yield opened
    opened.close()


def row(name: str, *, kind: str = "thing", account: str = "1", region: str = "r", body: bytes = b"{}", **more) -> Row:
    envelope = {"schema": 1, "status": "", "parent": "", "created_at": 1.0, "updated_at": 1.0, "version": 0} | more
    return Row(Key(kind, account, region, name), body, **envelope)


def names(rows: list[Row]) -> list[str]:
    return [found.key.name for found in rows]


def test_what_is_inserted_is_found_with_version_one(store: Store) -> None:
    (written,) = store.apply([Insert(row("a", body=b'{"x":1}'))])
    assert written == store.get(written.key)
    assert (written.version, written.body) == (1, b'{"x":1}')


def test_a_name_is_taken_once_per_scope(store: Store) -> None:
    store.apply([Insert(row("a"))])
    with pytest.raises(AlreadyExists):
        store.apply([Insert(row("a"))])
    store.apply([Insert(row("a", account="2")), Insert(row("a", region="s")), Insert(row("a", kind="other"))])
    assert store.count(Query("thing")) == 3


@pytest.mark.parametrize("prefix", ["a", "a\ud7ff", "a\U0010ffff", "\U0010ffff"])
def test_a_prefix_may_end_in_any_character(store: Store, prefix: str) -> None:
    below = [prefix, f"{prefix}\ue000", f"{prefix}\U0010ffff"]
    store.apply([Insert(row(name)) for name in [*below, "A", "b"]])
    assert names(store.select(Query("thing", name_prefix=prefix))) == below


def test_replace_demands_the_version_that_was_read(store: Store) -> None:
    (first,) = store.apply([Insert(row("a"))])
    (second,) = store.apply([Replace(first)])
    assert second.version == 2
    with pytest.raises(Conflict):
        store.apply([Replace(first)])
    with pytest.raises(Conflict):
        store.apply([Delete(first.key, first.version)])
    store.apply([Delete(first.key, 2)])
    assert store.get(first.key) is None
    with pytest.raises(Conflict):
        store.apply([Delete(first.key)])


def test_changes_apply_together_or_not_at_all(store: Store) -> None:
    store.apply([Insert(row("a"))])
    with pytest.raises(AlreadyExists):
        store.apply([Insert(row("b")), Delete(Key("thing", "1", "r", "a")), Insert(row("b"))])
    assert names(store.select(Query("thing"))) == ["a"]


def test_selection_filters_sorts_and_continues(store: Store) -> None:
    for index in range(7):
        status = "even" if index % 2 == 0 else "odd"
        store.apply([Insert(row(f"n{index}", status=status, created_at=float(100 - index), parent="p"))])
    assert names(store.select(Query("thing", statuses=("even",)))) == ["n0", "n2", "n4", "n6"]
    assert names(store.select(Query("thing", sort="created_at"))) == [f"n{index}" for index in reversed(range(7))]
    assert names(store.select(Query("thing", created_after=97.0, created_before=98.0))) == ["n2", "n3"]
    assert names(store.select(Query("thing", name_contains="3"))) == ["n3"]
    assert names(store.select(Query("thing", name_prefix="n", parent="p", limit=2))) == ["n0", "n1"]
    after = (97.0, "1", "r", "n3")
    assert names(store.select(Query("thing", sort="created_at", after=after))) == ["n2", "n1", "n0"]
    assert names(store.select(Query("thing", sort="created_at", descending=True, after=after))) == ["n4", "n5", "n6"]


def test_rows_with_equal_sort_values_are_each_seen_once(store: Store) -> None:
    store.apply([Insert(row(f"n{index}")) for index in range(5)])
    seen, after = [], None
    while True:
        page = store.select(Query("thing", sort="created_at", descending=True, after=after, limit=2))
        if not page:
            break
        seen += names(page)
        after = (page[-1].created_at, "1", "r", page[-1].key.name)
    assert seen == ["n4", "n3", "n2", "n1", "n0"]


def test_names_are_taken_literally(store: Store) -> None:
    odd = ["a%b", "a_b", "a'b", "ä", "a\\b", "A"]
    store.apply([Insert(row(name)) for name in odd])
    assert names(store.select(Query("thing", name_contains="%"))) == ["a%b"]
    assert names(store.select(Query("thing", name_contains="_"))) == ["a_b"]
    assert store.count(Query("thing", name_contains="a")) == 4


def test_concurrent_writers_lose_no_update(store: Store) -> None:
    store.apply([Insert(row("counter", body=b"0"))])
    key = Key("thing", "1", "r", "counter")

    def add() -> None:
        for _ in range(20):
            while True:
                found = store.get(key)
                assert found is not None
                try:
                    store.apply([Replace(row("counter", body=b"%d" % (int(found.body) + 1), version=found.version))])
                    break
                except Conflict:
                    continue

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = store.get(key)
    assert found is not None
    assert (found.body, found.version) == (b"80", 81)


def test_readers_wait_for_no_writer(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "records.db")
    store.apply([Insert(row("a"))])
    with contextlib.closing(sqlite3.connect(tmp_path / "records.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM records")
        assert store.get(row("a").key) is not None
        assert (names(store.select(Query("thing"))), store.count(Query("thing"))) == (["a"], 1)
    store.close()


def test_what_was_acknowledged_survives_kill(tmp_path: Path) -> None:
    """A writer prints each name once its write returned, and is killed: every printed name must be there."""
    program = textwrap.dedent("""
        import sys, pathlib
        from clary.kernel.store.contract import Insert, Key, Row
        from clary.kernel.store.sql import open_sqlite
        store = open_sqlite(pathlib.Path(sys.argv[1]))
        number = 0
        while True:
            store.apply([Insert(Row(Key("k", "1", "r", f"{number}"), b"{}", 1, "", "", 1.0, 1.0, 0))])
            print(number, flush=True)
            number += 1
    """)
    path = tmp_path / "records.db"
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        printed = [writer.stdout.readline().strip() for _ in range(50)]
        os.kill(writer.pid, signal.SIGKILL)
        printed += writer.stdout.read().split()
    store = open_sqlite(path)
    assert set(printed) <= set(names(store.select(Query("k"))))
    store.close()
