"""What time does to models on demand: uses that nobody ends, models that a service loses, slow loading."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.jobs.contract import OnDemand
from clary.kernel.jobs.on_demand.container import Said
from clary.kernel.jobs.on_demand.shelf import REPORT_SECONDS, NotLoaded, Shelf
from clary.kernel.jobs.on_demand.words import LEASE_SECONDS, Fault, model_id


class Scripted:
    """A disk, a service with room for two models, and telemetry, in memory."""

    def __init__(self) -> None:
        self.has_loaded: set[str] = set()
        self.held: set[str] = set()
        self.counts: list[float] = []
        self.may_load = threading.Event()
        self.may_load.set()

    def fetch(self, name: str) -> bool:
        self.held.add(model_id(name))
        return True

    def remove(self, identity: str) -> None:
        self.held.discard(identity)

    def holds(self, identity: str) -> bool:
        return identity in self.held

    def has(self, identity: str) -> bool:
        return identity in self.has_loaded

    def loaded(self) -> set[str]:
        return set(self.has_loaded)

    def load(self, identity: str, name: str, url: str, timeout_seconds: float) -> Said:
        assert self.may_load.wait(120)
        if len(self.has_loaded) >= 2:
            return Said(507, "no room")
        self.has_loaded.add(identity)
        return Said(200, "")

    def unload(self, identity: str, name: str) -> Said:
        self.has_loaded.discard(identity)
        return Said(200, "")

    def metric(self, namespace: str, dimensions: object, values: list[tuple[str, float, float]], unit: str) -> None:
        self.counts += [value for name, value, _ in values if name == "LoadedModelCount"]

    def log(self, group: str, stream: str, events: object) -> None:
        raise AssertionError("a shelf has nothing to log")


@contextmanager
def shelf(**members: bool) -> Iterator[tuple[Shelf, Scripted, VirtualClock]]:
    world, clock = Scripted(), VirtualClock()
    spec = OnDemand("s3://bucket/prefix/", count_namespace="Counts", **members)
    made = Shelf(spec, world, world, "/opt/ml", world, clock, lambda *_: None)  # type: ignore[arg-type]
    try:
        yield made, world, clock
    finally:
        made.close()


def until(condition: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it never happened")


def test_a_use_that_nobody_ends_is_ended() -> None:
    with shelf(keep=False) as (made, world, clock):
        made.load("a", 1.0)
        clock.advance(REPORT_SECONDS)
        until(lambda: world.counts[-2:] == [1.0, 1.0])
        assert world.has_loaded == {model_id("a")}
        clock.advance(LEASE_SECONDS + REPORT_SECONDS)
        until(lambda: not world.has_loaded and not world.held)


def test_models_that_the_service_lost_are_not_counted() -> None:
    with shelf() as (made, world, clock):
        for name in "ab":
            made.load(name, 1.0)
            made.release(name)
        assert world.counts[-1] == 2
        world.has_loaded.discard(model_id("a"))
        clock.advance(REPORT_SECONDS)
        until(lambda: world.counts[-1] == 1)
        assert not made.load("a", 1.0)
        assert made.load("a", 1.0)


@pytest.mark.parametrize("keep", [True, False])
def test_who_gave_up_waiting_finds_the_model_later(keep: bool) -> None:
    with shelf(keep=keep) as (made, world, clock):
        world.may_load.clear()
        caught: list[NotLoaded] = []

        def ask() -> None:
            with pytest.raises(NotLoaded) as failure:
                made.load("a", 60.0)
            caught.append(failure.value)

        asker = threading.Thread(target=ask)
        asker.start()
        until(lambda: world.held)
        while asker.is_alive():
            clock.advance(61.0)
            asker.join(0.05)
        assert [error.fault for error in caught] == [Fault.LOADING]
        world.may_load.set()
        until(lambda: world.has_loaded)
        assert made.load("a", 60.0)
        made.release("a")
        assert world.has_loaded == {model_id("a")}, "the one who gave up may still come"
