"""Whatever a table holds comes back as it was written, in every format: values made by Hypothesis."""

import math
import tempfile
from datetime import date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from clary.lake import tables
from clary.lake.engine.tasks import TableFiles
from clary.lake.formats.parts import BytesRead
from clary.lake.formats.reading import over
from clary.lake.formats.writing import write
from clary.lake.scans import DataFile, Scan, ScanPartition
from clary.lake.tables import Column
from clary.lake.types import Type, arrow_type, duckdb_type

LOWEST, HIGHEST = datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2200-01-01")
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
SIMPLE_TEXTS = st.text("ab\\\"'é |,:{}=\x02", max_size=8)
PLAIN = {
    "boolean": st.booleans(),
    "tinyint": st.integers(-128, 127),
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "binary": st.binary(max_size=6),
    "date": st.dates(LOWEST.date(), HIGHEST.date()),
    "timestamp": st.datetimes(LOWEST, HIGHEST).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
}


def types(texts, depth):
    plain = st.sampled_from([Type(name) for name in PLAIN] + [Type("string"), Type("decimal", (20, 4))])
    if not depth:
        return plain
    inner = types(texts, depth - 1)
    return st.one_of(
        plain,
        inner.map(lambda of: Type("array", children=(of,))),
        inner.map(lambda of: Type("map", children=(Type("string"), of))),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda of: Type("struct", children=tuple(of), names=tuple(f"f{n}" for n in range(len(of))))
        ),
    )


def values(of, texts):
    return st.none() | _values(of, texts)


def _values(of, texts):
    if of.name == "array":
        return st.lists(values(of.children[0], texts), max_size=3)
    if of.name == "map":
        return st.dictionaries(texts, values(of.children[1], texts), max_size=3)
    if of.name == "struct":
        pairs = zip(of.names, of.children, strict=True)
        return st.fixed_dictionaries({name: values(child, texts) for name, child in pairs})
    if of.name == "string":
        return texts
    if of.name == "decimal":
        return st.integers(-(10**19), 10**19).map(lambda n: Decimal(n).scaleb(-4))
    return PLAIN[of.name]


@st.composite
def made_tables(draw, texts, depth):
    of = draw(st.lists(types(texts, depth), min_size=1, max_size=4))
    rows = draw(st.lists(st.tuples(*(values(each, texts) for each in of)), min_size=1, max_size=6))
    return tuple(Column(f"c{n}", each) for n, each in enumerate(of)), rows


def arrow(of, value):
    """A value as Arrow takes it for a type: maps are lists of pairs."""
    if value is None or not of.children:
        return value
    if of.name == "array":
        return [arrow(of.children[0], each) for each in value]
    if of.name == "map":
        return [(key, arrow(of.children[1], each)) for key, each in value.items()]
    return {name: arrow(child, value[name]) for name, child in zip(of.names, of.children, strict=True)}


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def parts(value):
    return list(value.values()) if isinstance(value, dict) else value


def round_trip(format_, columns, rows, properties):
    connection = duckdb.connect(config={"threads": 1})
    fields = [pa.field(column.name, arrow_type(column.type)) for column in columns]
    arrays = [
        pa.array([arrow(c.type, row[n]) for row in rows], f.type)
        for n, (c, f) in enumerate(zip(columns, fields, strict=True))
    ]
    order = pa.array(range(len(rows)), pa.int32())
    connection.register("given", pa.table([*arrays, order], schema=pa.schema([*fields, pa.field("o", pa.int32())])))
    items = ", ".join(f"CAST({c.name} AS {duckdb_type(c.type)})" for c in columns)
    columns = (*columns, Column("o", Type("int")))
    with tempfile.TemporaryDirectory() as folder:
        output = TableFiles(format_, columns, (), (), 0, properties, "q")
        written = write(connection, f"SELECT {items}, o FROM given", output, folder)
        files = tuple(DataFile(each.path, each.path, each.size_bytes) for each in written)
        used = tuple(column.name for column in columns)
        scan = Scan("s", columns, (), (ScanPartition((), format_, properties),), files, used)
        query = over(connection, "SELECT * FROM s ORDER BY o", [scan], BytesRead())
        return [row[:-1] for row in connection.execute(query).fetchall()]


@pytest.mark.parametrize("format_", [tables.PARQUET, tables.ORC, tables.AVRO, tables.JSON])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=made_tables(TEXTS, 2))
def test_what_is_written_is_read(format_, made):
    columns, rows = made
    assert same(round_trip(format_, columns, rows, {}), rows)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=made_tables(SIMPLE_TEXTS, 1))
def test_delimited_texts(made):
    """Escaped, texts keep their separators. A list or a struct of but one NULL or nothing is not told from NULL or [].

    That is so in Hive, too.
    """
    columns, rows = made
    assume(not any(alone in ([None], [""], [b""]) for row in rows for alone in map(parts, row)))
    properties = {"field.delim": "|", "escape.delim": "\\", "collection.delim": ",", "mapkey.delim": ":"}
    assert same(round_trip(tables.CSV, columns, rows, properties), rows)


def test_dates_before_the_calendar():
    columns, rows = (Column("d", Type("date")),), [(date(1, 1, 1),), (date(9999, 12, 31),)]
    for format_ in (tables.PARQUET, tables.ORC, tables.AVRO, tables.JSON, tables.CSV):
        assert round_trip(format_, columns, rows, {}) == rows
