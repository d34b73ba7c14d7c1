"""Receipt handles: what a receive gives a client to delete a message by, or to change when it is visible again."""

import base64
import binascii
import struct
from typing import NamedTuple

from clary.kernel.core.errors import AwsError

_LAYOUT = struct.Struct(">QQQ8s")


class Handle(NamedTuple):
    """One receive of one message: of which queue and pile, and the receipt that it left in the message's state."""

    queue: int
    pile: int
    seq: int
    receipt: bytes

    def __str__(self) -> str:
        return base64.b64encode(_LAYOUT.pack(*self)).decode()


def read_handle(text: str) -> Handle:
    """The handle that a client gave. Raises ReceiptHandleIsInvalid."""
    try:
        return Handle(*_LAYOUT.unpack(base64.b64decode(text, validate=True)))
    except (ValueError, struct.error, binascii.Error):
        raise invalid_handle(text) from None


def invalid_handle(text: str) -> AwsError:
    return AwsError("ReceiptHandleIsInvalid", f'The input receipt handle "{text[:100]}" is not a valid receipt handle.')
