"""Observers are told of every change of status, once all is well, in order, and of each though some fail."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from clary.kernel.core.clock import SystemClock
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.kernel.rooms.observing import told
from clary.kernel.store import Change, Conflict, Entry, Table, record
from clary.kernel.store.changes import Observers
from clary.kernel.store.sql import open_sqlite


@record("observed_thing", version=1)
@dataclass(frozen=True, slots=True)
class Thing:
    size: int


class Home:
    """A platform whose things are observed by `topic`, and what was rung."""

    def __init__(self, folder: Path) -> None:
        self.platform = Platform(Settings.load({}, home=str(folder), ephemeral=True))
        self.rung: list[str] = []
        observers = Observers({"observed_thing": ["topic"]}, self.rung.append)
        self.platform.__dict__["store"] = open_sqlite(folder / "records.db")
        self.things: Table[Thing] = Table(self.platform.store, SystemClock(), Thing, "1", "r", observers)

    def kept(self) -> list[Entry[Change]]:
        return self.platform.records(Change).all()


@pytest.fixture
def home(tmp_path: Path):
    home = Home(tmp_path)
    yield home
    home.platform.close()


def test_each_status_is_told_as_the_record_then_was(home: Home) -> None:
    first = home.things.create("a", Thing(1), status="InProgress")
    second = home.things.replace(first, Thing(2))
    home.things.replace(second, Thing(3), status="Completed")
    home.things.update("a", lambda thing: Thing(4), told=True)
    assert home.rung == ["topic"] * 3
    seen: list[Change] = []
    told("topic", lambda _, changes: seen.extend(changes))(home.platform, None)
    assert [(one.was, one.status, one.entry(Thing).value.size) for one in seen] == [
        (None, "InProgress", 1),
        ("InProgress", "Completed", 3),
        ("Completed", "Completed", 4),
    ]
    assert seen[1].entry(Thing).version == 3
    assert len({one.uid for one in seen}) == 3
    assert home.kept() == []


def test_a_write_that_fails_tells_nothing(home: Home) -> None:
    entry = home.things.create("a", Thing(1), status="InProgress")
    home.things.replace(entry, Thing(2))
    with pytest.raises(Conflict):
        home.things.replace(entry, Thing(3), status="Completed")
    assert len(home.kept()) == 1


def test_what_cannot_be_taken_is_told_again_in_order_and_holds_up_no_other(home: Home) -> None:
    for name in ("good", "bad", "fine"):
        home.things.create(name, Thing(1), status="InProgress")
        home.things.update(name, lambda thing: Thing(2), status=lambda _: "Completed")
    taken: list[tuple[str, str]] = []
    broken = True

    def observe(_: Platform, changes: list[Change]) -> None:
        for change in changes:
            if change.name == "bad" and broken:
                raise RuntimeError("not now")
        taken.extend((change.name, change.status) for change in changes)

    reconcile = told("topic", observe)
    assert reconcile(home.platform, None) is not None
    assert taken == [(name, status) for name in ("good", "fine") for status in ("InProgress", "Completed")]
    assert [entry.value.name for entry in home.kept()] == ["bad", "bad"]
    broken = False
    assert reconcile(home.platform, None) is None
    assert taken[4:] == [("bad", "InProgress"), ("bad", "Completed")]
    assert home.kept() == []
