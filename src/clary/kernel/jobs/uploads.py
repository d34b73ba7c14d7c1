"""Bring a host's outputs to S3: archives and trees at the end, checkpoints and live outputs while it runs."""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from clary.kernel.core.clock import Clock
from clary.kernel.core.ids import new_id
from clary.kernel.jobs.archives import opened, pack
from clary.kernel.jobs.contract import Output
from clary.kernel.jobs.services import ObjectStore, split_uri

_SYNC_SECONDS = 1.0

Signature = tuple[int, int, int]


def upload(objects: ObjectStore, output: Output, ml: Path, scratch: Path) -> list[str]:
    """Store one output; return the URIs stored. The host's processes must have ended."""
    with opened(ml, output.path) as tree:
        if tree is None:
            return []
        if output.archive:
            archive = scratch / f"{new_id()}.tar.gz"
            try:
                if pack(tree, archive) or output.even_empty:
                    objects.put(*split_uri(output.uri), archive)
                    return [output.uri]
                return []
            finally:
                archive.unlink(missing_ok=True)
    stored = TreeSync(objects, output, ml, scratch).sync(settled=True)
    return [output.uri] if stored else []


class TreeSync:
    """Brings a tree's files to a prefix, each when its content changed. Files that disappear stay in S3."""

    def __init__(self, objects: ObjectStore, output: Output, ml: Path, scratch: Path) -> None:
        self._objects = objects
        self._bucket, prefix = split_uri(output.uri)
        self._prefix = prefix.rstrip("/") + "/" if prefix else ""
        self._path = output.path
        self._ml = ml
        self._scratch = scratch
        self._stored: dict[str, Signature] = {}
        self._seen: dict[str, Signature] = {}

    def adopt(self) -> None:
        """Take the tree as it is for stored: it was just downloaded."""
        with opened(self._ml, self._path) as tree:
            if tree is not None:
                self._stored = {path: _signature(status) for path, status, _ in tree.files()}

    @property
    def stored(self) -> tuple[str, ...]:
        """The URIs of the files that are stored."""
        return tuple(f"s3://{self._bucket}/{self._prefix}{path}" for path in list(self._stored))

    def sync(self, *, settled: bool) -> int:
        """Store what changed; return how many files are stored now.

        While the process runs (`settled` False) a file is taken only once it stayed as it was for a whole round,
        and only when it did not change while it was copied: a checkpoint that is being written is left for later.
        """
        seen: dict[str, Signature] = {}
        with opened(self._ml, self._path) as tree:
            for path, status, folder in tree.files() if tree is not None else ():
                signature = _signature(status)
                seen[path] = signature
                if self._stored.get(path) == signature or not (settled or self._seen.get(path) == signature):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    if self._store(path, signature, folder):
                        self._stored[path] = signature
        self._seen = seen
        return len(self._stored)

    def _store(self, path: str, signature: Signature, folder: int) -> bool:
        copy = self._scratch / new_id()
        fd = os.open(os.path.basename(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            with os.fdopen(fd, "rb") as source, open(copy, "wb") as target:
                shutil.copyfileobj(source, target, 1024 * 1024)
                unchanged = _signature(os.fstat(fd)) == signature
            if unchanged:
                self._objects.put(self._bucket, self._prefix + path, copy)
            return unchanged
        finally:
            copy.unlink(missing_ok=True)


class ContinuousSync:
    """Runs a `TreeSync` from a thread until closed.

    With `tell`, files are whole when they appear: each is taken in the first round, and after a round that stored any,
    `tell` is called.
    """

    def __init__(
        self,
        sync: TreeSync,
        clock: Clock,
        complain: Callable[[str], None],
        tell: Callable[[], None] | None = None,
    ) -> None:
        self._sync = sync
        self._clock = clock
        self._complain = complain
        self._tell = tell
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outputs", daemon=True)
        self._thread.start()

    @property
    def stored(self) -> tuple[str, ...]:
        """The URIs of the files that are stored."""
        return self._sync.stored

    def close(self) -> None:
        """Stop, then store the rest. The host's processes must have ended."""
        self._closed.set()
        self._thread.join()
        self._sync.sync(settled=True)

    def _run(self) -> None:
        while not self._clock.wait(self._closed, _SYNC_SECONDS):
            try:
                before = len(self._sync.stored)
                self._sync.sync(settled=self._tell is not None)
                if self._tell is not None and len(self._sync.stored) > before:
                    self._tell()
            except Exception as error:  # noqa: BLE001  # tried again in a second, and at the end
                self._complain(f"outputs could not be synchronised: {error!r}")


def _signature(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_size, status.st_mtime_ns
