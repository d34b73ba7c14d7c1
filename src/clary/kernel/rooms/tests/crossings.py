"""Crash a reconciler before and after each call that leaves it, one at a time, as kill -9 would."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from clary.kernel.rooms import Platform


class Crash(BaseException):
    """Stands for kill -9: nothing catches it."""


class Faulty:
    """Passes calls on to an executor or a store, and crashes before or after one of them."""

    def __init__(self, inner: Any, names: set[str], fuse: "Fuse") -> None:
        self._inner = inner
        self._names = names
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return self._fuse.wrap(method) if name in self._names else method


class Fuse:
    """Counts crossings, two for each call: before it and after it. Burns at one of them."""

    def __init__(self, burns_at: int | None) -> None:
        self.crossings = 0
        self.burns_at = burns_at

    def wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._cross()
            answer = method(*arguments, **named)
            self._cross()
            return answer

        return call

    def _cross(self) -> None:
        self.crossings += 1
        if self.crossings - 1 == self.burns_at:
            raise Crash


def fuses(least: int) -> Iterator[Fuse]:
    """A fuse for each crossing, one after the other, until one has not burnt. There are more crossings than `least`."""
    for crossing in count():
        fuse = Fuse(crossing)
        yield fuse
        if fuse.crossings <= crossing:
            assert crossing > least, "the crossings were not counted"
            return


@contextmanager
def burning(platform: Platform, fuse: Fuse) -> Iterator[None]:
    """Within it, the platform's store and executor crash their caller where the fuse says."""
    store, executor = platform.store, platform.executor
    vars(platform)["store"] = Faulty(store, {"apply"}, fuse)
    vars(platform)["executor"] = Faulty(executor, {"start", "forget"}, fuse)
    try:
        yield
    finally:
        vars(platform)["store"] = store
        platform.executor = executor


def survive(reconcile: Callable[[str | None], object], keys: tuple[str | None, ...]) -> None:
    """Reconcile each key; after a crash go on with the next, as a new controller would."""
    for key in keys:
        with suppress(Crash):
            reconcile(key)
