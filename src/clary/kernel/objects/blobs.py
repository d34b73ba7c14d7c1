"""The files that hold the bytes of objects, each written once under a name of its own and never changed.

    .clary/new/<blob>         being written, or written and not yet moved; locked by its writer as long as that lives
    .clary/data/<t>/<blob>    where it stays; <t>, the first characters of its name, are the time in steps of 256 s
    .clary/locks/<nn>         locked to order what threads and processes do to a bucket's folder

All of it is in the file system of the bucket folders, so that a blob can be linked there. What is written together
stands in one folder: creating files in folders taken at random is ten times slower on ext4.
"""

import ctypes
import errno
import fcntl
import os
import random
import secrets
import shutil
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HIDDEN = ".clary"
# What a file system says that has no hard links, or no more for this file.
CANNOT_LINK = frozenset({errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS})
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_STREAM_BYTES = 1024 * 1024
_MOST_BUFFERS = 512
_LOCK_STRIPES = 64
_TIME_DIGITS = 6
# Nothing that is on its way through `new` without a lock stays there for so long.
_STRAY_SECONDS = 600.0
_SYNC_FILE_RANGE_WRITE = 2


def new_blob() -> str:
    """Return a name that no blob has, beginning with the time. It is no secret."""
    return f"{int(time.time()):08x}{random.getrandbits(96):024x}"


