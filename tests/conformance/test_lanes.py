"""The durable queues of `clary.kernel.kv.lanes` keep their promises, and lie where homes have them."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.kernel.kv import KeyValue, Transaction, open_kv
from clary.kernel.kv.lanes import Lanes, order_of

LANES = Lanes(b"d", payloads=b"m")


@pytest.fixture
def kv(tmp_path: Path) -> Iterator[KeyValue]:
    with closing(open_kv(tmp_path, "things", durable=False)) as opened:
        yield opened


def packed(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "big") for number in numbers)


def post(tx: Transaction, orders: dict[str, int], payload: bytes) -> int:
    number = LANES.take_numbers(tx)
    LANES.add(tx, number, [(lane, order, b"for " + lane.encode()) for lane, order in orders.items()], payload)
    return number


def test_what_is_stored_lies_where_homes_have_it(kv: KeyValue) -> None:
    assert kv.write(lambda tx: LANES.take_numbers(tx, 6)) == 1
    assert kv.write(lambda tx: post(tx, {"a/b": 5, "c": 9}, b"news")) == 7
    assert dict(kv.scan()) == {
        b"d" + b"a/b\0" + packed(5, 7): b"for a/b",
        b"d" + b"c\0" + packed(9, 7): b"for c",
        b"m" + packed(7): b"news",
        b"c" + packed(7): packed(2),
        b"n": packed(7),
    }


def test_what_brings_no_payload_is_not_counted(kv: KeyValue) -> None:
    alone = Lanes(b"e")
    kv.write(lambda tx: alone.add(tx, alone.take_numbers(tx), [("a", 5, b"news")]))
    key = alone.key("a", 5, 1)
    assert dict(kv.scan()) == {b"e" + b"a\0" + packed(5, 1): b"news", b"n": packed(1)}
    kv.write(lambda tx: alone.settle(tx, (), [(key, 6, b"old news")]))
    assert list(alone.scan(kv, "a")) == [(alone.key("a", 6, 1), b"old news")]
    alone.drop(kv, "a")
    assert dict(kv.scan()) == {b"n": packed(1)}


def test_a_commit_that_fails_settles_nothing(kv: KeyValue) -> None:
    number = kv.write(lambda tx: post(tx, {"a": 1, "b": 1}, b"news"))
    before = dict(kv.scan())

    def fail(tx: Transaction) -> None:
        LANES.settle(tx, [LANES.key("a", 1, number)], [(LANES.key("b", 1, number), 2, b"later")])
        raise LookupError

    with suppress(LookupError):
        kv.write(fail)
    assert dict(kv.scan()) == before


_names = st.sampled_from(["a", "a/b", "b", "\N{SNOWMAN}"])
_orders = st.integers(0, 3) | st.just(2**64 - 1)
_steps = st.one_of(
    st.tuples(st.just("post"), st.dictionaries(_names, _orders)),
    st.tuples(st.just("settle"), st.lists(st.integers(0, 9), max_size=3)),
    st.tuples(st.just("put off"), st.tuples(st.integers(0, 9), _orders)),
    st.tuples(st.just("drop"), _names),
)


@given(steps=st.lists(_steps, max_size=25))
@settings(max_examples=80, deadline=None)
def test_lanes_behave_like_sorted_lists(
    steps: list[tuple[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    waiting: set[tuple[str, int, int]] = set()
    seen: list[tuple[str, int, int]] = []  # those that have left among them
    with closing(open_kv(tmp_path_factory.mktemp("kv"), "things", durable=False)) as kv:
        for step, what in steps:
            if step == "post":
                number = kv.write(lambda tx, what=what: post(tx, what, b"news"))
                seen += [(lane, order, number) for lane, order in what.items()]
                waiting.update(seen[len(seen) - len(what) :])
            elif step == "settle":
                done = [seen[each % len(seen)] for each in what] if seen else []
                kv.write(lambda tx, done=done: LANES.settle(tx, [LANES.key(*each) for each in done]))
                waiting.difference_update(done)
            elif step == "put off" and seen:
                lane, order, number = seen[what[0] % len(seen)]
                again = [(LANES.key(lane, order, number), what[1], b"for " + lane.encode())]
                kv.write(lambda tx, again=again: LANES.settle(tx, (), again))
                if (lane, order, number) in waiting:
                    waiting.remove((lane, order, number))
                    seen.append((lane, what[1], number))
                    waiting.add(seen[-1])
            elif step == "drop":
                LANES.drop(kv, what)
                waiting = {each for each in waiting if each[0] != what}
        assert LANES.names(kv) == sorted({lane for lane, _, _ in waiting}, key=str.encode)
        for lane in LANES.names(kv):
            found = list(LANES.scan(kv, lane))
            assert [key for key, _ in found] == [LANES.key(*each) for each in sorted(waiting) if each[0] == lane]
            assert {data for _, data in found} == {b"for " + lane.encode()}
            assert [order_of(key) for key, _ in found] == [order for name, order, _ in sorted(waiting) if name == lane]
        numbers = {number for _, _, number in waiting}
        assert {number for _, _, number in seen if LANES.payload(kv, number)} == numbers
        posted = any(step == "post" for step, _ in steps)
        assert len(list(kv.scan())) == len(waiting) + 2 * len(numbers) + posted
