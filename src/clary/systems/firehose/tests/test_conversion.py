"""JSON records become files of columns: exactly those that fit."""

import io
import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.kernel.core.errors import AwsError
from clary.systems.firehose.conversion.checks import check_conversion
from clary.systems.firehose.conversion.timestamps import days, joda_reader, nanoseconds
from clary.systems.firehose.destinations.contract import Record

pa = pytest.importorskip("pyarrow")

from clary.lake.types import arrow_type  # noqa: E402
from clary.systems.firehose.conversion.columns import Reading  # noqa: E402
from clary.systems.firehose.conversion.files import Conversion, Format  # noqa: E402
from clary.systems.firehose.conversion.rows import rows_of  # noqa: E402

PARQUET: dict[str, Any] = {"ParquetSerDe": {}}
ORC: dict[str, Any] = {"OrcSerDe": {}}
EVERY_TYPE = {
    "tiny": "tinyint",
    "small": "smallint",
    "whole": "int",
    "large": "bigint",
    "ratio": "float",
    "exact": "double",
    "money": "decimal(38,10)",
    "yes": "boolean",
    "text": "string",
    "short": "varchar(10)",
    "raw": "binary",
    "day": "date",
    "at": "timestamp",
    "tags": "array<string>",
    "counts": "map<string,bigint>",
    "place": "struct<lat:double,names:array<struct<lang:string,name:string>>>",
}


