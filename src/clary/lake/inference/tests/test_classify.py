"""Files are known by their bytes, in Glue's order, and their columns have the types that Glue gives them."""

import bz2
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clary.lake.inference.classify import classify
from clary.lake.inference.found import UNKNOWN, Found, read_found
from clary.lake.inference.merging import settled

pa = pytest.importorskip("pyarrow")

CSV = "carrier,flights,delay\nAA,12,1.5\nDL,7,\n"


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Found]:
    def look(data: bytes | str, *classifiers: dict[str, Any], name: str = "file") -> Found:
        path = tmp_path / "file"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        found = classify(path, name, classifiers)
        assert read_found(json.loads(json.dumps(found.document()))) == found
        return found

    return look


def types(found: Found) -> dict[str, str]:
    return {column.name: str(settled(column.type)) for column in found.columns}


@pytest.mark.parametrize("delimiter", list(",|\t;\x01"))
def test_separated_values(look: Any, delimiter: str) -> None:
    found = look(CSV.replace(",", delimiter))
    assert types(found) == {"carrier": "string", "flights": "bigint", "delay": "double"}
    assert found.properties["delimiter"] == delimiter
    assert found.properties["skip.header.line.count"] == "1"
    assert found.records == 2


def test_a_header_is_one_where_something_below_is_no_text(look: Any) -> None:
    assert types(look("a,b\nc,d\ne,f\n")) == {"col0": "string", "col1": "string"}
    assert types(look("1,b\n2,d\n")) == {"col0": "bigint", "col1": "string"}
    assert types(look("a,a\n1,true\n2,false\n")) == {"a": "bigint", "a_1": "boolean"}
    assert types(look('"x y","B"\n"1,5","2"\n')) == {"x y": "string", "b": "bigint"}
    assert look("only\none\ncolumn\n").classification == UNKNOWN
    assert look("Hello, this is a text.\nAnd, well, one more\nline of it.\n").classification == UNKNOWN


