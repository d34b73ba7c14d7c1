"""Every key-value backend keeps the promises of `clary.kernel.kv.contract`.

A backend joins by adding to `BACKENDS` what opens a domain in a directory.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.kernel.kv import open_kv
from clary.kernel.kv.contract import MAX_KEY_BYTES, KeyValue, KeyValueError, Transaction, after_prefix
from clary.kernel.kv.group_commit import GroupCommit, Outcome
from clary.kernel.kv.lmdb import open_lmdb

BACKENDS = {"lmdb": open_lmdb}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kv(backend: str, tmp_path: Path) -> Iterator[KeyValue]:
    with closing(BACKENDS[backend](tmp_path / "things")) as opened:
        yield opened


def put(kv: KeyValue, **pairs: str) -> None:
    kv.write(lambda tx: [tx.put(key.encode(), value.encode()) for key, value in pairs.items()])


def test_returns_what_was_written(kv: KeyValue) -> None:
    put(kv, a="1", b="")
    assert kv.get(b"a") == b"1"
    assert kv.get(b"b") == b""
    assert kv.get(b"c") is None
    assert kv.get(b"") is None


def test_write_returns_the_result_of_the_change_which_sees_its_own_writes(kv: KeyValue) -> None:
    def change(tx: Transaction) -> list[tuple[bytes, bytes]]:
        tx.put(b"a", b"1")
        tx.put(b"b", b"2")
        assert tx.delete(b"a") is True
        assert tx.delete(b"a") is False
        assert tx.get(b"b") == b"2"
        return list(tx.scan())

    assert kv.write(change) == [(b"b", b"2")]


def test_a_change_that_raises_leaves_nothing_and_the_others_of_its_commit_remain(kv: KeyValue) -> None:
    put(kv, kept="old", gone="old")
    long = b"l" * 2000

    def bad(tx: Transaction) -> None:
        tx.put(b"kept", b"new")
        tx.put(b"kept", b"newer")
        tx.put(b"added", b"new")
        tx.put(long, b"new")
        tx.delete(b"gone")
        raise LookupError("refused")

    async def run() -> list[object]:
        return await asyncio.gather(
            kv.write_async(lambda tx: tx.put(b"before", b"1")),
            kv.write_async(bad),
            kv.write_async(lambda tx: tx.put(b"after", b"1")),
            return_exceptions=True,
        )

    assert isinstance(asyncio.run(run())[1], LookupError)
    with pytest.raises(LookupError, match="refused"):
        kv.write(bad)
    assert dict(kv.scan()) == {b"kept": b"old", b"gone": b"old", b"before": b"1", b"after": b"1"}


def test_refuses_keys_nobody_could_store(kv: KeyValue) -> None:
    for key in (b"", b"x" * (MAX_KEY_BYTES + 1)):
        with pytest.raises(ValueError, match="a key must have"):
            kv.write(lambda tx, key=key: tx.put(key, b""))
    kv.write(lambda tx: tx.put(b"x" * MAX_KEY_BYTES, b"1"))
    assert kv.get(b"x" * MAX_KEY_BYTES) == b"1"


def test_scans_in_byte_order_between_bounds(kv: KeyValue) -> None:
    put(kv, a="", b="", ba="", c="", d="")
    assert [key for key, _ in kv.scan(b"b", b"d")] == [b"b", b"ba", b"c"]
    assert [key for key, _ in kv.scan(b"b", b"d", reverse=True)] == [b"c", b"ba", b"b"]
    assert [key for key, _ in kv.scan(b"b", limit=2)] == [b"b", b"ba"]
    assert [key for key, _ in kv.scan(reverse=True, limit=2)] == [b"d", b"c"]
    assert list(kv.scan(limit=0)) == []
    assert list(kv.scan(b"x")) == list(kv.scan(b"", b"a")) == []


def test_scans_more_than_one_batch_both_ways(kv: KeyValue) -> None:
    keys = [f"{n:05}".encode() for n in range(2500)]
    kv.write(lambda tx: [tx.put(key, b"v") for key in keys])
    assert [key for key, _ in kv.scan()] == keys
    assert [key for key, _ in kv.scan(reverse=True)] == keys[::-1]
    assert [key for key, _ in kv.scan(limit=1700)] == keys[:1700]


def test_a_change_may_delete_what_it_scans(kv: KeyValue) -> None:
    kv.write(lambda tx: [tx.put(f"{n:05}".encode(), b"v") for n in range(2500)])
    kv.write(lambda tx: [tx.delete(key) for key, _ in tx.scan()])
    assert list(kv.scan()) == []


def test_read_sees_one_state_while_others_write(kv: KeyValue) -> None:
    put(kv, a="1")
    seen, written = threading.Event(), threading.Event()

    def write() -> None:
        seen.wait(120)
        put(kv, a="2")
        written.set()

    writer = threading.Thread(target=write)
    writer.start()

    def look(snapshot: Transaction) -> tuple[bytes | None, bytes | None]:
        first = snapshot.get(b"a")
        seen.set()
        written.wait(120)
        return first, snapshot.get(b"a")

    assert kv.read(look) == (b"1", b"1")
    writer.join()
    assert kv.get(b"a") == b"2"


def test_after_prefix_is_the_first_key_beyond() -> None:
    assert after_prefix(b"ab") == b"ac"
    assert after_prefix(b"a\xff") == b"b"
    assert after_prefix(b"\xff") is None


def test_clear_empties_one_domain_and_no_other(kv: KeyValue, backend: str, tmp_path: Path) -> None:
    with closing(BACKENDS[backend](tmp_path / "others")) as other:
        put(kv, a="1")
        put(other, a="2")
        kv.clear()
        assert list(kv.scan()) == []
        assert other.get(b"a") == b"2"


def test_a_home_has_domains_by_name(tmp_path: Path) -> None:
    with closing(open_kv(tmp_path, "logs")) as first, closing(open_kv(tmp_path, "logs")) as second:
        put(first, a="1")
        assert second.get(b"a") == b"1"
    for name in ("", "../x", ".x", "a/b"):
        with pytest.raises(ValueError, match="cannot name"):
            open_kv(tmp_path, name)


def test_a_domain_opened_twice_lives_until_its_last_close(kv: KeyValue, backend: str, tmp_path: Path) -> None:
    BACKENDS[backend](tmp_path / "things").close()
    put(kv, a="1")
    assert kv.get(b"a") == b"1"


def test_everything_is_there_after_reopening_and_a_closed_domain_says_so(backend: str, tmp_path: Path) -> None:
    kv = BACKENDS[backend](tmp_path)
    put(kv, a="1")
    kv.close()
    with pytest.raises(KeyValueError, match="closed"):
        kv.get(b"a")
    with pytest.raises(KeyValueError, match="closed"):
        put(kv, a="2")
    with closing(BACKENDS[backend](tmp_path)) as reopened:
        assert reopened.get(b"a") == b"1"


def test_what_is_queued_when_all_is_over_is_refused() -> None:
    """A writer finds the group open, and it is closed before the item is in the queue."""

    class Late(SimpleQueue[Any]):
        def put(self, item: Any, *more: Any) -> None:
            if item is not None and item.item == "late":
                group.close()
            super().put(item, *more)

    group: GroupCommit[str] = GroupCommit("late", lambda items: [Outcome(item, None) for item in items])
    group._queue = Late()
    assert group.run("early") == "early"
    with pytest.raises(KeyValueError, match="closed"):
        group.run("late")


def test_concurrent_increments_from_threads_and_a_loop_are_all_counted(kv: KeyValue) -> None:
    def increment(tx: Transaction) -> int:
        count = int(tx.get(b"n") or b"0") + 1
        tx.put(b"n", str(count).encode())
        return count

    threads = [threading.Thread(target=lambda: [kv.write(increment) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()

    async def run() -> list[int]:
        return await asyncio.gather(*(kv.write_async(increment) for _ in range(200)))

    results = asyncio.run(run())
    for thread in threads:
        thread.join()
    assert len(set(results)) == 200
    assert kv.get(b"n") == b"300"


# Alphabets and lengths that meet the borders of the encoding of long keys.
_long_keys = st.builds(
    lambda stem, length, tail: (stem * MAX_KEY_BYTES)[:length] + tail,
    st.sampled_from([b"a", b"ab", b"\xff"]),
    st.sampled_from([0, 1, 2, 502, 503, 504, 509, 510, 511, 512, 1013, 1014, 1015, 1016, 1500]),
    st.binary(max_size=2),
).filter(lambda key: 0 < len(key) <= MAX_KEY_BYTES)


@pytest.mark.parametrize("name", BACKENDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_long_keys_behave_like_a_sorted_dict(
    data: st.DataObject, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model: dict[bytes, bytes] = {}
    with closing(BACKENDS[name](tmp_path_factory.mktemp("kv"))) as kv:
        added = data.draw(st.lists(_long_keys, min_size=1, max_size=30))
        kv.write(lambda tx: [tx.put(key, key[-3:]) for key in added])
        model.update((key, key[-3:]) for key in added)
        removed = data.draw(st.lists(st.sampled_from(added), max_size=10))
        was_there = kv.write(lambda tx: [tx.delete(key) for key in removed])
        assert was_there == [model.pop(key, None) is not None for key in removed]
        for key in [*added, data.draw(_long_keys)]:
            assert kv.get(key) == model.get(key)
        start = data.draw(st.one_of(st.just(b""), _long_keys, st.sampled_from(added)))
        end = data.draw(st.one_of(st.none(), _long_keys, st.sampled_from(added)))
        wanted = [pair for pair in sorted(model.items()) if start <= pair[0] and (end is None or pair[0] < end)]
        assert list(kv.scan(start, end)) == wanted
        assert list(kv.scan(start, end, reverse=True)) == wanted[::-1]
        kv.write(lambda tx: [tx.delete(key) for key in model])
        assert list(kv.scan()) == []


def child(program: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start a Python process that runs `program` with `arguments`, its output piped."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_processes_share_a_domain(backend: str, tmp_path: Path) -> None:
    program = f"""
        import sys
        from pathlib import Path
        from {BACKENDS[backend].__module__} import {BACKENDS[backend].__name__} as open_domain
        kv = open_domain(Path(sys.argv[1]))
        for _ in range(40):
            kv.write(lambda tx: tx.put(b"n", b"%d" % (int(tx.get(b"n") or b"0") + 1)))
    """
    children = [child(program, tmp_path) for _ in range(3)]
    for process in children:
        process.communicate()
        assert process.returncode == 0
    with closing(BACKENDS[backend](tmp_path)) as kv:
        assert kv.get(b"n") == b"120"


def test_kill_9_at_a_random_moment_loses_nothing_acknowledged(backend: str, tmp_path: Path) -> None:
    program = f"""
        import sys, threading
        from pathlib import Path
        from {BACKENDS[backend].__module__} import {BACKENDS[backend].__name__} as open_domain
        kv = open_domain(Path(sys.argv[1]))
        def work(name):
            n = 0
            while True:
                n += 1
                pair = b"%d/%06d" % (name, n)
                kv.write(lambda tx: (tx.put(b"a/" + pair, pair * 50), tx.put(b"b/" + pair, pair * 50)))
                sys.stdout.buffer.write(pair + b"\\n")
                sys.stdout.buffer.flush()
        for name in range(4):
            threading.Thread(target=work, args=(name,)).start()
    """
    moments = random.Random(7)
    acknowledged: set[bytes] = set()
    for round_number in range(4):
        process = child(program, tmp_path / str(round_number))
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(moments.randrange(1, 300))]
        process.send_signal(signal.SIGKILL)
        lines += process.communicate()[0].splitlines(keepends=True)
        acknowledged = {line.strip() for line in lines if line.endswith(b"\n")}
        with closing(BACKENDS[backend](tmp_path / str(round_number))) as kv:
            stored = dict(kv.scan())
            assert acknowledged
            for pair in acknowledged:
                assert stored[b"a/" + pair] == stored[b"b/" + pair] == pair * 50
            assert {key[2:] for key in stored if key.startswith(b"a/")} == {
                key[2:] for key in stored if key.startswith(b"b/")
            }
            put(kv, works="still")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_reads_and_writes_on_its_own(kv: KeyValue) -> None:
    put(kv, a="1")
    pid = os.fork()
    if pid == 0:
        try:
            good = kv.get(b"a") == b"1"
            put(kv, b="2")
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    put(kv, c="3")
    assert os.waitpid(pid, 0)[1] == 0
    assert dict(kv.scan()) == {b"a": b"1", b"b": b"2", b"c": b"3"}


class TestLmdbMap:
    """What only LMDB has: a map of limited size, shared by processes that cannot see each other's growth."""

    def test_grows_when_full_and_applies_each_change_once(self, tmp_path: Path) -> None:
        with closing(open_lmdb(tmp_path, map_bytes=256 * 1024)) as kv:
            for n in range(50):
                kv.write(lambda tx, n=n: tx.put(b"%03d" % n, bytes(40_000)))
            sizes = [len(value) for _, value in kv.scan()]
            assert sizes == [40_000] * 50
            counts = [kv.write(lambda tx: len(list(tx.scan()))), len(list(kv.scan()))]
            assert counts == [50, 50]

    def test_follows_another_process_that_grew_it(self, tmp_path: Path) -> None:
        program = """
            import sys
            from pathlib import Path
            from clary.kernel.kv.lmdb import open_lmdb
            kv = open_lmdb(Path(sys.argv[1]), map_bytes=256 * 1024)
            kv.write(lambda tx: [tx.put(b"%04d" % n, bytes(40_000)) for n in range(100)])
            kv.close()
        """
        with closing(open_lmdb(tmp_path, map_bytes=256 * 1024)) as kv:
            kv.write(lambda tx: tx.put(b"a", b"1"))
            process = child(program, tmp_path)
            process.communicate()
            assert process.returncode == 0
            assert len(list(kv.scan())) == 101
            kv.write(lambda tx: tx.put(b"b", bytes(400_000)))
            keys = [key for key, _ in kv.scan(b"a")]
            assert keys == [b"a", b"b"]
            assert all(first < second for first, second in pairwise(key for key, _ in kv.scan()))
