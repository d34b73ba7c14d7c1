"""Shard iterators: where a reader stands, in a text that means something to this room alone and for five minutes.

It holds no secret and proves nothing: who gives one back still needs the right to read the stream that it names.
"""

import base64
import binascii
import hashlib
import struct
from typing import NamedTuple

from clary.kernel.core.errors import AwsError
from clary.systems.kinesis.sequences import LAST_OFFSET

VALID_MS = 5 * 60 * 1000

_LAYOUT = struct.Struct(">BQQI16s12s")
_VERSION = 1
_SEAL_BYTES = 8
_SEAL_KEY = b"clary.kinesis.iterator"


class Iterator(NamedTuple):
    """The next record to read has this offset or a greater one. `storage` is the stream's id."""

    account: str
    name: str
    storage: str
    shard: int
    offset: int
    issued_ms: int

    def __str__(self) -> str:
        head = _LAYOUT.pack(
            _VERSION,
            self.issued_ms,
            self.offset,
            self.shard,
            bytes.fromhex(self.storage),
            self.account.encode(),
        )
        body = head + self.name.encode()
        return base64.b64encode(_seal(body) + body).decode()


def read_iterator(text: str) -> Iterator:
    """What `str` made of an iterator. Raises InvalidArgumentException for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
        body = data[_SEAL_BYTES:]
        version, issued_ms, offset, shard, storage, account = _LAYOUT.unpack_from(body)
        name = body[_LAYOUT.size :].decode()
    except (binascii.Error, struct.error, ValueError):
        raise invalid_iterator() from None
    if data[:_SEAL_BYTES] != _seal(body) or version != _VERSION or offset > LAST_OFFSET:
        raise invalid_iterator()
    return Iterator(account.decode(), name, storage.hex(), shard, offset, issued_ms)


def invalid_iterator() -> AwsError:
    return AwsError("InvalidArgumentException", "Invalid ShardIterator.")


def expired(iterator: Iterator, now_ms: int) -> AwsError:
    return AwsError(
        "ExpiredIteratorException",
        f"Iterator expired. The iterator was created at time {iterator.issued_ms} while right now it is {now_ms} which "
        f"is further in the future than the tolerated delay of {VALID_MS} milliseconds.",
    )


def _seal(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SEAL_BYTES, key=_SEAL_KEY).digest()
