"""Every record that was put is in S3, once, in whatever form was asked for."""

import gzip
import io
import zipfile
from collections.abc import Callable

import pytest

from clary.systems.firehose.tests.conftest import Client
from clary.systems.firehose.tests.test_compression import unblocked, unframed


def unzipped(data: bytes) -> bytes:
    archive = zipfile.ZipFile(io.BytesIO(data))
    (name,) = archive.namelist()
    return archive.read(name)


@pytest.mark.parametrize(
    ("compression", "extension", "read"),
    [
        ("UNCOMPRESSED", "", bytes),
        ("GZIP", ".gz", gzip.decompress),
        ("ZIP", ".zip", unzipped),
        ("Snappy", ".snappy", unframed),
        ("HADOOP_SNAPPY", ".hsnappy", unblocked),
    ],
)
def test_every_record_is_delivered_once(
    client: Client, compression: str, extension: str, read: Callable[[bytes], bytes]
) -> None:
    name = client.create(client.part(CompressionFormat=compression, Prefix="data/"))
    records = [b"%06d " % number + b"x" * (number % 1500) for number in range(3_000)]
    client.put(name, [record + b"\n" for record in records])
    delivered = client.delivered(len(records), "data/", read)
    assert sorted(delivered) == records
    keys = list(client.objects("data/"))
    assert len(keys) > 1, "1 MiB fills a buffer"
    assert all(key.rpartition("/")[2].startswith(f"{name}-1-") and key.endswith(extension) for key in keys)
