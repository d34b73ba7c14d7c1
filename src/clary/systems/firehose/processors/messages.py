"""Records that arrive compressed, and what CloudWatch Logs sends in them."""

import zlib

import orjson

_GZIP_BITS = 31
_MOST_BYTES = 64 * 1024 * 1024


def gunzipped(data: bytes) -> bytes:
    """What GZIP members hold. Raises ValueError for other data, and for what would be larger than 64 MiB."""
    found = []
    size = 0
    while data:
        inflater = zlib.decompressobj(_GZIP_BITS)
        try:
            piece = inflater.decompress(data, _MOST_BYTES - size + 1)
        except zlib.error as error:
            raise ValueError(f"it is not GZIP: {error}") from None
        size += len(piece)
        if size > _MOST_BYTES:
            raise ValueError(f"it would have more than {_MOST_BYTES} bytes")
        if not inflater.eof:
            raise ValueError("it is cut short")
        found.append(piece)
        data = inflater.unused_data
    return b"".join(found)


def log_messages(data: bytes) -> list[bytes]:
    """The messages of what a subscription of CloudWatch Logs sent; none for its control messages.

    Raises ValueError for other documents.
    """
    try:
        document = orjson.loads(data)
        if document["messageType"] == "CONTROL_MESSAGE":
            return []
        return [str(event["message"]).encode() for event in document["logEvents"]]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"it is no data of a subscription of CloudWatch Logs: {error!r}") from None
