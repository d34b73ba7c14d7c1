"""What every protocol does alike with an error: find its model, its status, its name and its members."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.kernel.wire.models import ErrorShape, Operation


@dataclass(slots=True)
class Resolved:
    """An error ready for a protocol to write. `members` never holds the message."""

    shape: ErrorShape | None
    name: str  # what JSON and CBOR clients see
    code: str  # what query clients and x-amzn-query-error see
    status: int
    sender_fault: bool
    message_key: str
    members: dict[str, Any]


def resolve(operation: Operation | None, code: str, status: int | None, members: Mapping[str, Any] | None) -> Resolved:
    """The error that `code` names. Members the model lacks are left out: they would be noise to every client."""
    shape = operation.error(code) if operation else None
    if shape is None:
        final = status or 400
        return Resolved(None, code, code, final, final < 500, "message", {})
    message_key = next((name for name in shape.shape.members if name.lower() == "message"), "message")
    kept = {name: value for name, value in (members or {}).items() if name in shape.shape.members}
    kept.pop(message_key, None)
    return Resolved(shape, shape.name, shape.code, status or shape.status, shape.sender_fault, message_key, kept)
