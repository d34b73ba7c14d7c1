"""Texts as the serializers of Hive read them, in every compression."""

import bz2
import gzip
import json
import zlib
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.lake import tables
from clary.lake.formats.compressors import COMPRESSORS, text_compressor
from clary.lake.formats.fields import OpenCsv
from clary.lake.formats.java_regex import compile_java
from clary.lake.formats.tests.reading import fails, rows_of, scan_of

at = datetime.fromisoformat


@pytest.fixture
def read(tmp_path):
    """Reads bytes as a table; `name` is what the object is called."""

    def read(columns, body, format_, name="file", fail=False, **serde):
        path = tmp_path / name
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
        scan = scan_of([path], columns, format_, {key.replace("__", "."): value for key, value in serde.items()})
        return fails(scan) if fail else rows_of(scan)

    return read


def test_lazy_simple(read):
    body = "1|x\n\n2|y|z|more\n \\N|\\N|\\N\nnan|"
    assert read("a int; b string; c string", body, tables.CSV, field__delim="|") == [
        (1, "x", None), (None, None, None), (2, "y", "z"), (None, None, None), (None, "", None),
    ]  # fmt: skip
    body = "+2.9,1.25,4,TRUE,2024-2-3\n1e3,x,1,t,2024-13-01"
    assert read("a int; d decimal(4,1); f float; b boolean; t date", body, tables.CSV, field__delim=",") == [
        (2, Decimal("1.3"), 4.0, True, date(2024, 2, 3)), (None, None, 1.0, None, None),
    ]  # fmt: skip
    body = "128,9223372036854775808\n-128,-9223372036854775808"
    assert read("i tinyint; j bigint", body, tables.CSV, field__delim=",") == [
        (None, None), (-128, -(2**63)),
    ]  # fmt: skip
    nested = "m map<string,array<int>>; s struct<a:int,b:map<string,string>>"
    signs = {"field.delim": "|", "collection.delim": ",", "mapkey.delim": ":", "serialization.null.format": ""}
    assert read(nested, "k:1!2,l:3,k:9|5,x!y", tables.CSV, **signs) == [
        ({"k": [None], "l": [3]}, {"a": 5, "b": {"x!y": None}}),
    ]  # fmt: skip
    assert read(nested, "k\3001\0042\0021\3|\n", tables.CSV, field__delim="|")[0][1] == {"a": None, "b": None}


def test_lazy_simple_with_escapes_headers_and_times(read):
    body = "head\nhead\na\\;b;2024-01-02 03:04:05.678;1\nc\\\\;31.12.2023 10:20;2\n\\N;x;3\nfoot\n"
    assert read(
        "s string; t timestamp; n int", body, tables.CSV, field__delim=";", escape__delim="\\",
        skip__header__line__count="2", skip__footer__line__count="1", timestamp__formats="dd.MM.yyyy HH:mm",
    ) == [
        ("a;b", at("2024-01-02 03:04:05.678"), 1), ("c\\", at("2023-12-31 10:20"), 2), (None, None, 3),
    ]  # fmt: skip
    wrong = read("s string", "x", tables.CSV, fail=True, skip__header__line__count="two")
    assert wrong == ("HIVE_INVALID_METADATA", "Invalid value for skip.header.line.count property: two")
    assert read("a string; b string", b"\xe9,x\r\ny\rz", tables.CSV, field__delim=",") == [
        ("\ufffd", "x"), ("y", None), ("z", None),
    ]  # fmt: skip


def test_open_csv(read):
    body = '"x ""y"" \\"z\\"",5,18000,1579059880000\n"a,b",6\n\nonly,7,1,1,more\n'
    assert read("a string; b int; d date; t timestamp", body, tables.OPEN_CSV) == [
        ('x "y" "z"', 5, date(2019, 4, 14), at("2020-01-15 03:44:40")), ("a,b", 6, None, None),
        (None, None, None, None), ("only", 7, date(1970, 1, 2), at("1970-01-01 00:00:00.001")),
    ]  # fmt: skip
    # Hive's habit: told to escape by a quote, what reads escapes by a backslash.
    assert read("a string; b string", '"c ""q"" d","x\\"y"\n', tables.OPEN_CSV, escapeChar='"') == [('c "q" d', 'x"y')]
    assert read("a string; b string", "'x y'\t'q'\n", tables.OPEN_CSV, separatorChar="\t", quoteChar="'") == [
        ("x y", "q")
    ]
    code, message = read("a string; b int", '"x",\n', tables.OPEN_CSV, fail=True)
    assert (code, message) == ("HIVE_BAD_DATA", "Error parsing field value '' for field 1: not a value of int")


