"""Pipe mode: each epoch of a channel is a FIFO `<channel>_<epoch>` that the objects stream through as they are read.

The FIFO of the next epoch exists before the reader of this one sees its end. Records are framed as RecordIO when
the channel asks for it: a magic number, the length, the bytes, padding to four.
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
import threading
from collections.abc import Callable
from pathlib import Path

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

    def __init__(self, objects: ObjectStore, channel: Channel, ml: Path, failed: Callable[[Exception], None]) -> None:
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
        # Later the job owns this folder; holding it keeps us from being led elsewhere by a link in its path.
        self._folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
        self._epoch = 0
        self.bytes = 0
        os.mkfifo(f"{self._name}_0", dir_fd=self._folder)
        self._thread = threading.Thread(target=self._run, name=f"feed-{channel.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop feeding. The thread may be waiting for a reader, so become one for an instant."""
        self._closed = True
        while self._thread.is_alive():
            with contextlib.suppress(OSError):
                os.close(os.open(self._fifo(), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=self._folder))
            self._thread.join(0.05)
        os.close(self._folder)

    def _fifo(self) -> str:
        return f"{self._name}_{self._epoch}"

    def _run(self) -> None:
        try:
            while not self._closed:
                self._feed_epoch()
        except Exception as error:  # noqa: BLE001  # whatever it is, the shim must hear of it
            self._failed(error)

    def _feed_epoch(self) -> None:
        fd = os.open(self._fifo(), os.O_WRONLY | os.O_NOFOLLOW, dir_fd=self._folder)
        try:
            if not stat.S_ISFIFO(os.fstat(fd).st_mode):
                raise ClientFault(f'Channel "{self._channel.name}": its FIFO was replaced by something else.')
            if hasattr(fcntl, "F_SETPIPE_SZ"):
                with contextlib.suppress(OSError):
                    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _CHUNK)
            os.mkfifo(f"{self._name}_{self._epoch + 1}", dir_fd=self._folder)
            for item in share(self._channel, self._items, self._epoch):
                for value in item.values if isinstance(item, Line) else (item,):
                    self._write_value(fd, value)
        except BrokenPipeError:
            pass  # the reader has had enough of this epoch
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            raise ClientFault(f'Channel "{self._channel.name}": the next FIFO\'s name is taken.') from error
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
