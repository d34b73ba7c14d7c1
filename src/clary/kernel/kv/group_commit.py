"""One thread that lets concurrent callers share a commit, or any other work that is cheaper for many than for one.

While one commit waits for the disk, further items queue up; the next commit takes them all. So a lone writer pays one
sync, and a hundred writers pay one sync together.

Writers that come back as soon as they are answered would fall into two halves that take turns. With `gather` the
next commit waits a moment for those who were just answered, so that all of them pay one sync together.
"""

import asyncio
import os
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from clary.kernel.kv.contract import KeyValueError

Item = TypeVar("Item")

LARGEST_BATCH = 1000

# What to wait for each of the writers that may come back, about what a request takes; and at most.
_GATHER_SECONDS_EACH = 0.0001
_MOST_GATHER_SECONDS = 0.01

_all: weakref.WeakSet["GroupCommit[Any]"] = weakref.WeakSet()


class Outcome(NamedTuple):
    """What became of one item: `error` is None when it is done."""

    result: Any
    error: BaseException | None


class _Waiter(Generic[Item]):
    """An item and whoever waits for it: a thread, or a future of an event loop."""

    __slots__ = ("done", "future", "item", "loop", "outcome")

    def __init__(self, item: Item, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.item = item
        self.outcome: Outcome | None = None
        self.loop = loop
        self.future: asyncio.Future[Any] | None = None
        self.done: threading.Lock | None = None
        if loop is not None:
            self.future = loop.create_future()
        else:
            # A lock held until the answer is there is the cheapest event of the interpreter.
            self.done = threading.Lock()
            self.done.acquire()


def _answer_futures(waiters: list[_Waiter[Any]]) -> None:
    for waiter in waiters:
        assert waiter.future is not None
        assert waiter.outcome is not None
        if waiter.future.done():
            continue
        if waiter.outcome.error is None:
            waiter.future.set_result(waiter.outcome.result)
        else:
            waiter.future.set_exception(waiter.outcome.error)


class GroupCommit(Generic[Item]):
    """Queue items for `commit`, which takes a batch of them in order and says what became of each."""

    def __init__(self, name: str, commit: Callable[[Sequence[Item]], list[Outcome]], *, gather: bool = False) -> None:
        self._name = name
        self._commit = commit
        self._gathers = gather
        self._closed = False
        self._start_afresh()
        _all.add(self)

    def _start_afresh(self) -> None:
        """Begin with no thread and nothing queued, as a forked child must: both stayed with its parent."""
        self._queue: SimpleQueue[_Waiter[Item] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._ended = False
        # How many items the thread waits for, and what tells it that they are there.
        self._expected = 0
        self._enough = threading.Event()

    def run(self, item: Item) -> Any:
        """Return the result for `item` once it is committed, or raise its error."""
        if threading.current_thread() is self._thread:
            raise RuntimeError(f"{self._name}: what is being committed must not wait for another commit")
        waiter = _Waiter(item)
        self._submit(waiter)
        assert waiter.done is not None
        waiter.done.acquire()
        assert waiter.outcome is not None
        if waiter.outcome.error is not None:
            raise waiter.outcome.error
        return waiter.outcome.result

    def run_async(self, item: Item) -> asyncio.Future[Any]:
        """Return a future of the running loop for the result of `item`."""
        waiter = _Waiter(item, asyncio.get_running_loop())
        self._submit(waiter)
        assert waiter.future is not None
        return waiter.future

    def close(self) -> None:
        """Commit what was accepted, then stop. Items from now on are refused."""
        with self._starting:
            self._closed = True
            thread = self._thread
            self._queue.put(None)
            self._enough.set()
        if thread is not None:
            thread.join()

    def _submit(self, waiter: _Waiter[Item]) -> None:
        if self._thread is None or self._closed:
            self._start()
        self._queue.put(waiter)
        if self._expected and self._queue.qsize() >= self._expected:
            self._enough.set()
        if self._ended:  # it was closed in between: nobody takes from the queue any more
            self._refuse_stragglers()

    def _start(self) -> None:
        with self._starting:
            if self._closed:
                raise KeyValueError(f"{self._name} was closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < LARGEST_BATCH:
                try:
                    waiter = self._queue.get_nowait()
                except Empty:
                    break
                if waiter is None:
                    last = True
                    break
                batch.append(waiter)
            self._settle(batch)
            if last:
                break
            if self._gathers:
                self._gather(len(batch))
        self._ended = True
        self._refuse_stragglers()

    def _gather(self, answered: int) -> None:
        """Wait a moment until as many items are queued as there seem to be writers."""
        expected = answered + self._queue.qsize()
        if expected < 2:
            return
        self._enough.clear()
        self._expected = expected
        if self._queue.qsize() < expected and not self._closed:
            self._enough.wait(min(expected * _GATHER_SECONDS_EACH, _MOST_GATHER_SECONDS))
        self._expected = 0

    def _settle(self, batch: list[_Waiter[Item]]) -> None:
        try:
            outcomes = self._commit([waiter.item for waiter in batch])
        except BaseException as error:  # noqa: BLE001 - every waiter must hear of it; this thread has no caller
            outcomes = [Outcome(None, error)] * len(batch)
        self._answer(batch, outcomes)

    def _answer(self, batch: list[_Waiter[Item]], outcomes: Sequence[Outcome]) -> None:
        futures: dict[asyncio.AbstractEventLoop, list[_Waiter[Item]]] = defaultdict(list)
        for waiter, outcome in zip(batch, outcomes, strict=True):
            waiter.outcome = outcome
            if waiter.loop is not None:
                futures[waiter.loop].append(waiter)
            else:
                assert waiter.done is not None
                waiter.done.release()
        for loop, waiters in futures.items():
            try:
                loop.call_soon_threadsafe(_answer_futures, waiters)
            except RuntimeError:
                # The loop was closed while its callers waited: nobody is left to hear the answer.
                continue

    def _refuse_stragglers(self) -> None:
        """Answer whoever queued an item while `close` was under way."""
        refusal = Outcome(None, KeyValueError(f"{self._name} was closed"))
        while True:
            try:
                waiter = self._queue.get_nowait()
            except Empty:
                return
            if waiter is not None:
                self._answer([waiter], [refusal])


def _after_fork_in_child() -> None:
    for group in list(_all):
        group._start_afresh()


os.register_at_fork(after_in_child=_after_fork_in_child)
