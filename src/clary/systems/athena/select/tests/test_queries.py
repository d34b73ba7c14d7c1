"""What queries read, what they answer, and what they are refused for."""

import struct
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import sqlglot
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clary.lake.tables import Column, Table
from clary.lake.types import parse_type
from clary.systems.athena.contract import Domain, StatementFailed, TableName
from clary.systems.athena.select.dialect import AthenaSelect
from clary.systems.athena.select.functions.calls import known
from clary.systems.athena.select.tests.trino import connected, rows, translated
from clary.systems.athena.select.translate import tables_named


def _columns(**kinds: str) -> tuple[Column, ...]:
    return tuple(Column(name, parse_type(kind)) for name, kind in kinds.items())


TABLES = {
    "t": Table(
        "db", "t", _columns(a="int", b="string", c="decimal(15,2)", s="struct<x:int,y:string>", l="array<int>"),
        _columns(dt="string", n="int", day="date"),
    ),
    "u": Table("db", "u", _columns(a="int", z="string"), _columns(dt="string")),
}  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    made = connected()
    yield made
    made.close()


def _one(values: str) -> Domain:
    return Domain(values=(values,))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a FROM t WHERE dt = 'x'", {"dt": _one("x")}),
        ("SELECT a FROM t WHERE 'x' = dt AND n IN (1, 2)", {"dt": _one("x"), "n": Domain(values=("1", "2"))}),
        ("SELECT a FROM t WHERE n BETWEEN 2 AND 9 AND n > 3", {"n": Domain(low="3", high="9", low_included=False)}),
        ("SELECT a FROM t WHERE dt = 'x' OR dt = 'y'", {"dt": Domain(values=("x", "y"))}),
        ("SELECT a FROM t WHERE dt = 'x' OR a = 1", {}),
        ("SELECT a FROM t WHERE NOT dt = 'x'", {}),
        ("SELECT a FROM t WHERE day >= DATE '2020-01-05'", {"day": Domain(low="2020-01-05")}),
        ("SELECT a FROM t WHERE day = current_date", {"day": _one("2023-11-14")}),
        ("SELECT a FROM t WHERE day = CAST('2020-01-05' AS date)", {"day": _one("2020-01-05")}),
        ("SELECT a FROM t WHERE day = CAST('2020-1-5' AS date)", {}),
        ("SELECT a FROM t WHERE day = CAST(TIMESTAMP '2020-01-05 10:00' AS date)", {}),
        ("SELECT a FROM t WHERE dt = CAST('xyz' AS varchar(1))", {}),
        ("SELECT a FROM (SELECT a, dt AS d FROM t) WHERE d = 'x'", {"dt": _one("x")}),
        ("WITH q AS (SELECT * FROM t) SELECT a FROM q WHERE dt = 'x'", {"dt": _one("x")}),
        ("WITH q AS (SELECT * FROM t) SELECT q.a FROM q, q AS r WHERE q.dt = 'x'", {}),
        ("WITH q AS (SELECT * FROM t WHERE dt = 'x') SELECT q.a FROM q, q AS r", {"dt": _one("x")}),
        ("SELECT a FROM (SELECT a, dt FROM t LIMIT 5) WHERE dt = 'x'", {}),
        ("SELECT a FROM (SELECT a, dt, rank() OVER (ORDER BY a) AS k FROM t) WHERE dt = 'x'", {}),
        ("SELECT dt, m FROM (SELECT dt, max(a) AS m FROM t GROUP BY dt) WHERE dt = 'x'", {"dt": _one("x")}),
        ("SELECT m FROM (SELECT max(dt) AS m FROM t) WHERE m = 'x'", {}),
        ("SELECT a FROM (SELECT a, dt FROM t UNION ALL SELECT 1, 'y') WHERE dt = 'x'", {}),
        ("SELECT t.a FROM t JOIN (VALUES 1) AS v(a) ON t.a = v.a AND t.dt = 'x'", {"dt": _one("x")}),
        ("SELECT t.a FROM t LEFT JOIN (VALUES 1) AS v(a) ON t.a = v.a AND t.dt = 'x'", {}),
        ("SELECT t.a FROM (VALUES 1) AS v(a) LEFT JOIN t ON t.a = v.a AND t.dt = 'x'", {"dt": _one("x")}),
        ("SELECT x FROM t CROSS JOIN UNNEST(l) AS e(x) WHERE dt = 'x'", {"dt": _one("x")}),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM t WHERE dt = 'x')", {"dt": _one("x")}),
    ],
)
def test_conditions_leave_domains_of_keys(query: str, expected: dict[str, Domain]) -> None:
    (use,) = (each for each in translated(query, TABLES).uses if each.table.name == "t")
    assert use.domains == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a FROM t WHERE dt = 'x'", ("a", "dt")),
        ("SELECT count(*) FROM t", ()),
        ("SELECT b FROM (SELECT * FROM t) WHERE n = 1", ("b", "n")),
        ("WITH q AS (SELECT a, b || 'x' AS y, c FROM t) SELECT y FROM q", ("b",)),
        ("SELECT s.x FROM t ORDER BY c", ("c", "s")),
        ('SELECT "$path" FROM t', ("$path",)),
        ("SELECT DISTINCT b FROM (SELECT DISTINCT a, b FROM t)", ("a", "b")),
        ("SELECT (SELECT max(v.a) FROM t AS v WHERE v.b = w.x) FROM (VALUES 'k') AS w(x)", ("a", "b")),
    ],
)
def test_only_columns_that_are_asked_for_are_read(query: str, expected: tuple[str, ...]) -> None:
    (use,) = translated(query, TABLES).uses
    assert use.used == expected


