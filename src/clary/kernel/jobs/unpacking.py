"""Unpack archives that strangers made, as whoever runs Clary and outside of any sandbox.

No link is ever followed: folders are opened one by one below the target, and symbolic links appear only once all else
is in place. `tarfile`'s own filter is not relied on, since it has been got round by paths too long to be resolved.
"""

import contextlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from clary.kernel.jobs.services import ClientFault

_CHUNK = 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Outside(Exception):
    """A member that would not stay in the folder, or is neither a file, a folder nor a link."""


def extract(archive: Path, folder: Path, uri: str) -> None:
    """Unpack a tar, compressed or not, into `folder`. Raises ClientFault when it is broken or reaches outside."""
    folder.mkdir(parents=True, exist_ok=True)
    root = os.open(folder, _FOLDER)
    try:
        with tarfile.open(archive, "r:*") as tar:
            _unpack(tar, root)
            while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
                continue  # a compressed archive says at its very end whether it is whole
    except _Outside as error:
        raise ClientFault(f'The archive "{uri}" reaches outside of its folder: {error}.') from error
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise ClientFault(f'The archive "{uri}" cannot be extracted: {error}.') from error
    finally:
        os.close(root)


def stays_inside(path: str, target: str) -> bool:
    """Whether a link at `path` leads to a place in the same tree, whatever links lie on its way."""
    steps = os.path.normpath(target).split("/") if target else []
    climbs = next((index for index, step in enumerate(steps) if step != ".."), len(steps))
    # After a folder, which may be a link itself, `..` leads who knows where.
    return not target.startswith("/") and ".." not in target.split("/")[climbs:] and climbs <= path.count("/")


def _unpack(tar: tarfile.TarFile, root: int) -> None:
    links: dict[str, str] = {}
    for member in tar:
        path = _inside(member.name)
        if member.isdir():
            with below(root, path):
                continue
        if not path:
            raise _Outside(f"{member.name!r} has no name")
        links.pop(path, None)
        if member.issym():
            if not stays_inside(path, member.linkname):
                raise _Outside(f"the link {member.name!r} leads to {member.linkname!r}")
            links[path] = member.linkname
            continue
        with below(root, os.path.dirname(path)) as parent:
            _remove(parent, os.path.basename(path))
            if member.islnk():
                _link(root, _inside(member.linkname), parent, os.path.basename(path))
            elif member.isreg():
                _write(tar, member, parent, os.path.basename(path))
            else:
                raise _Outside(f"{member.name!r} is neither a file, a folder nor a link")
    for path, target in links.items():
        with below(root, os.path.dirname(path)) as parent:
            _remove(parent, os.path.basename(path))
            os.symlink(target, os.path.basename(path), dir_fd=parent)


def _inside(name: str) -> str:
    """A member's path below the root; empty for the root itself."""
    path = os.path.normpath(name.lstrip("/") or ".")
    if path == ".." or path.startswith("../"):
        raise _Outside(f"{name!r} lies outside")
    return "" if path == "." else path


@contextlib.contextmanager
def below(root: int, path: str) -> Iterator[int]:
    """The folder at `path` below `root`, made where it is missing, reached through no link."""
    folder = os.dup(root)
    try:
        for part in path.split("/") if path else ():
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _remove(parent: int, name: str) -> None:
    """Make room for a member whose path an earlier one has, as tar does."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _link(root: int, source: str, parent: int, name: str) -> None:
    with below(root, os.path.dirname(source)) as folder:
        os.link(os.path.basename(source), name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
    content = tar.extractfile(member)
    assert content is not None
    executable = 0o755 if member.mode & 0o100 else 0o644
    with content, open(os.open(name, _NEW_FILE, 0o600, dir_fd=parent), "wb") as file:
        shutil.copyfileobj(content, file, _CHUNK)
        os.fchmod(file.fileno(), member.mode & executable | 0o600)
        os.utime(file.fileno(), (member.mtime, member.mtime))
