"""Identifiers: unguessable, and in the shapes AWS gives them."""

import itertools
import os
import secrets
import string
import uuid
from collections.abc import Iterator

_ALPHANUMERIC = string.ascii_uppercase + string.digits
_SPREAD = 0x9E3779B1  # odd, so that it maps the numbers of 32 bits onto each other


def _begin_anew() -> None:
    """Request ids of this process share their middle; what tells them apart comes first."""
    global _numbers, _tail
    digits = secrets.token_hex(11)
    _numbers = itertools.count(secrets.randbits(32))
    _tail = f"-{digits[:4]}-4{digits[4:7]}-a{digits[7:10]}-{digits[10:18]}"


_numbers: Iterator[int]
_tail: str
_begin_anew()
os.register_at_fork(after_in_child=_begin_anew)


def new_id() -> str:
    """32 hexadecimal characters."""
    return secrets.token_hex(16)


def new_uuid() -> str:
    """A request id or token as AWS writes it: lower-case, with dashes."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def request_id() -> str:
    """An id that is unique but may be guessed, in the form of a UUID; costs little, one every request."""
    number = next(_numbers)
    return f"{number * _SPREAD & 0xFFFFFFFF:08x}{_tail}{number >> 32:04x}"


def short_id(length: int = 12) -> str:
    """Lower-case letters and digits; names the server makes up end in one."""
    alphabet = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(length))


def prefixed_id(prefix: str, length: int = 16) -> str:
    """An IAM-style unique id such as `AROA` followed by upper-case letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))