def test_columns_have_the_names_and_types_of_trino() -> None:
    done = translated('SELECT a, a + 1, t.s.y, sum(c) OVER (), "$file_size", l AS "L x", a FROM t', TABLES)
    assert [tuple(each) for each in done.columns] == [
        ("a", "integer"), ("_col1", "integer"), ("y", "varchar"), ("_col3", "decimal(38,2)"), ("$file_size", "bigint"),
        ("L x", "array(integer)"), ("a", "integer"),
    ]  # fmt: skip
    starred = translated("SELECT * FROM t", TABLES)
    assert [each.name for each in starred.columns] == ["a", "b", "c", "s", "l", "dt", "n", "day"]


def test_time_travel_and_tables_of_metadata_are_told_apart() -> None:
    tables = {**TABLES, "t$files": Table("db", "t$files", _columns(path="string"))}
    query = (
        "SELECT f.path FROM \"t$files\" AS f, t FOR TIMESTAMP AS OF TIMESTAMP '2020-01-01 00:00:00 UTC', "
        "u FOR VERSION AS OF 123"
    )
    files, t, u = translated(query, tables).uses
    assert (files.table.name, files.part) == ("t", "files")
    assert (t.as_of_seconds, t.as_of_snapshot) == (1577836800.0, None)
    assert (u.as_of_seconds, u.as_of_snapshot) == (None, 123)


def test_tables_are_named_but_for_those_of_with() -> None:
    query = (
        "WITH q AS (SELECT * FROM T), u AS (SELECT * FROM q) "
        "SELECT * FROM u, other.u, cat.d.v WHERE 1 IN (SELECT 1 FROM x)"
    )
    assert tables_named(sqlglot.parse_one(query, read=AthenaSelect), "c", "db") == {
        TableName("c", "db", "t"), TableName("c", "other", "u"), TableName("cat", "d", "v"), TableName("c", "db", "x"),
    }  # fmt: skip