class Blobs:
    """The blobs below one `objects` folder. Without `durable` nothing is synced, for throw-away servers."""

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root
        self.durable = durable
        self._new = root / HIDDEN / "new"
        self._data = str(root / HIDDEN / "data")
        self._new.mkdir(parents=True, exist_ok=True)
        self._locks = root / HIDDEN / "locks"
        self._locks.mkdir(exist_ok=True)
        self._lock_files: dict[tuple[int, int], int] = {}
        self._stripes = [threading.Lock() for _ in range(_LOCK_STRIPES)]

    def path(self, blob: str) -> str:
        """Return where a finished blob stays."""
        return f"{self._data}/{blob[:_TIME_DIGITS]}/{blob}"

    def find(self, blob: str) -> str | None:
        """Return where the blob is now, None when there is no such file."""
        place, fresh = self.path(blob), f"{self._new}/{blob}"
        # It may move from the second to the first between two looks, never back.
        return next((path for path in (place, fresh, place) if os.path.exists(path)), None)

    def write_first(self, blob: str, data: bytes) -> None:
        """Write a small blob to its place; not synced. Only for whoever made up its name."""
        path = self.path(blob)
        try:
            descriptor = os.open(path, _CREATE, 0o444)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            descriptor = os.open(path, _CREATE, 0o444)
        except FileExistsError:
            # A reader that wanted a file was faster.
            self.write_again(blob, data)
            return
        try:
            pwrite_all(descriptor, [data], 0)
        finally:
            os.close(descriptor)

    def write_again(self, blob: str, data: bytes) -> None:
        """Write a small blob of which some of the bytes may be in place already, by whoever died or is at it."""
        draft = f"{self._new}/{blob}.{secrets.token_hex(4)}"
        descriptor = os.open(draft, _CREATE, 0o444)
        try:
            pwrite_all(descriptor, [data], 0)
        finally:
            os.close(descriptor)
        self._rename(draft, self.path(blob))

    def make_room(self, blob: str) -> str:
        """Make the folder that the blob will be in, safe on disk; return the blob's place."""
        path = self.path(blob)
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)
            if self.durable:
                sync_folder(self._data)
        return path

    def settle(self, blob: str) -> None:
        """Move a blob that was streamed to its place, if it is not there."""
        try:
            self._rename(f"{self._new}/{blob}", self.path(blob))
        except FileNotFoundError:
            return

    def seal(self, blob: str) -> None:
        """Warn programs off a file that was written in place, now that it is an object."""
        path = self.find(blob)
        if path is not None:
            os.chmod(path, 0o444)

    def remove(self, blob: str) -> None:
        """Remove the blob, wherever it is, and its folder when nothing else is in it."""
        for path in (f"{self._new}/{blob}", self.path(blob)):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
        if blob[:_TIME_DIGITS] != new_blob()[:_TIME_DIGITS]:
            try:
                os.rmdir(f"{self._data}/{blob[:_TIME_DIGITS]}")
            except OSError:
                return

    def create(self) -> "NewBlob":
        """Begin to stream a new blob."""
        return NewBlob(str(self._new), durable=self.durable)

    def link(self, source: str) -> str:
        """Make a new blob with the bytes of the file `source`, at no cost where the file system can; return its name.

        Its name is safe on disk once returned; `settle` it when the index knows it.
        """
        blob = new_blob()
        target = f"{self._new}/{blob}"
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in CANNOT_LINK:
                raise
            copy = NewBlob(str(self._new), blob, durable=self.durable)
            copy.copy(source, 0, os.stat(source).st_size)
            copy.sync()
            copy.release()
            return blob
        if self.durable:
            sync_folder(str(self._new))
        return blob

    def strays(self) -> Iterator[str]:
        """Yield the names of files that were left in `new` and that no living process is writing."""
        for entry in os.scandir(self._new):
            try:
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(descriptor).st_ctime > _STRAY_SECONDS:
                    yield entry.name
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)

    def remove_stray(self, name: str) -> None:
        """Remove a file of `new` by name."""
        (self._new / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Put everything aside at once, bucket folders included, and remove it in the background."""
        aside = self.root / HIDDEN / f"old-{secrets.token_hex(8)}"
        aside.mkdir()
        for folder in (self._new, Path(self._data), *self.root.iterdir()):
            if folder.name != HIDDEN and folder.exists():
                folder.rename(aside / folder.name)
        self._new.mkdir()
        # What a killed process left of an earlier time goes along.
        for old in (self.root / HIDDEN).glob("old-*"):
            threading.Thread(target=shutil.rmtree, args=(old, True), daemon=True).start()

    def sync(self) -> None:
        """Make everything written so far safe on disk."""
        if not self.durable:
            return
        descriptor = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _syncfs is None:
                os.sync()
            elif _syncfs(descriptor) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(self.root))
        finally:
            os.close(descriptor)

    @contextmanager
    def bucket_lock(self, bucket: str) -> Iterator[None]:
        """Keep every other thread and process from changing what the bucket's folder shows."""
        stripe = zlib.crc32(bucket.encode()) % _LOCK_STRIPES
        with self._stripes[stripe]:
            descriptor = self._lock_file(stripe)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        while self._lock_files:
            os.close(self._lock_files.popitem()[1])

    def _lock_file(self, stripe: int) -> int:
        # A forked child would share its parent's lock, so each process opens its own.
        holder = (os.getpid(), stripe)
        if holder not in self._lock_files:
            path = self._locks / f"{stripe:02}"
            self._lock_files[holder] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._lock_files[holder]

    def _rename(self, source: str, target: str) -> None:
        # The folder may be new, or go just now as the last blob in it does.
        for attempt in range(3):
            try:
                os.rename(source, target)
                return
            except FileNotFoundError:
                if attempt == 2 or not os.path.exists(source):
                    raise
                os.makedirs(os.path.dirname(target), exist_ok=True)


class NewBlob:
    """A blob being streamed. Its file stays locked until `release`, so that nobody takes it for a stray."""

    def __init__(self, folder: str, name: str | None = None, *, durable: bool) -> None:
        self._durable = durable
        self.name = name or new_blob()
        self.size = 0
        self._folder = folder
        self._path = f"{folder}/{self.name}"
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._started = 0

    def write(self, buffers: Sequence[bytes]) -> None:
        """Append; the disk begins to write at once, so that the final sync finds little left."""
        self.size += pwrite_all(self._descriptor, buffers, self.size)
        if self._durable and self.size - self._started >= 8 * _STREAM_BYTES:
            start_writing(self._descriptor, self._started, self.size - self._started)
            self._started = self.size

    def copy(self, source: str, offset: int, length: int) -> None:
        """Append a range of another file, inside the kernel where it can."""
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            left = length
            while left:
                copied = copy_range(descriptor, self._descriptor, offset, min(left, 64 * _STREAM_BYTES), self.size)
                if copied == 0:
                    raise OSError(errno.EIO, f"ended {left} bytes early", source)
                offset, left = offset + copied, left - copied
                self.size += copied
                if self._durable:
                    start_writing(self._descriptor, self.size - copied, copied)
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Make the bytes and the name safe on disk."""
        if self._durable:
            os.fsync(self._descriptor)
            sync_folder(self._folder)

    def discard(self) -> None:
        """Remove the file."""
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        self.release()

    def release(self) -> None:
        """Let go of the file; what becomes of it is up to the index."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_range(path: str, offset: int, length: int) -> bytes:
    """Return bytes of a file. Raises FileNotFoundError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)


def sync_folder(path: str) -> None:
    """Make the names in a folder safe on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pwrite_all(descriptor: int, buffers: Sequence[bytes], offset: int) -> int:
    """Write all of `buffers`, one after another, from `offset` on; return how many bytes they are."""
    total = sum(map(len, buffers))
    if not total:
        return 0
    if len(buffers) > _MOST_BUFFERS:
        buffers = [b"".join(buffers)]
    written = os.pwritev(descriptor, buffers, offset) if hasattr(os, "pwritev") else 0
    if written < total:
        rest = memoryview(b"".join(buffers))
        while written < total:
            written += os.pwrite(descriptor, rest[written:], offset + written)
    return total


def copy_range(source: int, target: int, offset: int, length: int, target_offset: int) -> int:
    """Copy up to `length` bytes between files, inside the kernel where it can; return how many."""
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, length, offset, target_offset)
        except OSError as error:
            if error.errno not in {errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL}:
                raise
    piece = os.pread(source, min(length, _STREAM_BYTES), offset)
    return pwrite_all(target, [piece], target_offset)


_libc = ctypes.CDLL(None, use_errno=True)
# Linux syncs one file system at once; elsewhere `os.sync` has to do.
_syncfs = getattr(_libc, "syncfs", None)
_sync_file_range = getattr(_libc, "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


def start_writing(descriptor: int, offset: int, length: int) -> None:
    """Ask the kernel to begin writing a range; a hint, so a refusal does not matter."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)
