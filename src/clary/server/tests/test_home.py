"""The home folder: who may look into it, and who may hold it."""

import fcntl
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clary.kernel.store.sql import open_sqlite
from clary.server import home


def test_what_is_in_a_home_is_its_owners_alone_even_in_a_folder_open_to_all(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    home.prepare(folder)
    open_sqlite(folder / "records.db").close()
    open_to_others = [path.name for path in folder.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert open_to_others == []


def test_a_home_is_held_by_one_and_free_again_after(tmp_path: Path) -> None:
    home.prepare(tmp_path)
    assert not home.is_held(tmp_path, "supervisor")
    with home.hold(tmp_path, "supervisor"):
        assert home.is_held(tmp_path, "supervisor")
        with pytest.raises(home.HomeInUse):
            home.hold(tmp_path, "supervisor", patience_seconds=0.0)
    assert not home.is_held(tmp_path, "supervisor")


def test_who_asks_is_no_holder_to_others_who_ask(tmp_path: Path) -> None:
    home.prepare(tmp_path)
    home.hold(tmp_path, "supervisor").close()
    with (tmp_path / "run" / "supervisor.lock").open() as asker:
        fcntl.flock(asker, fcntl.LOCK_SH)
        assert not home.is_held(tmp_path, "supervisor")


def test_what_a_dead_holder_left_is_waited_for(tmp_path: Path) -> None:
    home.prepare(tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = home.hold(tmp_path, "supervisor")  # as what a process has forked has the lock, after it was killed
    left.truncate(0)
    left.write(str(dead.pid))
    left.flush()
    with ThreadPoolExecutor(1) as pool:
        heir = pool.submit(home.hold, tmp_path, "supervisor", 0.0)
        with pytest.raises(TimeoutError):
            heir.result(0.2)
        left.close()
        with heir.result():
            assert home.is_held(tmp_path, "supervisor")


def test_who_looks_does_not_keep_a_server_from_starting(tmp_path: Path) -> None:
    home.prepare(tmp_path)
    home.hold(tmp_path, "supervisor").close()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            home.is_held(tmp_path, "supervisor")

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(100):
            home.hold(tmp_path, "supervisor", patience_seconds=10.0).close()
    finally:
        done.set()
        for looker in lookers:
            looker.join()
