"""Bells between event loops and processes."""

import asyncio
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from clary.kernel.events.bells import Bells

RINGER = """
import sys
from pathlib import Path
from clary.kernel.events.bells import Bells
Bells(Path(sys.argv[1]), "topic").ring(b"key")
"""


@pytest.fixture
def home():
    """A folder whose path is short enough for sockets inside it."""
    with tempfile.TemporaryDirectory(prefix="bells-") as folder:
        yield Path(folder)


@pytest.fixture
def bells(home):
    made = Bells(home, "topic")
    yield made
    made.close()


def test_another_process_is_heard(bells, home):
    async def listen():
        async with bells.listen(b"key") as ear:
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", RINGER, str(home))
            heard = await ear.wait(60)
            await process.wait()
            return heard

    assert asyncio.run(listen())
    assert list((home / "run").iterdir()) == []


def test_a_ring_between_waits_is_not_missed_and_others_are_not_heard(bells):
    async def listen():
        async with bells.listen(b"a") as first, bells.listen(b"a") as second, bells.listen(b"b") as other:
            thread = threading.Thread(target=bells.ring, args=(b"a",))
            thread.start()
            heard = [await first.wait(60), await second.wait(60), await other.wait(0.05), await first.wait(0.05)]
            thread.join()
            return heard

    assert asyncio.run(listen()) == [True, True, False, False]


def test_what_a_dead_process_left_is_taken_away(bells, home):
    (home / "run").mkdir()
    left = home / "run" / "topic-0123456789abcdef.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(left))
    bells.ring(b"a")
    assert not left.exists()


def test_a_home_too_deep_for_sockets(tmp_path):
    deep = tmp_path / ("x" * 120)
    bells = Bells(deep, "topic")

    async def listen():
        async with bells.listen(b"a") as ear:
            bells.ring(b"a")
            return await ear.wait(60)

    assert asyncio.run(listen())
    bells.close()


def test_a_process_can_ring_after_nobody_listened(tmp_path):
    assert subprocess.run([sys.executable, "-c", RINGER, str(tmp_path)], check=False).returncode == 0
