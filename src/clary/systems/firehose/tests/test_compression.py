"""Every compression can be read by what others read it with."""

import gzip
import io
import random
import zipfile

import pyarrow
import pytest
from awscrt.checksums import crc32c

from clary.systems.firehose.compression import compressor

RANDOM = random.Random(7)
PIECES = [b"", b"one record\n", b"x" * 200_000, RANDOM.randbytes(300_000), b"the end"]


def packed(name: str, pieces: list[bytes]) -> bytes:
    made = compressor(name, "member.txt")
    return b"".join([*(made.add(piece) for piece in pieces), made.finish()])


def unframed(data: bytes) -> bytes:
    """What google/snappy's framing format holds, with its checksums checked."""
    assert data.startswith(b"\xff\x06\x00\x00sNaPpY")
    found, at = [], 10
    while at < len(data):
        kind, size = data[at], int.from_bytes(data[at + 1 : at + 4], "little")
        body = data[at + 4 : at + 4 + size]
        at += 4 + size
        if kind == 0:
            chunk = raw(body[4:])
        else:
            assert kind == 1
            chunk = body[4:]
        assert len(chunk) <= 65536
        checksum = crc32c(chunk)
        assert int.from_bytes(body[:4], "little") == ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
        found.append(chunk)
    return b"".join(found)


def raw(data: bytes) -> bytes:
    size = shift = 0
    for byte in data:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return bytes(pyarrow.decompress(data, size, codec="snappy", asbytes=True))


def unblocked(data: bytes) -> bytes:
    """What Hadoop's BlockDecompressorStream would read."""
    found, at = b"", 0
    while at < len(data):
        size, length = (int.from_bytes(data[at + o : at + o + 4], "big") for o in (0, 4))
        chunk = raw(data[at + 8 : at + 8 + length])
        assert len(chunk) == size
        found += chunk
        at += 8 + length
    return found


def unzipped(data: bytes) -> bytes:
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    assert archive.namelist() == ["member.txt"]
    return archive.read("member.txt")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("UNCOMPRESSED", bytes),
        ("GZIP", gzip.decompress),
        ("ZIP", unzipped),
        ("Snappy", unframed),
        ("HADOOP_SNAPPY", unblocked),
    ],
)
def test_what_is_compressed_is_read_by_others(name: str, read) -> None:
    data = packed(name, PIECES)
    assert read(data) == b"".join(PIECES)
    assert packed(name, PIECES) == data, "delivered again it is the same object"