def columns(types: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Type": type_} for name, type_ in types.items()]


def configuration(
    serializer: Mapping[str, Any] = PARQUET, deserializer: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "SchemaConfiguration": {"RoleARN": "r", "DatabaseName": "d", "TableName": "t"},
        "InputFormatConfiguration": {"Deserializer": deserializer or {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": serializer},
    }


def converted(
    folder: Path, types: Mapping[str, str], given: Sequence[Any], **how: Any
) -> tuple[list[dict[str, Any]], dict[int, tuple[str, str]]]:
    """The rows of a file, and the codes and messages of what became none, by the record."""
    settings = configuration(**how)
    check_conversion(settings)
    conversion = Conversion(lambda: Format(columns(types), settings), folder)
    for number, each in enumerate(given):
        data = each if isinstance(each, bytes) else orjson.dumps(each)
        conversion.add(Record(str(number), 0, data, {}))
    file = conversion.finish()
    assert conversion.finish() is file
    data = file if isinstance(file, bytes) else file.read_bytes()
    failures = {int(record.id): (failure.code, failure.message) for record, failure in conversion.failures}
    conversion.discard()
    assert list(folder.iterdir()) == []
    return read(data) if data else [], failures


def read(data: bytes) -> list[dict[str, Any]]:
    from pyarrow import orc, parquet

    table = orc.read_table(io.BytesIO(data)) if data[:3] == b"ORC" else parquet.read_table(io.BytesIO(data))
    return list(table.to_pylist())


@pytest.mark.parametrize("serializer", [PARQUET, ORC], ids=["parquet", "orc"])
def test_every_type_is_what_was_sent(tmp_path: Path, serializer: Mapping[str, Any]) -> None:
    full = (
        b'{"tiny": -128, "small": 32767, "Whole": 2147483647, "large": -9223372036854775808, "ratio": 0.5,'
        b' "exact": 1e300, "money": 1234567890123456789012345678.0123456789, "yes": true, "text": "\xc3\xa9\\u0000",'
        b' "short": "ten", "raw": "bytes", "day": "2024-02-29", "at": "2024-02-29T12:00:01.123456Z",'
        b' "tags": ["a", null],'
        b' "counts": {"x": 1, "y": null}, "place": {"LAT": 1.5, "names": [{"lang": "en", "name": "here"}, null]}}'
    )
    rows, failures = converted(
        tmp_path, EVERY_TYPE, [full, b"{}", {"unknown": 1, "tags": [], "counts": {}}], serializer=serializer
    )
    assert failures == {}
    first, second, third = rows
    assert {**first, "counts": dict(first["counts"]), "at": iso(first["at"])} == {
        "tiny": -128,
        "small": 32767,
        "whole": 2147483647,
        "large": -(2**63),
        "ratio": 0.5,
        "exact": 1e300,
        "money": Decimal("1234567890123456789012345678.0123456789"),
        "yes": True,
        "text": "é\0",
        "short": "ten",
        "raw": b"bytes",
        "day": date(2024, 2, 29),
        "at": "2024-02-29T12:00:01.123456",
        "tags": ["a", None],
        "counts": {"x": 1, "y": None},
        "place": {"lat": 1.5, "names": [{"lang": "en", "name": "here"}, None]},
    }
    assert set(second.values()) == {None}
    assert (third["tags"], third["counts"], third["text"]) == ([], [], None)


def iso(moment: Any) -> str:
    return str(moment.isoformat())


def test_what_is_written_otherwise_is_read_where_nothing_is_lost(tmp_path: Path) -> None:
    types = {"n": "bigint", "x": "double", "b": "boolean", "s": "string", "d": "decimal(6,2)"}
    given = [
        {"n": "42", "x": "0.25", "b": "TRUE", "s": 5, "d": "12.50"},
        {"n": 42.0, "x": 1, "b": 0, "s": {"a": [1, True]}, "d": 9999.99},
    ]
    rows, failures = converted(tmp_path, types, given)
    assert failures == {}
    assert rows == [
        {"n": 42, "x": 0.25, "b": True, "s": "5", "d": Decimal("12.50")},
        {"n": 42, "x": 1.0, "b": False, "s": '{"a":[1,true]}', "d": Decimal("9999.99")},
    ]


@pytest.mark.parametrize(
    ("type_", "wrong"),
    [
        ("tinyint", [128, -129, "x", True, 1.5, [1], "1e999999999", "NaN"]),
        ("bigint", [2**63, "", {}]),
        ("float", [1e39, "x", False]),
        ("double", ["x", True, []]),
        ("decimal(4,2)", [100, "1.234", 1.005, "1e999999", "Infinity", True]),
        ("boolean", [2, "maybe", 1.5]),
        ("date", ["2024-02-30", 5, "yesterday"]),
        ("timestamp", ["2024-01-01 25:00:00", True, "noon", 1e300, "9" * 5000, "2500-01-01 00:00:00"]),
        ("array<int>", [5, {"a": 1}, ["x"]]),
        ("map<int,int>", [{"x": 1}, [1], {"1": "y"}]),
        ("struct<a:int>", [[1], "x", {"a": "y"}]),
    ],
)
def test_what_does_not_fit_is_told_and_the_rest_is_kept(tmp_path: Path, type_: str, wrong: list[Any]) -> None:
    given = [
        each
        for value in wrong
        for each in ({"c": None}, orjson.dumps({"c": value}) if value != 2**63 else b'{"c":9223372036854775808}')
    ]
    rows, failures = converted(tmp_path, {"c": type_}, given)
    assert rows == [{"c": None}] * len(wrong)
    assert sorted(failures) == list(range(1, 2 * len(wrong), 2))
    for code, message in failures.values():
        assert code == "DataFormatConversion.MalformedData"
        assert message.startswith("Data does not match the schema. c: ")
        assert len(message) < 300


def test_records_that_are_no_objects_fail_and_several_objects_are_rows(tmp_path: Path) -> None:
    given = [
        b"",
        b"[{}]",
        b"{",
        b"\xff{}",
        b"[" * 100_000,
        b'{"a":1}{"a":2}\n {"a":3}\n',
        b'{"a":4}{"a":"x"}',
        b"5",
        b"{}x",
    ]
    rows, failures = converted(tmp_path, {"a": "int"}, given)
    assert [row["a"] for row in rows] == [1, 2, 3]
    codes = {number: code.rpartition(".")[2] for number, (code, _) in failures.items()}
    assert codes == {number: "ParseError" for number in (0, 1, 2, 3, 4, 7, 8)} | {6: "MalformedData"}


@pytest.mark.parametrize("type_", ["string", "int", "array<string>"])
def test_what_is_nested_deeply_harms_nobody(tmp_path: Path, type_: str) -> None:
    deep = [b'{"c":' + b"[" * depth + b"]" * depth + b"}" for depth in (100, 990, 1000, 1020, 5000)]
    rows, failures = converted(tmp_path, {"c": type_}, [*deep, b"{}"])
    assert len(rows) + len(failures) == 6
    assert rows[-1] == {"c": None}
    assert 4 in failures


_PLAIN = st.sampled_from(
    ["tinyint", "bigint", "float", "double", "decimal(5,2)", "boolean", "string", "binary", "date", "timestamp"]
)
_TYPES = st.recursive(
    _PLAIN,
    lambda inner: st.one_of(
        inner.map("array<{}>".format),
        st.tuples(inner, inner).map(lambda both: "map<{},{}>".format(*both)),
        st.tuples(inner, inner).map(lambda both: "struct<a:{},b:{}>".format(*both)),
    ),
    max_leaves=3,
)
_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=6),
        st.sampled_from(["2024-01-01", "9999-12-31 23:59:59", "1e999999999", "-Infinity", "NaN", "\ud800", 10**400]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from("abAB"), st.text(max_size=3)), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(
    st.lists(_TYPES, min_size=1, max_size=3),
    st.lists(st.dictionaries(st.sampled_from(["c0", "c1", "C0", "x"]), _VALUES), min_size=1, max_size=5),
)
def test_every_record_is_a_row_or_a_failure(types: list[str], given_: list[dict[str, Any]]) -> None:
    schema = pa.schema([(f"c{place}", arrow_type(type_)) for place, type_ in enumerate(types)])
    records = [Record("", 0, json.dumps(each).encode(), {}) for each in given_]
    rows = rows_of(records, schema, Reading())
    assert sorted([*rows.owners, *(failure.index for failure in rows.failures)]) == list(range(len(records)))
    assert rows.batch.num_rows == len(rows.owners)
    rows.batch.validate(full=True)


def test_keys_are_found_as_the_deserializer_says(tmp_path: Path) -> None:
    types = {"a_b": "int", "ts": "int", "Upper": "int"}
    given = [{"a.b": 1, "timestamp": 2, "UPPER": 3}]
    serde: dict[str, Any] = {"ConvertDotsInJsonKeysToUnderscores": True, "ColumnToJsonKeyMappings": {"ts": "timestamp"}}
    rows, _ = converted(tmp_path, types, given, deserializer={"OpenXJsonSerDe": serde})
    assert rows == [{"a_b": 1, "ts": 2, "Upper": 3}]
    rows, _ = converted(tmp_path, types, given, deserializer={"OpenXJsonSerDe": {"CaseInsensitive": False}})
    assert rows == [{"a_b": None, "ts": None, "Upper": None}]
    hive = {"HiveJsonSerDe": {"TimestampFormats": ["dd/MM/yyyy HH:mm", "millis"]}}
    rows, failures = converted(
        tmp_path, {"t": "timestamp"}, [{"T": "09/03/2024 12:30"}, {"t": 1500}, {"t": "x"}], deserializer=hive
    )
    assert [iso(row["t"]) for row in rows] == [
        "2024-03-09T12:30:00",
        "1970-01-01T00:00:01.500000",
    ]
    assert list(failures) == [2]


def test_times() -> None:
    second = 1_000_000_000
    noon = int(datetime(2024, 3, 9, 12, tzinfo=UTC).timestamp())
    for text in (
        "2024-03-09 12:00:00",
        "2024-3-9T12:00:00Z",
        "2024-03-09T14:00:00+02:00",
        noon,
        noon * 1000,
        str(noon),
    ):
        assert nanoseconds(text) == noon * second
    assert nanoseconds("2024-03-09 12:00:00.000000001") == noon * second + 1
    assert nanoseconds(1518033528.123) == 1518033528123 * 1_000_000
    assert days("1969-12-31") == -1
    for pattern, text in (
        ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2024-03-09T07:00:00.000-0500"),
        ("EEE MMM d hh:mm:ss a yyyy", "Sat Mar 9 12:00:00 PM 2024"),
        ("yy.M.d H 'o''clock'", "24.3.9 12 o'clock"),
        ("yyyyMMddHHmmss", "20240309120000"),
        ("yyyy DDD HH", "2024 069 12"),
    ):
        assert joda_reader([pattern])(text) == noon * second, pattern
    for wrong in ("yyyy-QQ", "HH:mm", "yyyy 'x", "yyyy yyyy"):
        with pytest.raises(ValueError):
            joda_reader([wrong])


def test_hive_types() -> None:
    assert arrow_type("struct<a:array<map<string,decimal(5)>>, `b c` : TIMESTAMP >") == pa.struct(
        [("a", pa.list_(pa.map_(pa.string(), pa.decimal128(5, 0)))), ("b c", pa.timestamp("ns"))]
    )
    for wrong in (
        "",
        "uniontype<int>",
        "array<int",
        "struct<>",
        "struct<a:int,A:int>",
        "int>",
        "decimal(39,0)",
        "array<" * 99,
    ):
        with pytest.raises(ValueError):
            arrow_type(wrong)


def test_files_are_written_as_asked(tmp_path: Path) -> None:
    from pyarrow import orc, parquet

    types = {"n": "bigint", "s": "struct<x:int,y:int>", "t": "string"}
    given = [orjson.dumps({"n": number, "t": str(number % 10)}) for number in range(1000)]

    def file(serializer: Mapping[str, Any]) -> io.BytesIO:
        conversion = Conversion(lambda: Format(columns(types), configuration(serializer)), tmp_path)
        for data in given:
            conversion.add(Record("", 0, data, {}))
        made = conversion.finish()
        assert isinstance(made, bytes)
        return io.BytesIO(made)

    plain = parquet.ParquetFile(file({"ParquetSerDe": {}})).metadata.row_group(0).column(0)
    assert (plain.compression, "RLE_DICTIONARY" in plain.encodings) == ("SNAPPY", False)
    other = {"Compression": "GZIP", "EnableDictionaryCompression": True, "WriterVersion": "V2"}
    packed = parquet.ParquetFile(file({"ParquetSerDe": other})).metadata.row_group(0).column(0)
    assert (packed.compression, "RLE_DICTIONARY" in packed.encodings) == ("GZIP", True)
    serde = {"Compression": "ZLIB", "FormatVersion": "V0_11", "RowIndexStride": 1000, "BloomFilterColumns": ["t"]}
    made = orc.ORCFile(file({"OrcSerDe": serde}))
    assert (made.compression, made.file_version, made.row_index_stride) == ("ZLIB", "0.11", 1000)


def test_a_large_file_is_made_on_disk(tmp_path: Path) -> None:
    noise = random.Random(7)
    types = {"id": "int", "noise": "string"}
    given = [{"id": number, "noise": noise.randbytes(10_000).hex()} for number in range(1000)]
    given[500] = {"id": "none"}
    rows, failures = converted(tmp_path, types, given)
    assert list(failures) == [500]
    assert rows == given[:500] + given[501:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SchemaConfiguration": None}, "SchemaConfiguration cannot be null"),
        ({"SchemaConfiguration": {"RoleARN": "r", "DatabaseName": "d"}}, "TableName"),
        (
            {"SchemaConfiguration": {"RoleARN": "r", "DatabaseName": "d", "TableName": "t", "VersionId": "new"}},
            "VersionId",
        ),
        ({"InputFormatConfiguration": {"Deserializer": {}}}, "has neither"),
        (
            {"InputFormatConfiguration": {"Deserializer": {"HiveJsonSerDe": {"TimestampFormats": ["?Q"]}}}},
            "TimestampFormats",
        ),
        ({"OutputFormatConfiguration": {"Serializer": {**PARQUET, **ORC}}}, "ParquetSerDe and OrcSerDe"),
        ({"OutputFormatConfiguration": {"Serializer": {"OrcSerDe": {"EnablePadding": True}}}}, "EnablePadding"),
    ],
)
def test_what_cannot_be_honoured_is_refused(change: Mapping[str, Any], message: str) -> None:
    with pytest.raises(AwsError, match=message) as refused:
        check_conversion({**configuration(), **change})
    assert refused.value.code == "InvalidArgumentException"