@given(st.lists(st.text(alphabet='a,"\\ b', max_size=8), min_size=1, max_size=5))
def test_open_csv_alike_however_it_is_split(lines):
    """What regular expressions say is regular is split as sign by sign."""
    csv = OpenCsv(",", '"', "\\")
    assert csv(pa.array(lines, pa.string())).to_pylist() == [csv.fields(line) if line else None for line in lines]


def test_json(read):
    columns = "a int; b string; c struct<x:int,yy:array<double>>; m map<string,int>; t timestamp; o boolean"
    body = """{"A":1,"b":{"Q":[1, 2.5]},"C":{"X":"7","Yy":[1,2.5]},"m":{"Key":1},"T":"2020-01-01T01:02:03Z","o":"TRUE"}
        {"a":2.7,"b":12345678901234567890123,"t":1577934245,"m":{},"o":false}

        {"t":1577934245678,"b":true, "c":null}"""
    assert read(columns, body, tables.JSON) == [
        (1, '{"Q":[1,2.5]}', {"x": 7, "yy": [1.0, 2.5]}, {"Key": 1}, at("2020-01-01 01:02:03"), True),
        (2, "12345678901234567890123", None, {}, at("2020-01-02 03:04:05"), False),
        (None,) * 6,
        (None, "true", None, None, at("2020-01-02 03:04:05.678"), None),
    ]
    keys = {"dots.in.keys": "true", "mapping.zz": "Other"}
    assert read("a_b int; zz string", '{"a.b":5,"Other":"q"}\n', tables.JSON, **keys) == [(5, "q")]
    assert read("a int; b int", '{"A":5,"b":6}\n', tables.JSON, case__insensitive="false") == [(None, 6)]
    exact = '{"d":1001161287349.0429,"l":[9007199254740993],"s":{"x":[1234567890123456]}}'
    assert read("d decimal(17,4); l array<decimal(16,0)>; s string", exact, tables.JSON) == [
        (Decimal("1001161287349.0429"), [Decimal(9007199254740993)], '{"x":[1234567890123456]}')
    ]
    odd = "[-0,1.50,0.00001,1E2,1e400,0.1234567890123456789,12345678901234567890123]"
    body = f"""{{"p":1.50,"n":{{"Sum":{odd}}},"l":{odd},"i":1e3,"m":{{"K":2.0e1}},"s":{{"x":{odd},"y":"1.50 é"}}}}"""
    spaced, texts = body.replace(":", " : ").replace(",", " , "), odd[1:-1].split(",")
    types = "p string; n string; l array<string>; i int; m map<string,varchar(9)>; s struct<x:string,y:string>"
    for text in (body, spaced.replace('"p"', '"P"')):
        told = ("1.50", f'{{"Sum":{odd}}}', texts, 1000, {"K": "2.0e1"}, {"x": odd, "y": "1.50 é"})
        assert read(types, text, tables.JSON) == [told]
    broken = '{"a":1}\n{"a":\n{"a":3}'
    assert read("a int", broken, tables.JSON, ignore__malformed__json="true") == [(1,), (None,), (3,)]
    assert read("a int", broken, tables.JSON, fail=True)[0] == "HIVE_CURSOR_ERROR"
    assert read("a int", '{"a":"x"}', tables.JSON, fail=True) == (
        "HIVE_BAD_DATA", "Error parsing field value 'x' for field a: not a value of int",
    )  # fmt: skip


def test_patterns(read):
    pattern = r"(?<verb>[A-Z&&[^Q]]+) (\p{Alnum}++) ([^ ]*)"
    assert read("a string; n int; c string", "GET 12 x\nbad\nPUT abc \n", tables.REGEX, input__regex=pattern) == [
        ("GET", 12, "x"), (None, None, None), ("PUT", None, ""),
    ]  # fmt: skip
    assert read("a string", "xy\n", tables.REGEX, input__regex="(x)(y)( .*)?") == [("x",)]
    assert read("a string; b string", "x\n", tables.REGEX, fail=True, input__regex="(x)")[0] == "HIVE_CURSOR_ERROR"
    assert read("a string", "x\n", tables.REGEX, fail=True, input__regex="(a")[0] == "HIVE_INVALID_METADATA"
    serde = {"input.format": "%{IP:ip} %{NUMBER:n} %{ID:i}", "input.grokCustomPatterns": "ID [a-z]{2}[0-9]+"}
    assert read("ip string; n int; i string", "1.2.3.4 55 ab12\nno\n", tables.GROK, **serde) == [
        ("1.2.3.4", 55, "ab12"), (None, None, None),
    ]  # fmt: skip
    # Columns that are called as fields, or as patterns without one, are these; the manual's table of Postfix has both.
    postfix = {
        "input.format": "%{SYSLOGBASE} %{QUEUE:queue_id}: %{GREEDYDATA:Said}",
        "input.grokCustomPatterns": "QUEUE [0-9A-F]{7,12}",
    }
    line = "Feb  9 07:15:00 m4eastmail postfix/smtpd[19305]: B88C4120838: connect from unknown[192.168.55.4]\n"
    assert read("syslogbase string; said string; queue_id string", line, tables.GROK, **postfix) == [
        ("Feb  9 07:15:00 m4eastmail postfix/smtpd[19305]:", "connect from unknown[192.168.55.4]", "B88C4120838")
    ]


