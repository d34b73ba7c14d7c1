"""Puts, deletions, replacements, time and drops in any order: both backends do what a dictionary would."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.conformance.online.conftest import BACKENDS, Journaled

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.ids import short_id
from clary.kernel.kv import open_kv
from clary.kernel.online import HARD_DELETE, PUT, REPLACE, SOFT_DELETE, Item, Outcome, Write, open_online

T = TypeVar("T")
KEYS = st.sampled_from(["a", "b", "\u00e9"])
EVENTS = st.sampled_from([-1, 0, 1, 1_700_000_000 * 10**9, 1_700_000_000 * 10**9 + 1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_is_a_dictionary_ordered_by_event_time(backend: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("redis_url") if backend == "redis" else ""
    examples = settings(max_examples=40, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(lambda: Machine(url), settings=examples)


class Machine(RuleBasedStateMachine):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.clock = VirtualClock()
        self.kv = open_kv(Path(self.folder.name), "features", durable=False)
        self.journal = Journaled(self.kv)
        self.loop = asyncio.new_event_loop()
        self.store = open_online(self.kv, self.clock, self.journal.append, url)
        self.begin()

    def begin(self) -> None:
        self.group = short_id()
        self.store.open(self.group)
        self.model: dict[str, Item] = {}
        self.said: list[str] = []
        self.before = len(self.journal.read())

    def teardown(self) -> None:
        self.store.close()
        self.kv.close()
        self.loop.close()
        self.folder.cleanup()

    def done(self, what: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(what)

    def there(self, key: str) -> Item | None:
        item = self.model.get(key)
        return None if item is None or (item.expires and item.expires <= self.clock.now()) else item

    def write(self, write: Write) -> None:
        there = self.there(write.key)
        if write.kind == REPLACE:
            expected = Outcome.APPLIED if there == write.expected else Outcome.CHANGED
        else:
            expected = Outcome.APPLIED if there is None or write.event > there.event else Outcome.OLDER
        assert self.done(self.store.write(write)) is expected
        if write.entry is not None and (expected is Outcome.APPLIED or not write.if_applied):
            self.said.append(write.entry.decode())
        if expected is Outcome.APPLIED and write.kind == HARD_DELETE:
            self.model.pop(write.key, None)
        elif expected is Outcome.APPLIED:
            soft = write.kind == SOFT_DELETE
            self.model[write.key] = Item(write.event, 0.0 if soft else write.expires, soft, write.data)

    @rule(
        key=KEYS, event=EVENTS, ttl=st.sampled_from([None, -1, 3, 30]), data=st.binary(max_size=3), logged=st.booleans()
    )
    def put(self, key: str, event: int, ttl: int | None, data: bytes, logged: bool) -> None:
        expires = 0.0 if ttl is None else self.clock.now() + ttl
        self.write(Write(self.group, key, PUT, event, expires, data, b"put" if logged else None))

    @rule(key=KEYS, event=EVENTS, hard=st.booleans())
    def delete(self, key: str, event: int, hard: bool) -> None:
        kind = HARD_DELETE if hard else SOFT_DELETE
        self.write(Write(self.group, key, kind, event, entry=b"deleted", if_applied=hard))

    @rule(key=KEYS, event=EVENTS, stale=st.booleans())
    def replace(self, key: str, event: int, stale: bool) -> None:
        there = self.there(key)
        if there is not None:
            expected = there._replace(data=there.data + b"!") if stale else there
            self.write(Write(self.group, key, REPLACE, event, 0.0, b"new", b"new", if_applied=True, expected=expected))

    @rule(seconds=st.sampled_from([1, 5, 60]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.store.recover()

    @rule()
    def clear(self) -> None:
        expired = [key for key in self.model if self.there(key) is None]
        cleared = self.store.clear_expired(100, lambda _, key, __: f"farewell {key}".encode())
        assert cleared == len(expired)
        assert sorted(self.journal.read()[self.before + len(self.said) :]) == sorted(
            f"{self.group} farewell {key}" for key in expired
        )
        self.said += [entry.partition(" ")[2] for entry in self.journal.read()[self.before + len(self.said) :]]
        for key in expired:
            del self.model[key]

    @rule()
    def drop(self) -> None:
        self.store.drop(self.group)
        assert self.done(self.store.get(self.group, "a")) is None
        assert self.done(self.store.write(Write(self.group, "a", PUT, entry=b"x"))) is Outcome.GONE
        self.begin()

    @invariant()
    def has_what_the_dictionary_has(self) -> None:
        keys = ["a", "b", "\u00e9"]
        found = self.done(self.store.get_many([(self.group, key) for key in keys]))
        assert found == [self.there(key) for key in keys]
        assert self.store.size(self.group).records == len(self.model)
        listed, _ = self.store.keys(self.group, limit=10)
        assert sorted(listed) == [key for key in keys if (item := self.there(key)) and not item.deleted]
        assert self.journal.read()[self.before :] == [f"{self.group} {entry}" for entry in self.said]
