"""The home folder: who may look into it, and who may hold it."""

import stat
import threading
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