ANSWERS = [
    ("SELECT x, lag(x) IGNORE NULLS OVER (ORDER BY x) FROM (VALUES 1, 2) AS t(x) ORDER BY x", "1,- 2,1"),
    ("SELECT x FROM (VALUES 2, NULL, 1) AS t(x) ORDER BY x DESC", "2 1 -"),
    ("SELECT x FROM (VALUES 2, NULL, 1) AS t(x) ORDER BY x NULLS FIRST OFFSET 1 FETCH FIRST 1 ROW ONLY", "1"),
    ("SELECT a, b, count(*), grouping(a, b) FROM (VALUES (1, 2), (1, 3)) AS t(a, b) "
     "GROUP BY GROUPING SETS ((a, b), (a), ()) ORDER BY 4, 2", "1,2,1,0 1,3,1,0 1,-,2,1 -,-,2,3"),
    ("SELECT a, sum(b) FROM (VALUES (1, 2), (2, 3)) AS t(a, b) GROUP BY ROLLUP (a) ORDER BY a", "1,2 2,3 -,5"),
    ("WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 4) SELECT sum(n) FROM t", "10"),
    ("SELECT k, v, n FROM UNNEST(MAP(ARRAY['a', 'b'], ARRAY[1, 2])) WITH ORDINALITY AS t(k, v, n)", "a,1,1 b,2,2"),
    ("SELECT x, y FROM UNNEST(ARRAY[1, 2, 3], ARRAY['a']) AS t(x, y)", "1,a 2,- 3,-"),
    ("SELECT i, e FROM (VALUES (1, ARRAY[7, 8]), (2, ARRAY[])) AS t(i, l) LEFT JOIN UNNEST(l) AS u(e) ON TRUE "
     "ORDER BY 1, 2", "1,7 1,8 2,-"),
    ("SELECT p, q FROM (VALUES ARRAY[(1, 'a'), (2, 'b')]) AS t(r) CROSS JOIN UNNEST(r) AS u(p, q)", "1,a 2,b"),
    ("SELECT h.x, h.at.y, n FROM (VALUES ARRAY[CAST(('a', ROW(1)) AS ROW(x varchar, at ROW(y integer)))]) AS t(r) "
     "CROSS JOIN UNNEST(r) WITH ORDINALITY AS u(h, n)", "a,1,1"),
    ("SELECT t.name, x FROM UNNEST(ARRAY[CAST(ROW('a') AS ROW(name varchar))], ARRAY[7]) AS t(t, x)", "a,7"),
    ("SELECT * FROM (VALUES (1, 2)) AS a(x, y) FULL JOIN (VALUES (1, 3), (5, 6)) AS b(x, z) USING (x) ORDER BY 1",
     "1,2,3 5,-,6"),
    ("SELECT x FROM (VALUES 1, 2, 2) AS t(x) EXCEPT SELECT 1", "2"),
    ("SELECT 1 UNION SELECT 2.5 INTERSECT SELECT 2.5 ORDER BY 1", "1.0 2.5"),
    ("SELECT (1, 'a') IN (SELECT 1, 'a'), 2 > ALL (VALUES 1), 1 = ANY (VALUES 1, 2)", "true,true,true"),
    ("SELECT y FROM (VALUES 1) AS t(x) CROSS JOIN LATERAL (SELECT x + 1 AS y)", "2"),
    ("SELECT sum(x) FILTER (WHERE x > 1), count(DISTINCT x), avg(x), max_by(x, -x), array_agg(x ORDER BY x DESC) "
     "FROM (VALUES 1, 2, 2) AS t(x)", "4,2,1.6666666666666667,1,[2; 2; 1]"),
    ("SELECT sum(x), sum(y) FROM (VALUES (INTERVAL '25' HOUR, INTERVAL '1' YEAR)) AS t(x, y)", "1_01:00:00.000,1-0"),
    ("SELECT round(skewness(x), 4), round(kurtosis(y), 4) FROM (VALUES (1, 1), (2, 2), (9, 3), (NULL, 4)) AS t(x, y)",
     "0.6655,-1.2"),
    ("SELECT avg(x), sum(x) FROM (VALUES 1.00, 2.00, 2.00) AS t(x)", "1.67,5.00"),
    ("SELECT listagg(x, '/') WITHIN GROUP (ORDER BY x DESC) FROM (VALUES 'a', 'b') AS t(x)", "b/a"),
    ("SELECT map_agg(k, v), histogram(v), multimap_agg(v, k) FROM (VALUES ('a', 1), ('b', 1)) AS t(k, v)",
     "{a=1; b=1},{1=2},{1=[a; b]}"),
    ("SELECT approx_distinct(x), approx_percentile(x, 0.5), count_if(x > 1), bool_or(x > 2), arbitrary(x) "
     "FROM (VALUES 2, 2) AS t(x)", "1,2,2,false,2"),
    ("SELECT approx_percentile(x, w, 0.5), approx_percentile(x, w, ARRAY[0, 0.95]), approx_percentile(y, 1, 1), "
     "approx_percentile(x, w, 0.5) FILTER (WHERE x > 5) "
     "FROM (VALUES (1, 1, 0.5), (2, 10, 1.5), (3, 1, NULL), (NULL, 5, NULL)) AS t(x, w, y)", "2,[1; 3],1.5,-"),
    ("SELECT approx_percentile(x, x, 1.5) FROM (VALUES 1) AS t(x)", "!Percentile must be between 0 and 1"),
    ("SELECT approx_percentile(x, 0, 0.5) FROM (VALUES 1) AS t(x)", "!percentile weight must be > 0"),
    ("SELECT numeric_histogram(9, x), numeric_histogram(2, x), numeric_histogram(2, x, w), "
     "typeof(numeric_histogram(2, CAST(x AS real))) "
     "FROM (VALUES (1, 1), (2, 9), (30, 1), (31, 2), (NULL, 5)) AS t(x, w)",
     "{1.0=1.0; 2.0=1.0; 30.0=1.0; 31.0=1.0},{1.5=2.0; 30.5=2.0},{1.9=10.0; 30.666666666666668=3.0},map(real; real)"),
    ("SELECT numeric_histogram(1, x) FROM (VALUES 1) AS t(x)", "!bucket count must be greater than one"),
    ("SELECT id, reduce_agg(x, 0, (a, b) -> a + b, (a, b) -> a + b), "
     "reduce_agg(x, 1, (a, b) -> a * b, (a, b) -> a * b) "
     "FROM (VALUES (1, 3), (1, 4), (1, 5), (2, 6), (2, 7), (3, NULL)) AS t(id, x) GROUP BY id ORDER BY id",
     "1,12,60 2,13,42 3,-,-"),
    ("SELECT reduce_agg(x, 0, (a, b) -> a + b, (a, b) -> a + b) OVER (ORDER BY x) FROM (VALUES 1, 2) AS t(x) "
     "ORDER BY 1", "1 3"),
    ("SELECT sum(x) FROM (VALUES 9223372036854775807, 1) AS t(x)", "!out of range"),
    ("SELECT (SELECT x FROM (VALUES 1, 2) AS t(x))", "!More than one row"),
    ("SELECT x + 1 AS y, count(*) FROM (VALUES 1, 2) AS t(x) GROUP BY x + 1 HAVING x + 1 > 2", "3,1"),
    ("SELECT x, sum(count(*)) OVER (ORDER BY x) FROM (VALUES 1, 2, 2) AS t(x) GROUP BY x ORDER BY 1", "1,1 2,3"),
    ("SELECT sum(x) OVER w FROM (VALUES 1, 2) AS t(x) WINDOW w AS (ORDER BY x ROWS UNBOUNDED PRECEDING) ORDER BY 1",
     "1 3"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), ANSWERS)
