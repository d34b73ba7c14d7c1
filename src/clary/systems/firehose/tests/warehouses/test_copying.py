"""How COPY's options, names and staged texts are read: what they mean, and that nothing hostile gets through."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.systems.firehose.destinations.addresses import parse_columns, parse_jdbc_url, parse_table
from clary.systems.firehose.destinations.copy_fields import Text
from clary.systems.firehose.destinations.copy_options import KNOWN, CopyOptions, Wrong, parse_options
from clary.systems.firehose.destinations.copy_rows import Column, parse_jsonpaths, rows_of

WORDS = st.sampled_from(
    [*KNOWN, "AS", "as", "'auto'", "'|'", "''", "10", "true", "'s3://b/k'", "'s3:///'", "; drop table t", "'", "--"]
)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=60)
FIELDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), max_size=8)


def columns(count: int, *, is_text: bool = True) -> list[Column]:
    return [Column(f"c{number}", "text" if is_text else "int4", is_text) for number in range(count)]


def values(text: str, options: str, count: int, **known: list[int]) -> list[list[str | None] | str]:
    """The rows of a text: their values, or the error."""
    rows = rows_of(Text(text, known.get("starts", [])), parse_options(options), columns(count))
    return [row.error if row.values is None else row.values for row in rows]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", CopyOptions(delimiter="|")),
        ("csv delimiter as ';' quote '''' ;", CopyOptions("csv", delimiter=";", quote="'")),
        ("FORMAT AS CSV NULL AS '' ACCEPTINVCHARS", CopyOptions("csv", delimiter=",", null_as="", replacement="?")),
        ("delimiter '\\t' escape removequotes", CopyOptions(delimiter="\t", escape=True, remove_quotes=True)),
        ("delimiter '\\174' null '\\0'", CopyOptions(delimiter="|", null_as="\0")),
        ("json as 'auto ignorecase' region 'us-east-1'", CopyOptions("json", ignore_case=True, delimiter="|")),
        ("FORMAT JSON 's3://b/p.json' GZIP", CopyOptions("json", "s3://b/p.json", delimiter="|", gzip=True)),
        ("format as json statupdate on compupdate off maxerror as 5", CopyOptions("json", delimiter="|", max_error=5)),
        (
            "encoding utf8 dateformat 'AUTO' timeformat as 'EpochSecs'",
            CopyOptions(delimiter="|", time_format="epochsecs"),
        ),
    ],
)
def test_options(text: str, options: CopyOptions) -> None:
    assert parse_options(text) == options


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("json 'auto'; drop table t", "'; drop table t' is not an option"),
        ("csv json 'auto'", "JSON is given twice, or beside another format"),
        ("json 'auto' delimiter ','", "DELIMITER cannot be used with json data"),
        ("csv removequotes", "REMOVEQUOTES cannot be used with csv data"),
        ("csv quote ','", "must not be the same"),
        ("delimiter 'ab'", "DELIMITER must be one character, not 'ab'"),
        ("maxerror 100001", "MAXERROR must be at most 100000"),
        ("maxerror", "MAXERROR must be followed by a whole number"),
        ("json 'noshred'", "'auto', 'auto ignorecase' or 's3://bucket/jsonpaths'"),
        ("iam_role 'arn:x'", "IAM_ROLE is not known; Clary knows ACCEPTINVCHARS"),
        ("timeformat 'MM/DD/YY'", "TIMEFORMAT must be one of 'YYYY-MM-DD HH24:MI:SS'"),
        ("format as parquet", "FORMAT must be CSV or JSON"),
    ],
)
def test_options_that_mean_nothing(text: str, told: str) -> None:
    with pytest.raises(Wrong) as caught:
        parse_options(text)
    assert told in str(caught.value)


@given(st.lists(WORDS, max_size=8).map(" ".join) | TEXTS)
def test_hostile_words_are_options_or_wrong(text: str) -> None:
    for parse in (parse_options, parse_table, parse_columns, parse_jdbc_url):
        try:
            parse(text)
        except Wrong:
            continue


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=30)))
def test_a_quoted_name_is_that_name(names: list[str]) -> None:
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    if names and len(set(names)) == len(names):
        assert parse_columns(" , ".join(quoted)) == tuple(names)
    if len(names) == 2:
        assert parse_table(".".join(quoted)) == tuple(names)


@given(
    TEXTS,
    st.sampled_from(
        ["csv", "csv delimiter ' '", "", "escape", "removequotes escape", "json 'auto'", "csv quote as 'a'"]
    ),
)
def test_any_text_is_rows_or_errors(text: str, options: str) -> None:
    found = list(rows_of(Text(text), parse_options(options), columns(2)))
    positions = [row.at for row in found]
    assert positions == sorted(set(positions))
    assert all((row.values is None) == bool(row.error) for row in found)


@given(st.lists(st.lists(FIELDS, min_size=2, max_size=2), max_size=5))
def test_what_is_written_is_read(rows: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    assert values(written.getvalue(), "csv null as '<none>'", 2) == rows

    # Blanks around quotation marks mean nothing.
    spaced = "".join(" , ".join(' "' + field.replace('"', '""') + '" ' for field in row) + "\n" for row in rows)
    assert values(spaced, "csv null as '<none>'", 2) == rows

    def escaped(field: str) -> str:
        return "".join("\\" + each if each in "|\\\n\"'" else each for each in field)

    lines = "".join("|".join(map(escaped, row)) + "\n" for row in rows)
    assert values(lines, "escape removequotes null as '<none>'", 2) == rows

    objects = "".join(json.dumps({"c0": first, "c1": {"in": second}}) for first, second in rows)
    assert [[row[0], json.loads(str(row[1]))["in"]] for row in values(objects, "json 'auto'", 2)] == rows


def test_blanks_nulls_and_lengths() -> None:
    assert values("a|  |\n\\N||\n", "blanksasnull", 3) == [["a", None, ""], [None, "", ""]]
    assert values("a |  |\n", "emptyasnull trimblanks", 3) == [["a", None, None]]
    assert values("a|b|\r\na\na|b|c|d\n", "", 2) == [
        ["a", "b"],
        "delimiter not found: 1 of 2 columns",
        "extra columns found: 4 of 2 columns",
    ]
    assert values("a\n\nb|c", "fillrecord ignoreblanklines", 2) == [["a", None], ["b", "c"]]
    (row,) = rows_of(
        Text(" |x\udcff\0"), parse_options("acceptinvchars as '_'"), [*columns(1, is_text=False), *columns(1)]
    )
    assert row.values == [None, "x__"]


def test_one_record_that_cannot_be_read_does_not_take_the_next_along() -> None:
    pieces = ['"open,1\n', '"a",2\n', '"b"x,3\n', "c,4\n"]
    starts = [sum(map(len, pieces[:number])) for number in range(len(pieces))]
    first, second, third, fourth = values("".join(pieces), "csv", 2, starts=starts)
    assert (second, fourth) == (["a", "2"], ["c", "4"])
    assert values('1, "a" \r\n "b""" ,\' x\n"c" d,2\n"open', "csv", 2) == [
        ["1", "a"],
        ['b"', "' x"],
        "malformed CSV: ',' expected after '\"'",
        "malformed CSV: unexpected end of data",
    ]
    assert str(first).startswith("malformed CSV") and str(third).startswith("malformed CSV")  # noqa: PT018

    pieces = ['{"c0": 1}{"c0": ', '{"c0": 2}', "[1]", '{"c0": 1e400, "c1": 12345678901234567890123}']
    starts = [sum(map(len, pieces[:number])) for number in range(len(pieces))]
    read = values("".join(pieces), "json 'auto'", 2, starts=starts)
    assert [row for row in read if isinstance(row, list)] == [
        ["1", None],
        ["2", None],
        ["1e400", "12345678901234567890123"],
    ]
    assert len(read) == 5


def test_jsonpaths_files() -> None:
    assert parse_jsonpaths(b'{"jsonpaths": ["$.a.b", "$[\'x y\'][0]", "$[\\"q\\"]"]}') == [
        ("a", "b"),
        ("x y", 0),
        ("q",),
    ]
    for wrong in (
        b"",
        b"[]",
        b'{"jsonpaths": []}',
        b'{"jsonpaths": ["$"]}',
        b'{"jsonpaths": ["$..a"]}',
        b'{"jsonpaths": [1]}',
    ):
        with pytest.raises(Wrong):
            parse_jsonpaths(wrong)
