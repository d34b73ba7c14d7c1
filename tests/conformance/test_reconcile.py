"""The loop's promises: woken at once, on the period too, one run at a time per key, and no failure stops the rest."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clary.kernel.core.clock import Clock, SystemClock, VirtualClock
from clary.kernel.events import Alarm, Waker, socket_path
from clary.kernel.reconcile import Loop, Reconciler

PATIENCE_SECONDS = 120.0


@contextmanager
def running(home: Path, *reconcilers: Reconciler, clock: Clock | None = None) -> Iterator[Waker]:
    alarm, waker = Alarm(home), Waker(home)
    loop = Loop(reconcilers, alarm, clock or SystemClock())
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield waker
    finally:
        loop.stop()
        thread.join(PATIENCE_SECONDS)
        waker.close()
        alarm.close()
    assert not thread.is_alive()


def test_a_wake_up_runs_the_reconciler_with_its_key(tmp_path: Path) -> None:
    seen = threading.Event()

    def run(key: str | None) -> None:
        if key == "1/r/job":
            seen.set()

    with running(tmp_path, Reconciler("training", run, 3600)) as waker:
        waker.wake("training", "1/r/job")
        assert seen.wait(PATIENCE_SECONDS)


def test_the_period_runs_without_a_wake_up(tmp_path: Path) -> None:
    runs = threading.Semaphore(0)

    def run(key: str | None) -> None:
        assert key is None
        runs.release()

    with running(tmp_path, Reconciler("training", run, 0.01)):
        for _ in range(3):
            assert runs.acquire(timeout=PATIENCE_SECONDS)


def test_a_failing_reconciler_is_tried_again_and_hinders_no_other(tmp_path: Path) -> None:
    other = threading.Event()

    def fail(key: str | None) -> None:
        raise RuntimeError("out of luck")

    with running(tmp_path, Reconciler("bad", fail, 0.01), Reconciler("good", lambda key: other.set(), 3600)) as waker:
        waker.wake("good", "x")
        assert other.wait(PATIENCE_SECONDS)


def test_one_key_never_runs_twice_at_once_and_a_wake_up_during_a_run_runs_it_again(tmp_path: Path) -> None:
    started, release, again = threading.Event(), threading.Event(), threading.Event()
    running_now = threading.Lock()
    count = 0

    def run(key: str | None) -> None:
        nonlocal count
        if key is None:
            return
        assert running_now.acquire(blocking=False), "two runs of one key at once"
        count += 1
        started.set()
        if count == 1:
            assert release.wait(PATIENCE_SECONDS)
        else:
            again.set()
        running_now.release()

    with running(tmp_path, Reconciler("topic", run, 3600)) as waker:
        waker.wake("topic", "key")
        assert started.wait(PATIENCE_SECONDS)
        waker.wake("topic", "key")
        waker.wake("topic", "key")
        release.set()
        assert again.wait(PATIENCE_SECONDS)


def test_a_reconciler_is_run_again_when_it_asked_to_be(tmp_path: Path) -> None:
    runs = threading.Semaphore(0)

    def run(key: str | None) -> float | None:
        if key is None:
            return None
        runs.release()
        return 0.01

    with running(tmp_path, Reconciler("topic", run, 3600)) as waker:
        waker.wake("topic", "key")
        for _ in range(3):
            assert runs.acquire(timeout=PATIENCE_SECONDS)


def test_wake_ups_do_not_multiply_the_runs_that_were_asked_for(tmp_path: Path) -> None:
    clock = VirtualClock()
    runs, nudged = threading.Semaphore(0), threading.Semaphore(0)
    count = 0

    def run(key: str | None) -> float | None:
        nonlocal count
        if key is None:
            return None
        count += 1
        runs.release()
        return 10.0

    def nudge(key: str | None) -> None:
        if key is not None:
            nudged.release()

    reconcilers = Reconciler("topic", run, 1e6), Reconciler("nudge", nudge, 1e6)
    with running(tmp_path, *reconcilers, clock=clock) as waker:

        def pass_a_second() -> None:
            clock.advance(1.0)
            waker.wake("nudge", "the loop")
            assert nudged.acquire(timeout=PATIENCE_SECONDS)

        for _ in range(5):
            waker.wake("topic", "key")
            assert runs.acquire(timeout=PATIENCE_SECONDS)
            pass_a_second()
        for _ in range(30):
            pass_a_second()
        assert count <= 5 + 4
        while count < 5 + 2:  # a second may pass before the loop has heard how a run ended
            pass_a_second()


def test_waking_without_a_listener_is_harmless(tmp_path: Path) -> None:
    waker = Waker(tmp_path)
    waker.wake("topic", "key")
    waker.close()


def test_a_home_with_a_long_path_still_has_a_socket(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 120)
    assert len(str(socket_path(home, "controller"))) < 100
    alarm, waker = Alarm(home), Waker(home)
    waker.wake("topic")
    assert alarm.wait(PATIENCE_SECONDS) == [("topic", None)]
    waker.close()
    alarm.close()