def test_a_query_answers_as_trino_does(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, query: str, expected: str
) -> None:
    if expected.startswith("!"):
        with pytest.raises(duckdb.Error, match=expected[1:]):
            rows(connection, translated(query), tmp_path)
        return
    found = rows(connection, translated(query), tmp_path)
    texts = [["-" if each is None else each.replace(", ", "; ") for each in line] for line in found]
    lines = [",".join(line).replace("1 01", "1_01") for line in texts]
    assert lines == expected.replace("; ", ";").replace(" ", "\n").replace(";", "; ").split("\n")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT zz FROM t", "COLUMN_NOT_FOUND: line 1:8: Column 'zz' cannot be resolved"),
        ("SELECT\n  a, t.zz FROM t", "COLUMN_NOT_FOUND: line 2:6: Column 't.zz' cannot be resolved"),
        ("SELECT a FROM t, u", "AMBIGUOUS_NAME: line 1:8: Column 'a' is ambiguous"),
        ("SELECT a FROM db.w", "TABLE_NOT_FOUND: line 1:"),
        ("SELECT a, count(*) FROM t", "EXPRESSION_NOT_AGGREGATE: line 1:8: 'a' must be an aggregate expression"),
        ("SELECT a FROM t WHERE count(*) > 1", "EXPRESSION_NOT_SCALAR"),
        ("SELECT a FROM t WHERE a", "TYPE_MISMATCH: line 1:23: WHERE clause must evaluate to a boolean"),
        ("SELECT sum(max(a)) FROM t", "NESTED_AGGREGATION"),
        ("SELECT DISTINCT ON (a) a, b FROM t", "SYNTAX_ERROR: line 1:21: mismatched input 'ON'"),
        ("SELECT DISTINCT a FROM t ORDER BY b", "EXPRESSION_NOT_IN_DISTINCT"),
        ("SELECT a FROM t UNION SELECT z FROM u", "TYPE_MISMATCH: line 1:8: column 1 in UNION query has incompatible"),
        ("SELECT a FROM t UNION SELECT a, z FROM u", "TYPE_MISMATCH"),
        ("SELECT * FROM t AS q(x, y)", "MISMATCHED_COLUMN_ALIASES"),
        ("SELECT filter(l, x -> x > (SELECT 1)) FROM t", "NOT_SUPPORTED: line 1:"),
        ("SELECT s.q FROM t", "COLUMN_NOT_FOUND"),
        ("SELECT l['a'] FROM t", "TYPE_MISMATCH"),
    ],
)
def test_a_wrong_query_is_told_why_and_where(query: str, expected: str) -> None:
    with pytest.raises(StatementFailed) as failure:
        translated(query, TABLES)
    assert str(failure.value).startswith(expected)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", 'SELECT * FROM "/etc/passwd"',
        "SELECT * FROM duckdb_settings()", "SELECT getenv('HOME')", "SELECT current_setting('x')",
        "SELECT pg_catalog.version()", "SELECT main.read_text('/etc/passwd')", "SELECT * EXCLUDE (a) FROM t",
        "SELECT COLUMNS(*) FROM t", "SELECT 1 INTO x", "SELECT trino_digits('1', 'INT')", "SELECT a FROM scan_0",
        'SELECT "r0"."c0" FROM t', "SELECT rowid FROM t", "SELECT a FROM t PIVOT (max(a) FOR a IN (1))",
        "SELECT a FROM t QUALIFY a > 1", "SELECT * FROM t ASOF JOIN u USING (a)", "SELECT 'a' SIMILAR TO 'b'",
        "SELECT * FROM (SUMMARIZE t)", "PRAGMA version", "ATTACH 'x'", "COPY t TO 'x'", "SET threads = 1",
        "SELECT @x", "SELECT ?", "SELECT $1", "SELECT {'a': 1}", "SELECT * FROM t; SELECT 1",
        "SELECT * FROM t TABLESAMPLE RESERVOIR (10 ROWS)", "SELECT lambda x: x", "SELECT getvariable('trino_today')",
        "SELECT * FROM information_schema.tables", "SELECT * FROM pg_catalog.pg_tables",
        "SELECT try_cast(1 AS hugeint)",
    ],
)  # fmt: skip
def test_nothing_of_duckdb_can_be_reached(query: str) -> None:
    with pytest.raises((StatementFailed, sqlglot.errors.SqlglotError)):
        translated(query, TABLES)


