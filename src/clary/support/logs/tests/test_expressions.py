"""Regular expressions of filter patterns: what Python's engine says, in a time that no expression can stretch."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.support.logs.patterns import compile_pattern, expressions
from clary.support.logs.patterns.expressions import Expression, ExpressionError

LETTERS = st.sampled_from(["a", "b", ".", r"\d", r"\w", "[ab]", "[^a]", r"\.", " "])
REPEATS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "{0}", "{0,2}"])
SEQUENCES = st.lists(st.tuples(LETTERS, REPEATS).map("".join), max_size=6).map("".join)
BRANCHES = st.tuples(st.sampled_from(["", "^"]), SEQUENCES, st.sampled_from(["", "$"])).map("".join)
SOURCES = st.lists(BRANCHES, min_size=1, max_size=3).map("|".join)


@settings(max_examples=500, deadline=None)
@given(SOURCES, st.text(alphabet="ab1. \n", max_size=30))
def test_the_automaton_agrees_with_pythons_engine(source: str, text: str) -> None:
    expected = re.search(source, text) is not None
    most = expressions._MOST_STEPS
    try:
        expressions._MOST_STEPS = -1  # type: ignore[misc]
        assert Expression(source).found_in(text) is expected
    finally:
        expressions._MOST_STEPS = most  # type: ignore[misc]
    assert Expression(source).found_in(text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "%a*a*a*a*b%",
        "%a+a+a+a+$%",
        "%" + "a{0,99}" * 9 + "b%",
        "%" + "a?" * 300 + "b%",
        "%a.*a.*a.*a.*b%",
        "[word = *a*a*a*b, ...]",
    ],
)
def test_no_pattern_takes_long(pattern: str) -> None:
    compiled = compile_pattern(pattern)
    began = time.process_time()
    assert compiled.match("a" * 20_000 + "c") is None
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("source", ["a^b", "a$b", r"\1", r"a\b", "a**", "*a", "{2}", "a{2000}", "a{3,2}", "[b-a]"])
def test_what_is_no_expression_is_refused(source: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(source)
