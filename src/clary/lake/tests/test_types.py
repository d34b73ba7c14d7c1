"""Types read from the catalog's texts, and shown as each system calls them."""

import pytest

from clary.lake.trino_types import hive_type
from clary.lake.types import arrow_type, duckdb_type, parse_type, trino_type

NESTED = "struct<a:array<map<string,decimal(5)>>, `b c` : TIMESTAMP >"


def test_a_nested_type_as_each_calls_it():
    found = parse_type(NESTED)
    assert str(found) == "struct<a:array<map<string,decimal(5,0)>>,b c:timestamp>"
    assert duckdb_type(found) == 'STRUCT("a" MAP(VARCHAR, DECIMAL(5,0))[], "b c" TIMESTAMP)'
    assert trino_type(found) == "row(a array(map(varchar, decimal(5,0))), b c timestamp(3))"


def test_lengths_and_other_names():
    assert trino_type(parse_type("VARCHAR( 10 )")) == "varchar(10)"
    assert str(parse_type("char(3)")) == "char(3)"
    assert [str(parse_type(each)) for each in ("integer", "real", "double precision", "long")] == [
        "int",
        "float",
        "double",
        "bigint",
    ]


def test_arrow():
    pa = pytest.importorskip("pyarrow")
    assert arrow_type("array<struct<x:int>>") == pa.list_(pa.struct([("x", pa.int32())]))


@pytest.mark.parametrize(
    "wrong", ["", "array", "array<int", "map<int>", "decimal(39)", "uint", "struct<a:int,a:int>", "int x"]
)
def test_what_is_no_type(wrong):
    with pytest.raises(ValueError):
        parse_type(wrong)


def test_a_type_may_not_be_nested_without_end():
    with pytest.raises(ValueError):
        parse_type("array<" * 5000)


def test_types_of_queries_become_types_of_tables():
    for text in ("integer", "varchar(3)", "array(row(a bigint, b map(varchar, decimal(10,2))))", "timestamp(3)"):
        assert trino_type(hive_type(text)) == text
    assert str(hive_type('row("A b" real, c timestamp(6))')) == "struct<a b:float,c:timestamp>"
    for text in ("unknown", "json", "timestamp(3) with time zone", "row(integer, date)", "array(time(3))", "integer,"):
        with pytest.raises(ValueError):
            hive_type(text)
