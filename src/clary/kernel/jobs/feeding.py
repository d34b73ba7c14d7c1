"""Pipe mode: each epoch of a channel is a FIFO `<channel>_<epoch>` that the objects stream through as they are read.

The FIFO of the next epoch exists before the reader of this one sees its end. Records are framed as RecordIO when
the channel asks for it: a magic number, the length, the bytes, padding to four.
"""

import contextlib
import fcntl
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from clary.kernel.core.ids import new_id
from clary.kernel.jobs.contract import Channel, DataType
from clary.kernel.jobs.services import ClientFault, ObjectStore
from clary.kernel.jobs.sources import Line, Source, list_lines, list_sources, share
from clary.kernel.jobs.staging import gunzip

_RECORD_MAGIC = 0xCED7230A
_LONGEST_RECORD = (1 << 29) - 1
_CHUNK = 1024 * 1024


def frame(record: bytes) -> bytes:
    """One RecordIO record around `record`."""
    if len(record) > _LONGEST_RECORD:
        raise ClientFault(
            f"An object of {len(record)} bytes does not fit a RecordIO record of {_LONGEST_RECORD} bytes."
        )
    return struct.pack("<II", _RECORD_MAGIC, len(record)) + record + b"\0" * (-len(record) % 4)


class Feeder:
    """Feeds one channel from a thread until closed.

    What to stream is listed at once, so that a missing prefix fails before the process starts. A fault while it
    streams is handed to `failed`.
    """

    def __init__(
        self, objects: ObjectStore, channel: Channel, ml: Path, scratch: Path, failed: Callable[[Exception], None]
    ) -> None:
        self._objects = objects
        self._channel = channel
        self._failed = failed
        self._closed = False
        self._items: list[Source | Line]
        if channel.data_type is DataType.AUGMENTED_MANIFEST:
            self._items = [*list_lines(objects, channel)]
        else:
            self._items = [*list_sources(objects, channel)]
        place = ml / channel.place
        place.parent.mkdir(parents=True, exist_ok=True)
        self._name = place.name
        # The job may do what it likes in its folder. So we hold the folder, lest a link in its path lead us elsewhere,
        # and reach each FIFO by a name of our own.
        self._folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
        self._own = scratch / f"feed-{new_id()}"
        self._own.mkdir()
        self._epoch = 0
        self.bytes = 0
        self._offer(0)
        self._thread = threading.Thread(target=self._run, name=f"feed-{channel.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop feeding. The thread may be waiting for a reader, so become one for an instant."""
        self._closed = True
        while self._thread.is_alive():
            with contextlib.suppress(OSError):
                os.close(os.open(self._own / str(self._epoch), os.O_RDONLY | os.O_NONBLOCK))
            self._thread.join(0.05)
        os.close(self._folder)

    def _offer(self, epoch: int) -> None:
        """Make the FIFO of an epoch appear."""
        os.mkfifo(self._own / str(epoch))
        try:
            os.link(self._own / str(epoch), f"{self._name}_{epoch}", dst_dir_fd=self._folder)
        except FileExistsError:
            taken = f"{self._name}_{epoch}"
            raise ClientFault(f'Channel "{self._channel.name}": the name of its FIFO {taken} is taken.') from None

    def _run(self) -> None:
        try:
            while not self._closed:
                self._feed_epoch()
        except Exception as error:  # noqa: BLE001  # whatever it is, the shim must hear of it
            self._failed(error)

    def _feed_epoch(self) -> None:
        fd = os.open(self._own / str(self._epoch), os.O_WRONLY)
        try:
            if hasattr(fcntl, "F_SETPIPE_SZ"):
                with contextlib.suppress(OSError):
                    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _CHUNK)
            self._offer(self._epoch + 1)
            for item in share(self._channel, self._items, self._epoch):
                for value in item.values if isinstance(item, Line) else (item,):
                    self._write_value(fd, value)
        except BrokenPipeError:
            pass  # the reader has had enough of this epoch
        finally:
            os.close(fd)
            self._epoch += 1

    def _write_value(self, fd: int, value: str | Source) -> None:
        if isinstance(value, str):
            self._write(fd, frame(value.encode()) if self._channel.record_io else value.encode())
            return
        path = self._objects.open(value.bucket, value.key)
        if self._channel.record_io:
            collected = bytearray()
            self._read(path, value, collected.extend)
            self._write(fd, frame(bytes(collected)))
        else:
            self._read(path, value, lambda chunk: self._write(fd, chunk))

    def _read(self, path: Path, source: Source, write: Callable[[bytes], object]) -> None:
        if self._channel.gzip:
            gunzip(path, write, f"s3://{source.bucket}/{source.key}")
            return
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                write(chunk)

    def _write(self, fd: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._closed:
                raise BrokenPipeError
            written = os.write(fd, view)
            self.bytes += written
            view = view[written:]
