"""Buckets as Hive has them: hashes of both versions, by values that Hive and Trino agree about."""

import datetime

import pytest

from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats.hive_hash import hash_of
from clary.lake.types import parse_type


@pytest.mark.parametrize(
    ("kind", "value", "first", "second"),
    [
        ("boolean", True, 1, 1),
        ("tinyint", 127, 127, 127),
        ("smallint", -32768, -32768, 1342976838),
        ("int", 300_000, 300_000, -678663480),
        ("int", -(2**31), -(2**31), 1194881028),
        ("bigint", 300_000_000_000, -647710651, -888935297),
        ("bigint", -(2**63), -(2**31), 1728983947),
        ("float", 12.34, 1095069860, -381747602),
        ("float", float("nan"), 2143289344, -480354314),
        ("double", 12.34, 986311098, -2070733568),
        ("double", float("-inf"), -1048576, 141388605),
        ("string", "", 0, -965378730),
        ("string", "test string", -318923937, -138301454),
        ("string", "强大的Trino引擎", 1688501507, 1784416344),
        ("varchar(15)", "test string", -189841218, -138301454),
        ("date", datetime.date(1950, 11, 19), -6983, -431619185),
        ("string", None, 0, 0),
    ],
)
def test_hashes(kind, value, first, second):
    of = parse_type(kind)
    assert [hash_of(value, of, version) for version in (1, 2)] == [first & 0xFFFFFFFF, second & 0xFFFFFFFF]


def test_types_without_hashes():
    with pytest.raises(TaskFailed, match="not supported for columns of the type timestamp"):
        hash_of(datetime.date(2024, 1, 1), parse_type("timestamp"))
