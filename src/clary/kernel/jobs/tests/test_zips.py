"""Zips of strangers: what is unpacked stays in its folder, and what is not a usable zip is said to be none."""

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from clary.kernel.jobs.services import ClientFault
from clary.kernel.jobs.zips import UnusableZip, look_through, unzip


def zipped(*members: tuple[str, bytes, int]) -> bytes:
    """A zip of members by name, content and mode; a mode of 0 is that of a plain file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode or stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)
    return file.getvalue()


def unpack(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "given.zip").write_bytes(data)
    unzip(tmp_path / "given.zip", tmp_path / "out", "s3://b/given.zip")
    return tmp_path / "out"


def test_files_folders_modes_and_links(tmp_path: Path) -> None:
    data = zipped(
        ("a/b/run.sh", b"#!/bin/sh", stat.S_IFREG | 0o755),
        ("a/c.txt", b"c", stat.S_IFREG | 0o600),
        ("link", b"a/c.txt", stat.S_IFLNK | 0o777),
        ("empty/", b"", stat.S_IFDIR | 0o755),
    )
    assert look_through(io.BytesIO(data)) == len(b"#!/bin/sh") + 1 + len(b"a/c.txt")
    out = unpack(tmp_path, data)
    assert (out / "link").read_text() == "c"
    assert os.access(out / "a/b/run.sh", os.X_OK)
    assert stat.S_IMODE((out / "a/c.txt").stat().st_mode) == 0o644
    assert (out / "empty").is_dir()


def test_a_later_zip_goes_over_an_earlier_one(tmp_path: Path) -> None:
    unpack(tmp_path, zipped(("x", b"first, and longer", 0), ("y", b"kept", 0)))
    out = unpack(tmp_path, zipped(("x", b"second", 0)))
    assert ((out / "x").read_text(), (out / "y").read_text()) == ("second", "kept")


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/etc/out.txt", "a\\..\\out.txt"])
def test_what_would_lie_outside_is_refused(tmp_path: Path, name: str) -> None:
    data = zipped((name, b"x", 0))
    with pytest.raises(UnusableZip, match="outside"):
        look_through(io.BytesIO(data))
    with pytest.raises(ClientFault, match="outside"):
        unpack(tmp_path, data)
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("target", ["/etc", "../..", "a/../../x"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(ClientFault, match="leads to"):
        unpack(tmp_path, zipped(("link", target.encode(), stat.S_IFLNK | 0o777)))


def test_nothing_is_written_through_a_link_that_an_earlier_zip_left(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    out = unpack(tmp_path, zipped(("a", b"", 0)))
    (out / "folder").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ClientFault):
        unpack(tmp_path, zipped(("folder/x", b"x", 0)))
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 but no more", zipped(("a", b"x" * 100, 0))[:-30]])
def test_what_is_no_zip_says_so(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnusableZip):
        look_through(io.BytesIO(data))
    with pytest.raises(ClientFault, match="cannot be unpacked"):
        unpack(tmp_path, data)
