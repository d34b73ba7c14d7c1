"""Cut an object into payloads of whole records, each as large as allowed, or of one record each.

Objects are mapped into memory, so that a payload is copied once, when it is cut out.
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from clary.runtime.errors import CustomerError

Data = bytes | mmap.mmap

# RecordIO's, said again without numpy, which `formats.recordio` needs to read what is in the frames.
HEADER = struct.Struct("<II")
MAGIC = 0xCED7230A
LENGTH_BITS = 29


@dataclass(frozen=True)
class Payload:
    """`count` records from number `first` on, counted from 1; both are 0 for an object that is not split."""

    body: bytes
    first: int = 0
    count: int = 0


class Splitter(Protocol):
    """One way in which records follow each other in an object."""

    unit: str
    """What a record is called in messages."""

    def payloads(self, data: Data, limit: int, *, single: bool) -> Iterator[Payload]:
        """All records of `data` in order, in payloads of at most `limit` bytes, or of one record each.

        A record that is sent alone goes without what is wrapped around it in the object, as SageMaker says.
        Raises CustomerError for a record that is larger, or cannot be read.
        """

    def halves(self, payload: Payload) -> tuple[Payload, Payload] | None:
        """The records of a payload as two payloads; None when there is nothing to divide."""


class Whole:
    """SplitType None: the object is one payload."""

    unit = "object"

    def payloads(self, data: Data, limit: int, *, single: bool) -> Iterator[Payload]:
        _check_size(len(data), limit, "the object")
        yield Payload(data[:])

    def halves(self, payload: Payload) -> tuple[Payload, Payload] | None:
        return None


class Lines:
    """SplitType Line: a record ends with a line break, which is sent between records only. Empty lines are no records
    of their own, but count."""

    unit = "line"

    def payloads(self, data: Data, limit: int, *, single: bool) -> Iterator[Payload]:
        position, number = 0, 1
        while position < len(data):
            end = self._cut(data, position, limit, single)
            body = data[position:end].removesuffix(b"\n")
            _check_size(len(body), limit, f"line {number}")
            count = body.count(b"\n") + 1
            if body and not body.isspace():
                yield Payload(body, number, count)
            position, number = end, number + count

    @staticmethod
    def _cut(data: Data, position: int, limit: int, single: bool) -> int:
        """Where the payload that begins at `position` ends: behind a line break, or at the end."""
        if not single:
            if len(data) - position <= limit:
                return len(data)
            last = data.rfind(b"\n", position, position + limit + 1)
            if last >= 0:
                return last + 1
        return data.find(b"\n", position) + 1 or len(data)

    def halves(self, payload: Payload) -> tuple[Payload, Payload] | None:
        body = payload.body
        middle = body.find(b"\n", len(body) // 2)
        if middle < 0:
            middle = body.rfind(b"\n", 0, len(body) // 2)
        if middle < 0:
            return None
        left, right = body[:middle], body[middle + 1 :]
        count = left.count(b"\n") + 1
        return (
            Payload(left, payload.first, count),
            Payload(right, payload.first + count, payload.count - count),
        )


class Frames:
    """Records that begin with their length. A payload of several holds them as they lie in the object."""

    unit = "record"

    def payloads(self, data: Data, limit: int, *, single: bool) -> Iterator[Payload]:
        start = position = count = 0
        number = 1
        if single:
            yield from self._bare(data, limit)
            return
        while position < len(data):
            end = self._end(data, position, number + count)
            _check_size(end - position, limit, f"record {number + count}")
            if count and end - start > limit:
                yield Payload(data[start:position], number, count)
                start, number, count = position, number + count, 0
            position, count = end, count + 1
        if count:
            yield Payload(data[start:position], number, count)

    def _bare(self, data: Data, limit: int) -> Iterator[Payload]:
        position, number = 0, 1
        while position < len(data):
            end = self._end(data, position, number)
            record = self._unwrapped(data[position:end])
            _check_size(len(record), limit, f"record {number}")
            yield Payload(record, number, 1)
            position, number = end, number + 1

    def halves(self, payload: Payload) -> tuple[Payload, Payload] | None:
        if payload.count < 2:
            return None
        left, position = payload.count // 2, 0
        for step in range(left):
            position = self._end(payload.body, position, payload.first + step)
        return (
            Payload(payload.body[:position], payload.first, left),
            Payload(payload.body[position:], payload.first + left, payload.count - left),
        )

    def _end(self, data: Data, position: int, number: int) -> int:
        """Where the record that begins at `position` ends."""
        raise NotImplementedError

    def _unwrapped(self, framed: bytes) -> bytes:
        """What a record is without its frames."""
        raise NotImplementedError


class RecordIO(Frames):
    """A record may lie in several frames: one that begins it, others that go on, one that ends it."""

    def _end(self, data: Data, position: int, number: int) -> int:
        while True:
            if position + HEADER.size > len(data):
                raise _malformed("RecordIO", number, "it ends inside a header")
            magic, word = HEADER.unpack_from(data, position)
            if magic != MAGIC:
                raise _malformed("RecordIO", number, f"it begins with 0x{magic:08X} instead of 0x{MAGIC:08X}")
            part, length = word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1)
            position += HEADER.size + (length + 3 & ~3)
            if position > len(data):
                raise _malformed("RecordIO", number, "it ends too early")
            if part in (0, 3):
                return position

    def _unwrapped(self, framed: bytes) -> bytes:
        parts, position = [], 0
        while position < len(framed):
            length = HEADER.unpack_from(framed, position)[1] & ((1 << LENGTH_BITS) - 1)
            position += HEADER.size
            parts.append(framed[position : position + length])
            position += length + 3 & ~3
        # Where a record was cut, the writer took out four bytes that looked like a magic number.
        return MAGIC.to_bytes(4, "little").join(parts)


class TFRecord(Frames):
    """Length (8 bytes, little-endian), its checksum (4), the bytes, their checksum (4)."""

    _LENGTH = struct.Struct("<Q")

    def _end(self, data: Data, position: int, number: int) -> int:
        if position + 12 > len(data):
            raise _malformed("TFRecord", number, "it ends inside a header")
        end = position + 16 + int(self._LENGTH.unpack_from(data, position)[0])
        if end > len(data):
            raise _malformed("TFRecord", number, "it ends too early")
        return end

    def _unwrapped(self, framed: bytes) -> bytes:
        return framed[12:-4]


SPLITTERS: dict[str, Splitter] = {"None": Whole(), "Line": Lines(), "RecordIO": RecordIO(), "TFRecord": TFRecord()}


def _check_size(size: int, limit: int, what: str) -> None:
    if size > limit:
        raise CustomerError(f"{what} has {size} bytes, more than MaxPayloadInMB allows ({limit} bytes)")


def _malformed(kind: str, number: int, why: str) -> CustomerError:
    return CustomerError(f"record {number} is not {kind}: {why}")
