"""Where each thing stands in the index: byte strings whose order is the order of listings.

    b<bucket>                                  Bucket
    c<bucket> 00 <name>                        a configuration document of the bucket, JSON
    o<bucket> 00 <key>                         the current version of an object, unless it is a delete marker
    v<bucket> 00 <key, escaped> 00 00 <place>  the other versions, and all delete markers, newest first
    u<bucket> 00 <key, escaped> 00 00 <id>     Upload
    p<upload id><number, 2 bytes>              Part
    s<upload id><number, 2 bytes>              a claim to the slot of a part (see `assembly`), empty
    w<blob>                                    work that is left to do for a blob (see `journal`)
    e<number, 8 bytes>                         an event, JSON; numbers grow

A key that may hold the byte 00 and is followed by more is escaped: 00 becomes 00 ff, which keeps the order.
"""

from clary.kernel.core.errors import AwsError
from clary.kernel.kv import after_prefix

MOST_KEY_BYTES = 1024

_END = b"\0\0"


def bucket_key(bucket: str) -> bytes:
    return b"b" + bucket.encode()


def document_key(bucket: str, name: str) -> bytes:
    return b"c" + bucket.encode() + b"\0" + name.encode()


def documents_prefix(bucket: str) -> bytes:
    return b"c" + bucket.encode() + b"\0"


def current_prefix(bucket: str) -> bytes:
    return b"o" + bucket.encode() + b"\0"


def current_key(bucket: str, key: str) -> bytes:
    return f"o{bucket}\0{key}".encode()


def versions_of_bucket(bucket: str) -> bytes:
    return b"v" + bucket.encode() + b"\0"


def versions_prefix(bucket: str, key: str) -> bytes:
    return versions_of_bucket(bucket) + escaped(key) + _END


def version_key(bucket: str, key: str, place: str) -> bytes:
    return versions_prefix(bucket, key) + place.encode()


def uploads_of_bucket(bucket: str) -> bytes:
    return b"u" + bucket.encode() + b"\0"


def upload_key(bucket: str, key: str, upload_id: str) -> bytes:
    return uploads_of_bucket(bucket) + escaped(key) + _END + upload_id.encode()


def parts_prefix(upload_id: str) -> bytes:
    return b"p" + upload_id.encode()


def part_key(upload_id: str, number: int) -> bytes:
    return parts_prefix(upload_id) + number.to_bytes(2, "big")


def slots_prefix(upload_id: str) -> bytes:
    return b"s" + upload_id.encode()


def slot_key(upload_id: str, number: int) -> bytes:
    return slots_prefix(upload_id) + number.to_bytes(2, "big")


def work_key(blob: str) -> bytes:
    return b"w" + blob.encode()


def event_key(number: int) -> bytes:
    return b"e" + number.to_bytes(8, "big")


def escaped(key: str) -> bytes:
    """Return a key such that what follows it cannot change its order among others."""
    return key.encode().replace(b"\0", b"\0\xff")


def split_escaped(rest: bytes) -> tuple[str, str]:
    """Return (key, what follows it) of an index key whose bucket was cut off."""
    at = rest.find(_END)
    # In an escaped key every 00 is followed by ff, so the first 00 00 is the end.
    return rest[:at].replace(b"\0\xff", b"\0").decode(), rest[at + 2 :].decode()


def span(prefix: bytes) -> tuple[bytes, bytes | None]:
    """Return the bounds of everything that begins with `prefix`."""
    return prefix, after_prefix(prefix)


def check_key(key: str) -> None:
    """Raise KeyTooLongError, or InvalidArgument when `key` is not text that UTF-8 can hold."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise AwsError("InvalidArgument", "Object keys must be valid UTF-8.", status=400) from None
    if size > MOST_KEY_BYTES:
        raise AwsError(
            "KeyTooLongError",
            f"Your key is too long: it has {size} bytes, and {MOST_KEY_BYTES} are allowed.",
            status=400,
            members={"Size": size, "MaxSizeAllowed": MOST_KEY_BYTES},
        )
