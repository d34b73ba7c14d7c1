"""What a ping makes of services that are busy."""

import contextlib
import socket
import threading
from pathlib import Path

import pytest

from clary.kernel.core.clock import SystemClock
from clary.kernel.jobs import health
from clary.kernel.jobs.health import Health, ping
from clary.testing import eventually


def test_a_service_with_more_callers_than_it_lets_wait_is_asked_when_it_takes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, found = [], []  # at the clock: before it asks, and when it was not let wait

    class Watched(SystemClock):
        def monotonic(self) -> float:
            looks.append(None)
            return super().monotonic()

    monkeypatch.setattr(health, "_TIMEOUT_SECONDS", 60.0)
    monkeypatch.setattr(health, "SystemClock", Watched)
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as callers:
        listener.bind(str(path))
        listener.listen(0)
        waiting = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                caller = callers.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                caller.connect(str(path))
                waiting += 1
        asker = threading.Thread(target=lambda: found.append(ping(path, SystemClock())))
        asker.start()
        eventually(lambda: len(looks) > 1 or found)
        for _ in range(waiting):
            listener.accept()[0].close()
        with listener.accept()[0] as asked:
            asked.recv(65536)
            asked.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            asker.join()
    assert found == [Health.WELL]
