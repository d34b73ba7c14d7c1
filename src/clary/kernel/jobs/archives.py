"""Trees and archives that leave the sandbox: what a job wrote is hostile until proven harmless.

The shim reads a job's files from outside the sandbox. A symbolic link there would be followed in the shim's own,
unconfined view, so every path is opened component by component without following any.
"""

import contextlib
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from clary.kernel.jobs.unpacking import stays_inside

_COMPRESSION = 3  # model files hardly shrink: higher levels cost seconds and win a few percent


class Tree:
    """A folder of the job, opened without following links. Use as a context manager."""

    def __init__(self, root: Path, relative: str) -> None:
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self._stack = contextlib.ExitStack()
        self._stack.callback(lambda: os.close(self._fd))
        for part in PurePosixPath(relative).parts:
            try:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self._fd)
            except BaseException:
                self._stack.close()
                raise
            os.close(self._fd)
            self._fd = below

    def __enter__(self) -> "Tree":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def entries(self) -> Iterator[tuple[str, os.stat_result, int]]:
        """(relative path, status, fd of its folder) of everything below, folders before what is in them, sorted.

        The fd is good until the next step of the iteration.
        """
        for folder, folders, files, fd in os.fwalk(".", dir_fd=self._fd, follow_symlinks=False):
            folders.sort()
            for name in sorted(folders + files):
                with contextlib.suppress(FileNotFoundError):
                    yield os.path.normpath(f"{folder}/{name}"), os.stat(name, dir_fd=fd, follow_symlinks=False), fd

    def files(self) -> Iterator[tuple[str, os.stat_result, int]]:
        """The regular files among `entries`."""
        return (entry for entry in self.entries() if stat.S_ISREG(entry[1].st_mode))

    def read_text(self, name: str, limit: int) -> str | None:
        """The first `limit` bytes of a file right in this folder; None when it is missing or no plain file."""
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._fd)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return file.read(limit).decode(errors="replace") if plain else None


@contextlib.contextmanager
def opened(root: Path, relative: str) -> Iterator[Tree | None]:
    """The folder as a `Tree`; None when it is missing or not a folder."""
    try:
        tree = Tree(root, relative)
    except OSError:
        yield None
        return
    with tree:
        yield tree


def pack(tree: Tree, archive: Path) -> int:
    """Write the tree as a gzip'd tar; return how many files it holds.

    Links are kept when they are relative and stay inside, other links and special files are left out: an archive
    that we made must be one that we would extract.
    """
    count = 0
    with tarfile.open(archive, "w:gz", compresslevel=_COMPRESSION, format=tarfile.PAX_FORMAT) as tar:
        for path, status, fd in tree.entries():
            info = tarfile.TarInfo(path)
            info.mode = stat.S_IMODE(status.st_mode) & 0o755 | stat.S_IRUSR | stat.S_IWUSR
            info.mtime = status.st_mtime
            name = os.path.basename(path)
            if stat.S_ISDIR(status.st_mode):
                info.type = tarfile.DIRTYPE
                info.mode |= stat.S_IXUSR
                tar.addfile(info)
            elif stat.S_ISLNK(status.st_mode):
                info.type = tarfile.SYMTYPE
                info.linkname = os.readlink(name, dir_fd=fd)
                if stays_inside(path, info.linkname):
                    tar.addfile(info)
            elif stat.S_ISREG(status.st_mode):
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
                with os.fdopen(descriptor, "rb") as file:
                    info.size = os.fstat(descriptor).st_size
                    tar.addfile(info, file)
                count += 1
    with open(archive, "rb") as file:
        os.fsync(file.fileno())
    return count
