"""Folders become tables and partitions by Glue's rules."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from clary.lake.inference.documents import columns_of
from clary.lake.inference.found import Found
from clary.lake.inference.grouping import File, Grouped, Policy, group, records_of
from clary.lake.tables import Column
from clary.lake.types import parse_type


def found(columns: str, classification: str = "json", **more: str) -> Found:
    pairs = [pair.split(":", 1) for pair in columns.split()]
    return Found(classification, tuple(Column(name, parse_type(type_, also=["void"])) for name, type_ in pairs), **more)  # type: ignore[arg-type]


def files(**of: str) -> list[File]:
    return [File(path, 10, found(columns)) for path, columns in of.items()]


def shown(tables: list[Grouped]) -> dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    return {table.path: (table.keys, [part.values for part in table.parts]) for table in tables}


def columns(table: Grouped) -> str:
    return " ".join(f"{column.name}:{column.type}" for column in table.found.columns)


def test_folders_named_for_keys_are_partitions() -> None:
    days = [f"year=2019/month={month}/day={day}/f{n}" for month in ("Jan", "Feb") for day in (1, 2) for n in range(2)]
    (table,) = group(files(**dict.fromkeys(days, "a:int")))
    assert table.keys == ("year", "month", "day")
    assert table.parts[0].values == ("2019", "Feb", "1")
    assert (len(table.parts), table.measure.objects, table.parts[0].path) == (4, 8, "year=2019/month=Feb/day=1/")


def test_plain_folders_are_partitions_by_their_place() -> None:
    paths = ["table1/partition1/f", "table1/partition2/f", "table1/partition3/f", "table2/partition4/f"]
    (table,) = group(files(**dict.fromkeys(paths, "a:int b:string")))
    assert table.keys == ("partition_0", "partition_1")
    assert [part.values for part in table.parts][-1] == ("table2", "partition4")


def test_folders_that_differ_are_tables_each() -> None:
    given = files(**{"year=2017/f": "a:int b:int", "year=2018/f": "c:int d:int"})
    assert shown(group(given)) == {"year=2017/": ((), []), "year=2018/": ((), [])}
    (table,) = group(given, Policy(combined=True))
    assert (table.keys, columns(table)) == (("year",), "a:int b:int c:int d:int")


def test_most_must_be_alike() -> None:
    def tables(alike: int, different: int) -> int:
        same = {f"k={n}/f": "a:int b:int" for n in range(alike)}
        return len(group(files(**same, **{f"k={n + alike}/f": f"c{n}:int d{n}:int" for n in range(different)})))

    assert tables(7, 3) == 10  # exactly 70 percent is not more than that
    assert tables(8, 3) == 1
    assert tables(20, 5) == 25  # more than five schemas


def test_columns_widen_and_join() -> None:
    given = files(**{"k=1/f": "a:int b:int c:string d:int", "k=2/f": "a:bigint b:double c:string d:int e:date"})
    (table,) = group(given)
    assert columns(table) == "a:bigint b:double c:string d:int e:date"
    assert [len(part.found.columns) for part in table.parts] == [4, 5]


def test_what_one_file_does_not_say_another_does() -> None:
    given = {"k=1/f": "a:void b:array<void> c:void", "k=2/f": "a:int b:array<struct<n:void>> c:void"}
    (table,) = group(files(**given, **{"k=3/f": "a:void b:array<struct<n:double>> c:void"}))
    assert columns(table) == "a:int b:array<struct<n:double>> c:void"
    assert [each["Type"] for each in columns_of(table.found.columns)] == ["int", "array<struct<n:double>>", "string"]


def test_what_is_read_in_another_way_is_another_table() -> None:
    given = [File(f"k={n}/f", 1, found("a:int")) for n in range(4)]
    given.append(File("k=9/f", 1, found("a:int", "csv")))
    assert shown(group(given)) == {"": (("k",), [("0",), ("1",), ("2",), ("3",)]), "k=9/": ((), [])}
    packed = [File("f1", 1, found("a:int")), File("f2", 1, found("a:int", compression="gzip"))]
    assert [(table.path, table.is_file) for table in group(packed)] == [("f1", True), ("f2", True)]


def test_files_beside_folders_are_tables() -> None:
    assert shown(group(files(**{"f": "a:int", "k=1/f": "a:int"}))) == {"f": ((), []), "k=1/": ((), [])}


def test_a_key_that_a_column_is_named_for_goes_by_its_place() -> None:
    (table,) = group(files(**{"Month=a%2Fb/f": "month:int", "Month=/f": "month:int"}))
    assert (table.keys, [part.values for part in table.parts]) == (
        ("partition_0",),
        [("__HIVE_DEFAULT_PARTITION__",), ("a/b",)],
    )


def test_tables_lie_at_the_level_that_is_asked_for() -> None:
    given = files(**{"x/sales/k=1/f": "a:int", "x/staff/k=1/f": "a:int", "x/staff/k=2/f": "b:int"})
    tables = group(given, Policy(level=2))
    assert shown(tables) == {"x/sales/": (("k",), [("1",)]), "x/staff/": (("k",), [("1",), ("2",)])}
    assert shown(group(given, Policy(level=0))) == {
        "": (("partition_0", "partition_1", "k"), [("x", "sales", "1"), ("x", "staff", "1"), ("x", "staff", "2")])
    }


PATHS = st.lists(st.sampled_from(["a", "b", "k=1", "k=2", "K=1", "j=1"]), max_size=3).map(
    lambda names: "/".join([*names, ""])
)
SCHEMAS = st.sampled_from(["a:int b:int", "a:bigint b:int", "c:string", "a:int b:int c:string d:date"])
FORMATS = st.sampled_from(["json", "json", "json", "csv"])


@given(
    st.lists(st.tuples(PATHS, SCHEMAS, FORMATS), max_size=14),
    st.builds(Policy, st.booleans(), st.none() | st.integers(0, 3)),
)
def test_every_file_is_in_one_table(made: list[tuple[str, str, str]], policy: Policy) -> None:
    given = [File(f"{path}f{n}", n, found(schema, kind)) for n, (path, schema, kind) in enumerate(made)]
    tables = group(given, policy)
    assert sum(table.measure.objects for table in tables) == len(given)
    assert sum(table.measure.size_bytes for table in tables) == sum(file.size_bytes for file in given)
    assert max(Counter(table.path for table in tables).values(), default=1) == 1
    assert group(list(reversed(given)), policy) == tables
    for table in tables:
        assert not table.parts or sum(part.measure.objects for part in table.parts) == table.measure.objects
        assert len({part.values for part in table.parts}) == len(table.parts)
        assert all(len(part.values) == len(table.keys) for part in table.parts)
        assert all(part.found.compatible(table.found) for part in table.parts)
        below = {column.name: column.type for part in table.parts for column in part.found.columns}
        assert not table.parts or below.keys() == {column.name for column in table.found.columns}
        assert len(set(table.keys)) == len(table.keys)
        assert not {column.name for column in table.found.columns} & set(table.keys)
        if policy.level is not None and not table.is_file and table.parts:
            assert table.path.count("/") >= policy.level


def test_records_are_counted_or_estimated() -> None:
    known, guessed, empty = (File("f", 100, replace(found("a:int"), **of)) for of in (
        {"records": 3, "record_bytes": 9}, {"record_bytes": 9}, {},
    ))  # fmt: skip
    assert [records_of(each) for each in (known, guessed, empty)] == [3, 11, 0]
