"""Reaching the objects and the catalog of a table: what a caller hands over, and pyiceberg's files over it."""

import itertools
import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pyiceberg.io import FileIO, InputFile, OutputFile

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_id

_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


class Listed(Protocol):
    """An object of a listing."""

    @property
    def uri(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def modified_at(self) -> float: ...


class Access(Protocol):
    """The objects and the catalog, as someone may use them. A query that runs is one."""

    @property
    def folder(self) -> Path:
        """In the file system of the objects, so that they can be linked into it; gone afterwards."""
        ...

    def call(self, operation: str, *, service: str = "glue", **params: Any) -> dict[str, Any]:
        """Call a room. Raises AwsError."""
        ...

    def link(self, uri: str, path: Path) -> None:
        """Have an object's bytes, as they are now, at a path below `folder`. Raises AwsError."""
        ...

    def objects(self, prefix: str) -> Sequence[Listed]:
        """The objects whose URI begins with `prefix`, in order. Raises AwsError."""
        ...

    def put(self, uri: str, path: Path) -> None:
        """Store a file as an object; it is durable once this returns. Raises AwsError."""
        ...

    def delete(self, uris: Sequence[str]) -> None:
        """Remove objects. Raises AwsError."""
        ...

    def discard(self, uris: Sequence[str]) -> None:
        """Remove what was put here and is of no use; nobody is asked about that. Raises AwsError."""
        ...


class ObjectIO(FileIO):
    """pyiceberg's files over an Access. Files of Iceberg never change, so each is linked once."""

    def __init__(self, access: Access) -> None:
        super().__init__({})
        self._access = access
        self._folder = access.folder / f"iceberg-{new_id()}"
        self._numbers = itertools.count()
        self._paths: dict[str, Path] = {}
        self._lock = threading.Lock()

    def new_input(self, location: str) -> "ObjectInput":
        return ObjectInput(self, s3_location(location))

    def new_output(self, location: str) -> "ObjectOutput":
        return ObjectOutput(self, s3_location(location))

    def delete(self, location: str | InputFile | OutputFile) -> None:
        uri = location if isinstance(location, str) else location.location
        self._access.delete([s3_location(uri)])

    def discard(self, uris: Iterable[str]) -> None:
        """Remove what was stored here and is of no use; what stays is found by VACUUM."""
        with suppress(AwsError, OSError):
            self._access.discard([s3_location(uri) for uri in uris])

    def local(self, uri: str) -> Path:
        """A file with the bytes of an object. Raises FileNotFoundError, or AwsError where it may not be read."""
        with self._lock:
            path = self._paths.get(uri)
        if path is None:
            path = self.fresh()
            try:
                self._access.link(uri, path)
            except AwsError as error:
                if error.code in _MISSING:
                    raise FileNotFoundError(f"{uri} is not there: {error.message}") from None
                raise
            with self._lock:
                self._paths[uri] = path
        return path

    def fresh(self) -> Path:
        """A path of one's own, nothing there yet."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{next(self._numbers)}"

    def stored(self, uri: str, path: Path) -> None:
        """Store a file, which is then what is read of `uri`."""
        self._access.put(uri, path)
        with self._lock:
            self._paths[uri] = path


class ObjectInput(InputFile):
    """An object to read."""

    def __init__(self, io: ObjectIO, location: str) -> None:
        super().__init__(location)
        self._io = io

    def __len__(self) -> int:
        return self._io.local(self.location).stat().st_size

    def exists(self) -> bool:
        try:
            self._io.local(self.location)
        except FileNotFoundError:
            return False
        return True

    def open(self, seekable: bool = True) -> BinaryIO:
        return self._io.local(self.location).open("rb")


class ObjectOutput(OutputFile):
    """An object to write: stored when it is closed without an error.

    Names of Iceberg's files are made up anew each time, so nobody asks whether there is one already.
    """

    def __init__(self, io: ObjectIO, location: str) -> None:
        super().__init__(location)
        self._io = io
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def exists(self) -> bool:
        return False

    def to_input_file(self) -> ObjectInput:
        return self._io.new_input(self.location)

    def create(self, overwrite: bool = False) -> "_Stream":
        return _Stream(self, self._io)


class _Stream:
    """Bytes on their way to an object."""

    def __init__(self, output: ObjectOutput, io: ObjectIO) -> None:
        self._output = output
        self._io = io
        self._path = io.fresh()
        self._file = self._path.open("wb")

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        if self._file.closed:
            return
        self._file.close()
        self._output._size = os.path.getsize(self._path)
        self._io.stored(self._output.location, self._path)

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


def s3_location(uri: str) -> str:
    """A location as Clary's objects are named: other engines write `s3a://` and `s3n://` for the same."""
    scheme, sign, rest = uri.partition("://")
    return f"s3://{rest}" if sign and scheme in ("s3a", "s3n") else uri
