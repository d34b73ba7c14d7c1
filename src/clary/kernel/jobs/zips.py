"""Zip archives that strangers made: looked through before they are kept, and unpacked outside of any sandbox.

As in `unpacking`, no link is ever followed: folders are opened one by one below the target, and symbolic links appear
only once all else is in place.
"""

import contextlib
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from clary.kernel.jobs.services import ClientFault
from clary.kernel.jobs.unpacking import below, stays_inside

_CHUNK = 1024 * 1024
_LONGEST_LINK = 4096
_MOST_MEMBERS = 100_000
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib.error)


class UnusableZip(ValueError):
    """It is broken, encrypted, or has a member that would not stay in its folder; the message says which."""


def look_through(file: Path | IO[bytes]) -> int:
    """How many bytes the members take when they are unpacked. Raises UnusableZip."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = list(_members(archive))
            return sum(info.file_size for _, info in members)
    except _BROKEN as error:
        raise UnusableZip(str(error) or type(error).__name__) from None


def unzip(archive: Path, folder: Path, uri: str) -> None:
    """Unpack into `folder`, over what is there. Raises ClientFault when the archive is broken or reaches outside."""
    folder.mkdir(parents=True, exist_ok=True)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with zipfile.ZipFile(archive) as opened:
            _unpack(opened, root)
    except _BROKEN as error:
        raise ClientFault(f'The archive "{uri}" cannot be unpacked: {error}.') from error
    finally:
        os.close(root)


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Each member with its path below the folder."""
    if len(archive.infolist()) > _MOST_MEMBERS:
        raise UnusableZip(f"it has more than {_MOST_MEMBERS} members")
    for info in archive.infolist():
        path = os.path.normpath(info.filename.lstrip("/") or ".")
        if path == ".." or path.startswith("../") or info.filename.startswith("/") or "\\" in info.filename:
            raise UnusableZip(f"its member {info.filename!r} lies outside of its folder")
        if info.flag_bits & 0x1:
            raise UnusableZip(f"its member {info.filename!r} is encrypted")
        if path != ".":
            yield path, info


def _unpack(archive: zipfile.ZipFile, root: int) -> None:
    links: dict[str, str] = {}
    for path, info in _members(archive):
        mode = info.external_attr >> 16
        if info.is_dir():
            with below(root, path):
                continue
        if stat.S_ISLNK(mode):
            target = archive.read(info)[:_LONGEST_LINK].decode()
            if not stays_inside(path, target):
                raise UnusableZip(f"its link {path!r} leads to {target!r}")
            links[path] = target
            continue
        links.pop(path, None)
        with below(root, os.path.dirname(path)) as parent:
            _write(archive, info, parent, os.path.basename(path), 0o755 if mode & 0o111 else 0o644)
    for path, target in links.items():
        with below(root, os.path.dirname(path)) as parent:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.basename(path), dir_fd=parent)
            os.symlink(target, os.path.basename(path), dir_fd=parent)


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, parent: int, name: str, mode: int) -> None:
    """A zip's sizes are its own claims: no more is written than it claims."""
    left = info.file_size
    with archive.open(info) as content, open(os.open(name, _NEW_FILE, 0o600, dir_fd=parent), "wb") as file:
        while chunk := content.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise UnusableZip(f"its member {info.filename!r} is larger than it says")
            file.write(chunk)
        os.fchmod(file.fileno(), mode)