def test_no_function_of_duckdb_is_known_that_trino_has_not(connection: duckdb.DuckDBPyConnection) -> None:
    listed = connection.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    names = [name for (name,) in listed]
    dangerous = ("read_", "duckdb_", "pragma_", "getenv", "current_setting", "query", "glob", "which_secret", "trino_",
                 "parquet_", "sniff_", "test_", "write_", "getvariable", "error", "list_", "json_execute")  # fmt: skip
    assert len(names) > 500
    assert [name for name in names if name.startswith(dangerous) and known(name)] == []
    for name in sorted(names)[::20]:
        if name.isidentifier() and name != "row" and not known(name.lower()):
            with pytest.raises((StatementFailed, sqlglot.errors.SqlglotError)):
                translated(f"SELECT {name}('x') FROM t", TABLES)


@pytest.mark.parametrize(
    "query", [f"SELECT {'(' * 3000}1{')' * 3000}", f"SELECT {'1 + ' * 5000}1", f"SELECT {'-' * 1} {'- ' * 3000}1"]
)
def test_a_query_that_is_nested_too_deep_is_refused(query: str) -> None:
    with pytest.raises((StatementFailed, sqlglot.errors.SqlglotError, RecursionError)):
        translated(query)


@settings(max_examples=60, deadline=None)
@given(said=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=30))
def test_any_text_stays_the_text_it_is(
    connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory, said: str
) -> None:
    literal = "'" + said.replace("'", "''") + "'"
    query = f"SELECT {literal}, ROW({literal}), json_format(CAST({literal} AS json)) = ''"
    found = rows(connection, translated(query), tmp_path_factory.mktemp("text"))[0]
    assert found[:2] == [said, f"{{field0={said}}}"]


