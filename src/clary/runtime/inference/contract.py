"""What the server asks of a model, and what a model answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """One invocation. `content_type` and `accept` are as sent, "" when absent; header names are lower case."""

    body: bytes
    content_type: str = ""
    accept: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Reply(NamedTuple):
    """The answer; an iterator of bytes is sent piece by piece as it yields."""

    body: bytes | Iterator[bytes]
    content_type: str
    status: int = 200


class Refused(Exception):
    """The request cannot be answered; `status` is 400, 406, 413, 415 or 503 and the message says what was wrong."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Model(Protocol):
    """A loaded model."""

    @property
    def threads(self) -> int:
        """How many `invoke` calls may run at once."""

    def quick(self, body: bytes, content_type: bytes, accept: bytes) -> Reply | None:
        """Answer at once on the event loop when that takes well under a millisecond; None to be asked by `invoke`.

        Never raises: a request that is wrong is left to `invoke`, which explains.
        """

    def invoke(self, request: Request) -> Reply:
        """Answer in a worker thread. Raises Refused or FormatError for a wrong request; anything else is a fault."""


@runtime_checkable
class Joining(Protocol):
    """A model that can answer several requests by one prediction."""

    def invoke_joined(self, requests: list[Request]) -> list[Reply | Exception]:
        """The answer to each, or what `invoke` would raise for it; the same answers as `invoke` gives. Never raises."""
