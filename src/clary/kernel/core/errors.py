"""Errors that leave the platform.

    AwsError     anything a client is told; `code` is AWS's error code
    (the gateway maps every other exception to InternalFailure, logged with its traceback)

A handler raises `AwsError` with the code the operation's model lists; the gateway looks the code up in the
model for its HTTP status and shape. A code the model does not list is answered with `status`, 400 unless given.
"""

from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """An error of AWS's kind: `code` for programs, `message` for people, `members` for modelled extra fields."""

    def __init__(
        self, code: str, message: str, *, status: int | None = None, members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def validation(message: str) -> AwsError:
    """What most JSON services answer to a request whose content is wrong."""
    return AwsError("ValidationException", message)


def not_supported(what: str, why: str) -> AwsError:
    """A documented parameter or value that Clary refuses instead of ignoring."""
    return validation(f"{what} is not supported by Clary: {why}")
