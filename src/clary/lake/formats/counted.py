"""Files that libraries read for us, with what they read of them counted."""

import io
import os
from typing import Any

from clary.lake.formats.parts import BytesRead


class CountedFile(io.RawIOBase):
    """A file, as Python has files, whose reads count, up to its size: libraries read some of it again."""

    def __init__(self, path: str, read: BytesRead) -> None:
        super().__init__()
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._size = os.fstat(self._descriptor).st_size
        self._place = 0
        self._uncounted = self._size
        self._read = read

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = os.preadv(self._descriptor, [buffer], self._place)
        self._place += count
        self._read.add(min(count, self._uncounted))
        self._uncounted -= min(count, self._uncounted)
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
