"""Patterns of what crawlers leave out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.systems.glue_catalog.crawling.globs import compile_globs


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.csv", ["a.csv", ".csv"], ["a.json", "b/a.csv", "a.csvx"]),
        ("*.*", ["a.b"], ["a", "a/b.c"]),
        ("*.{csv,avro}", ["a.csv", "a.avro"], ["a.orc", "a.{csv"]),
        ("foo.?", ["foo.a"], ["foo.", "foo.ab", "foo./"]),
        ("myfolder/*", ["myfolder/a"], ["myfolder/b/c", "myfolder"]),
        ("myfolder/*/*", ["myfolder/b/c"], ["myfolder/a", "myfolder/a/b/c"]),
        ("myfolder/**", ["myfolder/a", "myfolder/b/c/d"], ["other/a"]),
        ("**/x*.[ch]", ["a/x1.c", "a/b/x.h"], ["x.c", "a/x.d"]),
        ("year=[0-9][!0-9]", ["year=1a"], ["year=11", "year=1/"]),
        ("a\\*b", ["a*b"], ["axb"]),
        ("{a,b}{1,2}/**", ["a1/x", "b2/y/z"], ["a3/x"]),
    ],
)
def test_a_pattern_is_that_of_paths(pattern: str, matching: list[str], others: list[str]) -> None:
    excluded = compile_globs([pattern])
    assert [path for path in matching + others if excluded(path)] == matching


@pytest.mark.parametrize("pattern", ["", "[a", "{a", "a}", "{a{b}}", "a\\", "[z-a]", "{a,b}" * 9])
def test_what_is_no_pattern_is_said(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        compile_globs([pattern])


@given(st.text(alphabet="a*?/[]{},!-\\b", max_size=12), st.text(alphabet="ab/-", max_size=30))
def test_any_pattern_matches_or_is_refused(pattern: str, path: str) -> None:
    try:
        excluded = compile_globs([pattern])
    except ValueError:
        return
    assert excluded(path) in (True, False)


def test_many_stars_take_no_longer() -> None:
    assert not compile_globs(["*a" * 200])("a" * 500 + "b")