def test_csv_as_a_classifier_says(look: Any) -> None:
    rules = {"Delimiter": "^", "Header": ["n", "s"], "ContainsHeader": "ABSENT"}
    assert types(look("1^x\n2^y\n", {"CsvClassifier": {"Name": "c", **rules}})) == {"n": "bigint", "s": "string"}
    typed = {**rules, "CustomDatatypeConfigured": True, "CustomDatatypes": ["INT", "DATE"]}
    assert types(look("1^2024-01-01\n", {"CsvClassifier": {"Name": "c", **typed}})) == {"n": "int", "s": "date"}
    quoted = look("a,b\n1,2\n", {"CsvClassifier": {"Name": "c", "ContainsHeader": "PRESENT", "Serde": "OpenCSVSerDe"}})
    assert types(quoted) == {"a": "string", "b": "string"}
    assert quoted.serde == {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"}


def test_json(look: Any) -> None:
    rows = [
        {"Id": 1, "at": None, "tags": ["a"], "of": {"Name": "x", "n": 1}},
        {"Id": 2**40, "at": None, "tags": [], "of": {"Name": "y", "n": 1.5, "more": True}},
    ]
    wanted = {
        "id": "bigint",
        "at": "string",
        "tags": "array<string>",
        "of": "struct<Name:string,n:double,more:boolean>",
    }
    found = look("\n".join(map(json.dumps, rows)))
    assert types(found) == wanted
    assert found.paths == ("Id", "at", "of", "tags")
    assert types(look(json.dumps(rows[0], indent=2) + json.dumps(rows[1]))) == wanted
    element = ",".join(f"{name}:{type_}" for name, type_ in wanted.items()).replace("id:", "Id:")
    assert types(look(json.dumps(rows))) == {"array": f"array<struct<{element}>>"}
    path = {"JsonClassifier": {"Name": "j", "JsonPath": "$[*]"}}
    assert types(look(json.dumps(rows), path)) == wanted
    nested = {"JsonClassifier": {"Name": "j", "JsonPath": "$.data['rows'][*]"}}
    assert types(look(json.dumps({"data": {"rows": [{"a": 1}]}}), nested)) == {"a": "int"}
    orders: list[dict[str, Any]] = [{"items": [], "to": {"lon": None, "no": [None]}}]
    orders += [{"items": [{"n": 1}, {"n": 2.5, "of": {}}], "to": {"lon": 3, "no": []}}, *orders]
    assert types(look("\n".join(map(json.dumps, orders)))) == {
        "items": "array<struct<n:double,of:string>>",
        "to": "struct<lon:int,no:array<string>>",
    }
    large = [{"number": number, "text": "x" * 1000} for number in range(2000)]
    assert types(look(json.dumps(large), path)) == {"number": "int", "text": "string"}
    assert types(look("\n".join(map(json.dumps, large)))) == {"number": "int", "text": "string"}
    assert look("[1, 2").classification == UNKNOWN
    assert look("{not json").classification == UNKNOWN


def test_xml(look: Any) -> None:
    text = '<all><it id="7"><price>2.5</price></it><it id="8"><price>3</price><tag>a</tag><tag>b</tag></it></all>'
    assert types(look(text)) == {"_id": "int", "price": "double", "tag": "array<string>"}
    classifier = {"XMLClassifier": {"Name": "x", "Classification": "prices", "RowTag": "all"}}
    assert look(text, classifier).classification == "prices"
    assert look('<!DOCTYPE a [<!ENTITY b "c">]>' + text).classification == UNKNOWN


def test_logs(look: Any) -> None:
    common = '10.0.0.1 - ann [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 23\n'
    assert look(common * 3).classification == "apache"
    assert look(common.replace("\n", ' "-" "curl"\n') * 3).classification == "combined_apache"
    assert look("Oct 11 22:14:15 host sshd[42]: hello\n" * 3).classification == "syslog"
    pattern = {"Classification": "app", "GrokPattern": "%{LEVEL:level} %{INT:ms:int} %{GREEDYDATA:text}"}
    classifier = {"GrokClassifier": {"Name": "g", "CustomPatterns": "LEVEL [A-Z]+", **pattern}}
    found = look("WARN 12 slow, again\nINFO 3 fine, then\n", classifier)
    assert (found.classification, types(found)) == ("app", {"level": "string", "ms": "int", "text": "string"})


def test_files_that_say_their_columns(look: Any) -> None:
    import fastavro
    import pyarrow.parquet as pq
    from pyarrow import orc

    of = pa.struct([("X", pa.float32()), ("ys", pa.list_(pa.decimal128(12, 2)))])
    fields = {
        "Id": pa.int32(),
        "at": pa.timestamp("us"),
        "day": pa.date32(),
        "of": of,
        "m": pa.map_(pa.string(), pa.int64()),
    }
    table = pa.table({name: pa.array([None, None], type_) for name, type_ in fields.items()})
    wanted = {
        "id": "int",
        "at": "timestamp",
        "day": "date",
        "of": "struct<X:float,ys:array<decimal(12,2)>>",
        "m": "map<string,bigint>",
    }
    for write, classification in ((pq.write_table, "parquet"), (orc.write_table, "orc")):
        sink = io.BytesIO()
        write(table, sink)
        found = look(sink.getvalue())
        assert (found.classification, types(found), found.records) == (classification, wanted, 2)
        with pytest.raises(ValueError, match="damaged"):
            look(sink.getvalue()[:-20])
    moment = {"type": "long", "logicalType": "timestamp-millis"}
    columns = [{"name": "Id", "type": ["null", "long"]}, {"name": "at", "type": moment}]
    schema = {"type": "record", "name": "r", "fields": columns}
    sink = io.BytesIO()
    fastavro.writer(sink, schema, [{"Id": 1, "at": 0}])
    found = look(sink.getvalue())
    assert (found.classification, types(found)) == ("avro", {"id": "bigint", "at": "timestamp"})
    assert json.loads(found.properties["avro.schema.literal"])["name"] == "r"


def test_what_is_compressed_is_looked_into(look: Any) -> None:
    def zipped() -> bytes:
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w") as archive:
            archive.writestr("flights.csv", CSV)
        return sink.getvalue()

    def by_arrow(codec: str) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(CSV.encode())
        return bytes(sink.getvalue())

    snappy = bytes(pa.Codec("snappy").compress(CSV.encode(), asbytes=True))
    hadoop = len(CSV).to_bytes(4, "big") + len(snappy).to_bytes(4, "big") + snappy
    for compression, data, name in (
        ("gzip", gzip.compress(CSV.encode()), "f.gz"),
        ("bzip2", bz2.compress(CSV.encode()), "f.bz2"),
        ("zip", zipped(), "f.zip"),
        ("zstd", by_arrow("zstd"), "f"),
        ("lz4", by_arrow("lz4"), "f"),
        ("snappy", snappy, "f.snappy"),
        ("snappy", hadoop, "f.snappy"),
    ):
        found = look(data, name=name)
        assert (found.classification, found.compression, found.records) == ("csv", compression, 2)
    with pytest.raises(ValueError, match="unpacked"):
        look(b"\x1f\x8bnothing")


def test_no_bytes_break_it(look: Any) -> None:
    from hypothesis import given
    from hypothesis import strategies as st

    beginnings = st.sampled_from([b"", b"{", b"[", b"<a", b"Obj\x01", b"ORC", b"PAR1", b"\x1f\x8b", b"BZh9", b"a,b\n"])

    @given(beginnings, st.binary(max_size=200))
    def try_it(beginning: bytes, rest: bytes) -> None:
        try:
            look(beginning + rest)
        except ValueError:
            pass

    try_it()
