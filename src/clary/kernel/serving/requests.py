"""What is sent to a model server: the head of a request in SageMaker's container contract."""

from collections.abc import Mapping
from typing import NamedTuple

INVOCATIONS = "/invocations"
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"
SESSION_ID = "X-Amzn-SageMaker-Session-Id"


class HeaderBreak(ValueError):
    """A header's value has a line break in it, which would begin another header."""


class Heading(NamedTuple):
    """What a request says besides its body. `rest` are further header lines, each with its line break."""

    content_type: str | None
    rest: str = ""

    def head(self, size: int, path: str = INVOCATIONS, content_type: str | None = None) -> bytes:
        """The head before a body of `size` bytes; `content_type` stands for another than the caller's."""
        kind = self.content_type if content_type is None else content_type
        line = "" if kind is None else f"Content-Type: {kind}\r\n"
        text = f"POST {path} HTTP/1.1\r\nHost: model\r\nContent-Length: {size}\r\n{line}{self.rest}\r\n"
        return text.encode("latin-1", "replace")

    def value(self, name: str) -> str | None:
        """What the further header of this name says; None without one."""
        for line in self.rest.split("\r\n"):
            given, _, value = line.partition(": ")
            if given == name:
                return value
        return None


def heading(content_type: str | None, headers: Mapping[str, str | None]) -> Heading:
    """The heading with those `headers` that are not None. Raises HeaderBreak."""
    rest = ""
    for name, value in headers.items():
        if value is not None:
            _check(value)
            rest += f"{name}: {value}\r\n"
    if content_type is not None:
        _check(content_type)
    return Heading(content_type, rest)


def _check(value: str) -> None:
    if "\r" in value or "\n" in value:
        raise HeaderBreak("A header value contains a line break.")
