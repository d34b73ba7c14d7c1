"""Identifiers: unguessable, and in the shapes AWS gives them."""

import os
import random
import secrets
import string
import uuid

_ALPHANUMERIC = string.ascii_uppercase + string.digits
_random = random.Random(os.urandom(32))
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def new_id() -> str:
    """32 hexadecimal characters."""
    return secrets.token_hex(16)


def new_uuid() -> str:
    """A request id or token as AWS writes it: lower-case, with dashes."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def request_id() -> str:
    """An id that is unique but may be guessed, in the form of a UUID; costs a microsecond, one every request."""
    digits = f"{_random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def short_id(length: int = 12) -> str:
    """Lower-case letters and digits; names the server makes up end in one."""
    alphabet = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(length))


def prefixed_id(prefix: str, length: int = 16) -> str:
    """An IAM-style unique id such as `AROA` followed by upper-case letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))
