"""The models of one host that lie unpacked on its disk, each in `models/<id>/model` below its /opt/ml.

The host may write there, so nothing is unpacked in place: a model is unpacked where only the shim comes, and moved
below /opt/ml when it is whole, by a way on which no link is followed.
"""

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from clary.kernel.core.ids import new_id
from clary.kernel.jobs.archives import Tree
from clary.kernel.jobs.contract import OnDemand
from clary.kernel.jobs.folder import empty
from clary.kernel.jobs.on_demand.words import model_id
from clary.kernel.jobs.services import ClientFault, ObjectStore, split_uri
from clary.kernel.jobs.unpacking import below, extract

MODELS = "models"

_FULL = {errno.ENOSPC, errno.EDQUOT}


class DiskFull(Exception):
    """There is no room for a model beside those that are on the disk."""


class Disk:
    """What is unpacked. `objects` is asked late: a host may never need it.

    Threads may ask for different models at once, but not for the same.
    """

    def __init__(self, spec: OnDemand, objects: Callable[[], ObjectStore], ml: Path, scratch: Path) -> None:
        self._spec = spec
        self._objects = objects
        self._ml = ml
        self._scratch = scratch
        self._sizes: dict[str, int] = {}
        self._stamps: dict[str, tuple[int, ...]] = {}
        self._placing = threading.Lock()
        with _models_below(ml):
            pass

    def fetch(self, name: str) -> bool:
        """Have the model as its archive is now; whether it had to be downloaded. Raises ClientFault or DiskFull."""
        bucket, prefix = split_uri(self._spec.uri)
        with self._placing:
            objects = self._objects()
        archive = objects.open(bucket, prefix + name)
        status = archive.stat()
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        identity = model_id(name)
        if self._stamps.get(identity) == stamp:
            return False
        draft = self._scratch / f"model-{new_id()}"
        try:
            self._unpack(archive, draft, self._spec.uri + name)
            size = _size(draft)
            self.remove(identity)
            with self._placing, _models_below(self._ml) as models:
                self._make_sure_of_room(size, name)
                os.rename(draft, identity, dst_dir_fd=models)
                self._sizes[identity], self._stamps[identity] = size, stamp
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return True

    def remove(self, identity: str) -> None:
        """Forget a model; harmless when it is not there."""
        graves = self._scratch / "models-removed"
        graves.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError), self._placing, _models_below(self._ml) as models:
            self._stamps.pop(identity, None)
            self._sizes.pop(identity, None)
            os.rename(identity, graves / new_id(), src_dir_fd=models)
        empty(graves)

    def holds(self, identity: str) -> bool:
        return identity in self._stamps

    def _unpack(self, archive: Path, draft: Path, uri: str) -> None:
        try:
            draft.mkdir(parents=True)
            extract(archive, draft / "model", uri)
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFull(str(error)) from error
            raise
        except ClientFault as fault:
            if isinstance(fault.__cause__, OSError) and fault.__cause__.errno in _FULL:
                raise DiskFull(str(fault)) from fault
            raise

    def _make_sure_of_room(self, size: int, name: str) -> None:
        limit = self._spec.disk_bytes
        if not limit:
            return
        if size > limit:
            raise ClientFault(
                f'The model "{self._spec.uri}{name}" takes {size} bytes unpacked, more than the {limit} bytes of disk '
                "that there are for models."
            )
        if sum(self._sizes.values()) + size > limit:
            raise DiskFull(f"{limit} bytes of disk are not enough for one model more.")


@contextlib.contextmanager
def _models_below(ml: Path) -> Iterator[int]:
    """The folder of all models, made where it is missing; no link is followed below /opt/ml."""
    root = os.open(ml, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with below(root, MODELS) as models:
            yield models
    finally:
        os.close(root)


def _size(folder: Path) -> int:
    """The bytes of all files below."""
    with Tree(folder, "") as tree:
        return sum(status.st_size for _, status, _ in tree.files())
