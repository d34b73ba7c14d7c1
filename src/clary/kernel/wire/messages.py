"""What travels between a gateway and the codecs: requests and responses without a socket."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError

MAX_INFLATED = 64 * 1024 * 1024


@dataclass(slots=True)
class Request:
    """An HTTP request: `path` and `query` raw, as on the request line; header names lower-case, values latin-1 text.

    `body` is bytes, except for operations with a `streaming_input`: there it is passed on as it is. `form` keeps the
    pairs of the query and a form body once they were read.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = b""
    form: list[tuple[str, str]] | None = None


@dataclass(slots=True)
class Response:
    """An HTTP response: headers are lower-case bytes, ready for ASGI; `body` is bytes or a handler's stream."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: Any = b""

    def header(self, name: str) -> str | None:
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key == wanted), None)


def document(request: Request) -> bytes:
    """The body of a request whose body is a document, inflated if the client compressed it (PutMetricData is)."""
    body: bytes = request.body
    if not request.headers.get("content-encoding", "").endswith("gzip"):
        return body
    inflater = zlib.decompressobj(wbits=31)
    try:
        inflated = inflater.decompress(body, MAX_INFLATED)
    except zlib.error:
        raise AwsError("SerializationException", "The request body is not valid gzip.", status=400) from None
    if inflater.unconsumed_tail:
        raise AwsError("RequestEntityTooLarge", "The request body is too large once inflated.", status=413)
    return inflated


class Plain(list[Any]):
    """Structures in an output, so many that looking at each of them costs: each has its members under their names on
    the wire and none that is None, blobs as bytes, timestamps as epoch seconds. In JSON they are written as they are.
    """


class Encoded(Sequence[Any]):
    """A list in an output that is JSON already. In JSON it is written as it is; whoever looks into it has it read."""

    __slots__ = ("_items", "json")

    def __init__(self, json: bytes) -> None:
        self.json = json
        self._items: list[Any] | None = None

    def __len__(self) -> int:
        return len(self._read())

    def __getitem__(self, index: Any) -> Any:
        return self._read()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        return self._read() == (other._read() if isinstance(other, Encoded) else other)

    __hash__ = None  # type: ignore[assignment]

    def _read(self) -> list[Any]:
        if self._items is None:
            self._items = orjson.loads(self.json)
        return self._items


class OutputError(Exception):
    """A handler returned what its operation's model does not allow: a fault of ours, answered with a 500."""