@settings(max_examples=10, deadline=None)
@given(bits=st.lists(st.integers(0, 2**64 - 1), min_size=40, max_size=40))
@example(bits=[number * 51 << 52 for number in range(40)])  # powers of two: what is below them lies nearer
def test_a_double_is_shown_as_java_shows_it(
    connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory, bits: list[int]
) -> None:
    values = [struct.unpack("<d", each.to_bytes(8, "little"))[0] for each in bits]
    named = {"nan": "nan()", "inf": "infinity()", "-inf": "-infinity()"}
    said = ", ".join(named.get(repr(value)) or f"CAST('{value!r}' AS double)" for value in values)
    found = rows(connection, translated(f"SELECT {said}"), tmp_path_factory.mktemp("double"))
    assert found == [[java(value) for value in values]]


def java(value: float) -> str:
    """Java's Double.toString, which has the fewest digits that tell the value since version 19."""
    special = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(value))
    if special:
        return special
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, numbers, exponent = Decimal(repr(value)).normalize().as_tuple()  # repr has the fewest digits too
    first, rest = numbers[0], "".join(map(str, numbers[1:]))
    return f"{'-' * sign}{first}.{rest or '0'}E{int(exponent) + len(rest)}"


@settings(max_examples=60, deadline=None)
@given(one=st.integers(-(2**63), 2**63 - 1), other=st.integers(-(2**63), 2**63 - 1), sign=st.sampled_from("+-*/%"))
def test_bigints_are_computed_exactly_or_not_at_all(
    connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory, one: int, other: int, sign: str
) -> None:
    query = f"SELECT CAST('{one}' AS bigint) {sign} CAST('{other}' AS bigint)"
    result = None
    if sign in "+-*":
        result = {"+": one + other, "-": one - other, "*": one * other}[sign]
    elif other:
        whole = abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)
        result = whole if sign == "/" else one - other * whole
    folder = tmp_path_factory.mktemp("bigint")
    if result is None or not -(2**63) <= result < 2**63:
        with pytest.raises(duckdb.Error):
            rows(connection, translated(query), folder)
    else:
        assert rows(connection, translated(query), folder) == [[str(result)]]
