"""Archives of strangers: whatever they hold, nothing appears outside of the folder they are unpacked into."""

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from clary.kernel.jobs.services import ClientFault
from clary.kernel.jobs.unpacking import extract, stays_inside

Member = tuple[str, bytes, str | bytes]


def pack(path: Path, members: Iterable[Member]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(content, str):
                info.linkname = content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def unpack(tmp_path: Path, *members: Member) -> Path:
    folder = tmp_path / "outer" / "inner"
    extract(pack(tmp_path / "a.tar.gz", members), folder, "s3://b/a.tar.gz")
    return folder


def test_files_folders_and_links(tmp_path: Path) -> None:
    folder = unpack(
        tmp_path,
        ("./code/run.py", tarfile.REGTYPE, b"old"),
        ("code/run.py", tarfile.REGTYPE, b"new"),
        ("empty/", tarfile.DIRTYPE, ""),
        ("latest", tarfile.SYMTYPE, "code/run.py"),
        ("deep/er/up", tarfile.SYMTYPE, "../../code"),
        ("same", tarfile.LNKTYPE, "code/run.py"),
    )
    assert [(folder / name).read_bytes() for name in ("code/run.py", "latest", "deep/er/up/run.py", "same")] == [
        b"new"
    ] * 4
    assert (folder / "empty").is_dir()


@pytest.mark.parametrize(
    "members",
    [
        [("../x", tarfile.REGTYPE, b"")],
        [("a/../../x", tarfile.REGTYPE, b"")],
        [("x", tarfile.SYMTYPE, "/etc/passwd")],
        [("x", tarfile.SYMTYPE, "../x")],
        [("here", tarfile.SYMTYPE, "."), ("x", tarfile.SYMTYPE, "here/../y")],
        [("x", tarfile.LNKTYPE, "../../etc/passwd")],
        [("x", tarfile.CHRTYPE, "")],
        [("x", tarfile.FIFOTYPE, "")],
    ],
)
def test_what_reaches_outside_is_refused(tmp_path: Path, members: list[Member]) -> None:
    with pytest.raises(ClientFault, match="reaches outside"):
        unpack(tmp_path, *members)


def test_a_member_below_a_link_lands_inside(tmp_path: Path) -> None:
    with pytest.raises(ClientFault):
        unpack(tmp_path, ("a", tarfile.SYMTYPE, "b"), ("a/x", tarfile.REGTYPE, b"1"))
    assert not (tmp_path / "outer" / "inner" / "b").exists()


def test_links_too_long_to_be_resolved_lead_nowhere(tmp_path: Path) -> None:
    """The way round `tarfile`'s data filter that CVE-2025-4517 describes."""
    part = "d" * 247
    members: list[Member] = []
    path = ""
    for letter in "abcdefghijklmnop":
        members.append((os.path.join(path, part), tarfile.DIRTYPE, ""))
        members.append((os.path.join(path, letter), tarfile.SYMTYPE, part))
        path = os.path.join(path, part)
    long_link = os.path.join("/".join("abcdefghijklmnop"), "l" * 254)
    members.append((long_link, tarfile.SYMTYPE, "../" * 16))
    members.append(("escape", tarfile.SYMTYPE, f"{long_link}/.."))
    members.append(("file", tarfile.LNKTYPE, "escape/victim"))
    members.append(("file", tarfile.REGTYPE, b"overwritten"))
    victim = tmp_path / "outer" / "victim"
    victim.parent.mkdir()
    victim.write_text("precious")
    with pytest.raises(ClientFault):
        unpack(tmp_path, *members)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("damage", [b"\x1f\x8bnot really", b"", None])
def test_what_is_no_archive_is_the_clients_fault(tmp_path: Path, damage: bytes | None) -> None:
    path = pack(tmp_path / "a.tar.gz", [("x", tarfile.REGTYPE, os.urandom(200_000))])
    whole = path.read_bytes()
    path.write_bytes(whole[:90_000] + bytes(1000) + whole[91_000:] if damage is None else damage)
    with pytest.raises(ClientFault, match="cannot be extracted"):
        extract(path, tmp_path / "folder", "s3://b/a.tar.gz")


@pytest.mark.parametrize(
    ("path", "target", "inside"),
    [
        ("a", "b", True),
        ("a/b", "../c", True),
        ("a", "..", False),
        ("a", "", True),
        ("a/b", "../../c", False),
        ("a/b", "c/../../d", False),
        ("a", "/b", False),
    ],
)
def test_where_links_lead(path: str, target: str, inside: bool) -> None:
    assert stays_inside(path, target) is inside
