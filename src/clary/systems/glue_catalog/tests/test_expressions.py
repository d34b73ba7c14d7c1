"""Conditions on partition keys, and patterns of names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.systems.glue_catalog.expressions import compile_condition
from clary.systems.glue_catalog.patterns import like, matches, names
from clary.systems.glue_catalog.records import partition_key, partition_values, partitions_below

KEYS = [
    {"Name": "region", "Type": "string"},
    {"Name": "year", "Type": "int"},
    {"Name": "day", "Type": "date"},
]
HERE = ["eu-west", "2024", "2024-03-09"]


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("region = 'eu-west'", True),
        ("REGION='eu-west' and year=2024", True),
        ("region <> 'eu-west' or year != '2024'", False),
        ("year > 999 AND year < 10000", True),  # as numbers, not as text
        ("2023 < year", True),
        ("day between '2024-03-01' and date '2024-03-31'", True),
        ("day >= '2024-04-01'", False),
        ("year IN (2023, '2024')", True),
        ("year not in (2023, 2024)", False),
        ("region like 'eu-%' and not region like '%east'", True),
        ("region like 'eu_west'", True),
        ("region like 'eu\\_west'", False),
        ('`region` is not null and "year" is null', False),
        ("not (region = 'us' or (year = 2024 and day = '2024-03-09'))", False),
        ("region = 'it''s'", False),
    ],
)
def test_a_condition_keeps_what_it_is_true_for(expression: str, kept: bool) -> None:
    assert compile_condition(expression, KEYS).keeps(HERE) is kept


def test_null_is_neither_equal_nor_different() -> None:
    nothing = ["__HIVE_DEFAULT_PARTITION__", "old", "2024-03-09"]
    for expression in ("region = 'a'", "region <> 'a'", "not region = 'a'", "year < 5", "year >= 5", "year in (1)"):
        assert not compile_condition(expression, KEYS).keeps(nothing)
    assert compile_condition("region is null and year is null", KEYS).keeps(nothing)
    assert compile_condition("region = 'a' or day > '2024-01-01'", KEYS).keeps(nothing)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("region", "a comparison is missing at its end"),
        ("region = ", "a number or a text"),
        ("other = 1", "other is no partition key"),
        ("year = 'x'", "not of the type"),
        ("year = 2024 year = 2025", "AND, OR or the end"),
        ("year in ()", "a number or a text"),
        ("year in (1", "is missing"),
        ("year like '2%'", "LIKE is for keys of text"),
        ("region = 'a' ; drop", "not understood"),
        ("(" * 2000 + "year=1", "nested deeper"),
        ("not " * 500 + "year=1", "nested deeper"),
        ("region like '" + "%a" * 200 + "'", "wildcards"),
        ("1 = 1", "a partition key is missing"),
        ("region = a", "a number or a text"),
    ],
)
def test_what_is_not_understood_is_said(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_condition(expression, KEYS)


def test_what_the_first_keys_must_equal_is_known() -> None:
    def first(expression: str) -> list[str]:
        return compile_condition(expression, [{"Name": name} for name in "abc"]).first_values

    assert first("a='1' and b='2' and c>'3'") == ["1", "2"]
    assert first("b='2' and (a='1')") == ["1", "2"]
    assert first("a='1' or b='2'") == []
    assert first("(a='1' or a='2') and b='2'") == []
    assert first("not a='1'") == []
    assert first("a>'1' and b='2'") == []


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4))
def test_a_partition_s_name_holds_its_values(values: list[str]) -> None:
    name = partition_key("uid", values)
    assert partition_values(name) == values
    assert "\x00" not in name
    assert name.startswith(partitions_below("uid", values[:-1]))


@given(st.text("ab%_", max_size=12), st.text("ab", max_size=12))
def test_like_is_what_a_backtracking_match_says(pattern: str, text: str) -> None:
    def slowly(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "%":
            return any(slowly(pattern[1:], text[start:]) for start in range(len(text) + 1))
        return bool(text) and pattern[0] in ("_", text[0]) and slowly(pattern[1:], text[1:])

    assert matches(like(pattern), text) == slowly(pattern, text)


@pytest.mark.parametrize(
    ("expression", "name", "found"),
    [
        ("ab*", "abc", True),
        ("ab*", "a", False),
        ("ab+c?", "abbb", True),
        ("[^a-c]x", "dx", True),
        ("[^a-c]x", "bx", False),
        ("\\d\\d|x.*y", "42", True),
        ("\\d\\d|x.*y", "xzy", True),
        ("a.c", "a.c", True),
        ("a\\.c", "abc", False),
    ],
)
def test_patterns_of_names(expression: str, name: str, found: bool) -> None:
    assert any(matches(pattern, name) for pattern in names(expression)) is found
