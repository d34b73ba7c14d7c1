"""What processors make of one record."""

import gzip
import hashlib
import json

import pytest

from clary.systems.firehose.processors.deaggregation import delimited, json_values, producer_records
from clary.systems.firehose.processors.extraction import Extraction
from clary.systems.firehose.processors.messages import gunzipped, log_messages
from clary.systems.firehose.processors.parameters import keys_of_query


def field(number: int, data: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes."""
    size, value = b"", len(data)
    while value > 0x7F:
        size += bytes([value & 0x7F | 0x80])
        value >>= 7
    return bytes([number << 3 | 2]) + size + bytes([value]) + data


def aggregated(records: list[bytes]) -> bytes:
    """What the Kinesis Producer Library sends for several user records."""
    message = field(1, b"key") + b"".join(field(3, b"\x08\x00" + field(3, data)) for data in records)
    return b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest()


def test_json_values_are_parted_as_they_were_written() -> None:
    assert json_values(b' {"a": "}{"}\n{"b":[1, 2]}[3]') == [b'{"a": "}{"}', b'{"b":[1, 2]}', b"[3]"]
    assert json_values(b" \n") == []
    assert json_values('{"ä": "ß"}{"x":1}'.encode())[0].decode() == '{"ä": "ß"}'
    for broken in (b'{"a": 1', b'{"a": 1} x', b"\xff{}", b"1 2", b"[" * 100_000):
        with pytest.raises(ValueError):
            json_values(broken)


def test_delimited_parts() -> None:
    assert delimited(b"a##b####c", b"##") == [b"a", b"b", b"c"]


def test_producer_library_records_are_taken_apart() -> None:
    records = [b"one", b"", b"x" * 300]
    assert producer_records(aggregated(records)) == records
    whole = aggregated(records)
    for untouched in (b"plain", whole[:-1] + b"?", b"\xf3\x89\x9a\xc2", b"\xf3\x89\x9a\xc2" + b"\xff" * 40):
        assert producer_records(untouched) == [untouched]
    message = b"\x1a\xff\xff"
    broken = b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest()
    assert producer_records(broken) == [broken]


def test_gzip_members_are_joined_and_bombs_refused() -> None:
    assert gunzipped(gzip.compress(b"one") + gzip.compress(b"two")) == b"onetwo"
    for broken in (b"plain", gzip.compress(b"x" * 1000)[:-4], gzip.compress(b"\0" * (65 << 20))):
        with pytest.raises(ValueError):
            gunzipped(broken)


def test_messages_of_cloudwatch_logs() -> None:
    document = {"messageType": "DATA_MESSAGE", "logEvents": [{"message": "a"}, {"message": "b"}]}
    assert log_messages(json.dumps(document).encode()) == [b"a", b"b"]
    assert log_messages(b'{"messageType": "CONTROL_MESSAGE"}') == []
    with pytest.raises(ValueError):
        log_messages(b'{"a": 1}')


def test_partition_keys_are_found_by_a_query() -> None:
    query = '{customer: .id, year: .at[0:4], big: (.n > 1), n: .n, f: .f, "quoted": .x.y}'
    assert keys_of_query(query) == {"customer", "year", "big", "n", "f", "quoted"}
    record = b'{"id": "c", "at": "2018-08", "n": 2, "f": 1.5, "x": {"y": "z"}}'
    keys = Extraction(query).keys(record)
    assert keys == {"customer": "c", "year": "2018", "big": "true", "n": "2", "f": "1.5", "quoted": "z"}
    for broken in (b"no json", b"{}", b'{"id": [], "at": "2018"}'):
        with pytest.raises(ValueError):
            Extraction("{customer: .id}").keys(broken)