def test_cloudtrail(read):
    records = [
        {"eventTime": "2024-01-02T03:04:05Z", "userIdentity": {"userName": "Al\n"}, "requestParameters": {"key": "B"}},
        {"eventTime": "2024-01-02T03:04:06Z", "readOnly": True, "requestParameters": None},
    ]  # fmt: skip
    columns = "eventtime string; useridentity struct<username:string>; requestparameters string; readonly string"
    rows = [
        ("2024-01-02T03:04:05Z", {"username": "Al\n"}, '{"key":"B"}', None),
        ("2024-01-02T03:04:06Z", None, None, "true"),
    ]
    for indent in (None, 2):
        body = json.dumps({"a": [{"Records": 1}], "Records": records, "z": 1}, indent=indent)
        assert read(columns, gzip.compress(body.encode()), tables.CLOUDTRAIL, name="a.json.gz") == rows
    assert read(columns, "{}", tables.CLOUDTRAIL) == []
    for broken in ("", "[]", '{"Records":[{}', '{"Records":[{} {}]}', '{"Records":[]'):
        assert read(columns, broken, tables.CLOUDTRAIL, fail=True)[0] == "HIVE_CURSOR_ERROR"


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"\Qa.b\E+", "a.bbb", True),
        (r"[a-z&&[^aeiou]]+", "xyz", True), (r"[a-z&&[^aeiou]]+", "xaz", False),
        (r"[a-c[x-z]]+", "axz", True), (r"[^\[\]]+", "a[", False), (r"(?i)abc", "ABC", True),
        (r"\x{41}\u0042\0103", "ABC", True),
        (r"(?<n>a)\k<n>", "aa", True), (r"\p{L}+\d", "Köln5", True), (r"\d", "\u0664", False),
        (r"a++b(?>c|cd)e", "aabce", True),
        (r"\h\R", "\t\r\n", True), (r"[\w&&[^\d]]+", "ab_", True),
    ],
)  # fmt: skip
def test_java_regular_expressions(pattern, text, matches):
    assert bool(compile_java(pattern).fullmatch(text)) is matches


TEXT = "".join(f"{n},text {n}\n" for n in range(20_000))


@pytest.mark.parametrize("name", [*COMPRESSORS, "framed", "lz4 frame", "members", "bare deflate"])
def test_compressions(read, name):
    data = TEXT.encode()
    if name in COMPRESSORS:
        compressor = text_compressor(name)
        body, ending = compressor.add(data) + compressor.finish(), COMPRESSORS[name].ending
        assert name == "none" or len(body) < len(data)
    elif name == "framed":
        chunks = [data[place : place + 65_536] for place in range(0, len(data), 65_536)]
        packed = [b"\0\0\0\0" + pa.compress(chunk, codec="snappy", asbytes=True) for chunk in chunks]
        body = b"\xff\x06\x00\x00sNaPpY" + b"".join(b"\0" + len(each).to_bytes(3, "little") + each for each in packed)
        ending = ".snappy"
    elif name == "lz4 frame":
        body, ending = pa.compress(data, codec="lz4", asbytes=True), ".lz4"
    elif name == "members":
        body, ending = gzip.compress(data[:1000]) + gzip.compress(data[1000:]), ".gz"
    else:
        deflater = zlib.compressobj(wbits=-15)
        body, ending = deflater.compress(data) + deflater.flush(), ".deflate"
    rows = read("n int; t string", body, tables.CSV, f"file{ending}", field__delim=",")
    assert rows == [(n, f"text {n}") for n in range(20_000)]
    if ending:
        code, message = read("n int", body[:-20], tables.CSV, f"cut{ending}", fail=True)
        assert code == "HIVE_CURSOR_ERROR"
        assert f"s3://lake/cut{ending}" in message


def test_bzip2_of_others(read):
    assert read("n int", bz2.compress(b"1\n") + bz2.compress(b"2\n"), tables.CSV, "x.bz2") == [(1,), (2,)]
    assert read("d decimal(4,2)", "1.255\n", tables.CSV) == [(Decimal("1.26"),)]
