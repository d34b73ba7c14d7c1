"""Event patterns: each operator, what means nothing, and all of it against a slow reading of the rules."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.kernel.core.event_patterns import PatternError, compile_pattern


def holds(wanted, value):
    """Whether one entry of a leaf takes one scalar, as the user guide says it."""
    if not isinstance(wanted, dict):
        if isinstance(wanted, bool) or wanted is None or isinstance(value, bool) or value is None:
            return wanted is value
        return wanted == value and isinstance(wanted, str) == isinstance(value, str)
    ((name, of),) = wanted.items()
    if name == "exists":
        return of
    if name == "anything-but":
        if isinstance(of, dict):
            ((inner, values),) = of.items()
            return not any(holds({inner: each}, value) for each in (values if isinstance(values, list) else [values]))
        return not any(holds(each, value) for each in (of if isinstance(of, list) else [of]))
    if name == "numeric":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        checks = {"<": value < of[1], "<=": value <= of[1], ">": value > of[1], ">=": value >= of[1]}
        checks["="] = value == of[1]
        return checks[of[0]]
    if not isinstance(value, str):
        return False
    if name == "prefix":
        return value[: len(of)] == of
    if name == "suffix":
        return of == "" or value[-len(of) :] == of
    if name == "equals-ignore-case":
        return value.upper().lower() == of.upper().lower()
    first, *rest = of.split("*")  # wildcard
    if not rest:
        return value == of
    at = len(first)
    for piece in rest[:-1]:
        found = value.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return value.startswith(first) and value.endswith(rest[-1]) and len(value) - len(rest[-1]) >= at


def fields(value, path=(), places=()):
    """Every scalar of a document: its path, itself, and the elements of arrays that it lies in."""
    if isinstance(value, dict):
        return [each for key, inner in value.items() for each in fields(inner, (*path, key), places)]
    if isinstance(value, list):
        return [each for n, inner in enumerate(value) for each in fields(inner, path, (*places, (path, n)))]
    return [(path, value, places)]


def conditions(pattern, path=()):
    """The alternatives of a pattern: lists of (path, entries), all of which must hold."""
    found = [[]]
    for key, wanted in pattern.items():
        if key == "$or":
            options = [each for one in wanted for each in conditions(one, path)]
        elif isinstance(wanted, dict):
            options = conditions(wanted, (*path, key))
        else:
            options = [[((*path, key), wanted)]]
        found = [left + right for left in found for right in options]
    return found


def agree(chosen):
    """Whether fields lie in the same elements of the arrays that they share."""
    seen = {}
    return all(seen.setdefault((len(place), path), n) == n for _, _, place in chosen for path, n in place)


def naive(pattern, document):
    """As Event Ruler is described: fields that hold, one for each condition, none in another element than the rest."""
    all_fields = fields(document)
    for alternative in conditions(pattern):
        options = []
        for path, wanted in alternative:
            here = [field for field in all_fields if field[0] == path]
            fitting = [field for field in here if any(holds(each, field[1]) for each in wanted)]
            if not here and {"exists": False} in wanted:
                fitting = [(path, None, ())]
            options.append(fitting)
        if any(agree(chosen) for chosen in itertools.product(*options)):
            return True
    return False


KEYS = st.sampled_from(["a", "b", "c"])
TEXTS = st.text(alphabet="xYy", max_size=3)
NUMBERS = st.sampled_from([0, 1, 1.0, 1.5, -2])
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
WILDCARDS = (
    st.lists(st.text(alphabet="xy", max_size=2), min_size=1, max_size=3)
    .map("*".join)
    .filter(lambda text: "**" not in text)
)
ENTRIES = st.one_of(
    SCALARS,
    st.builds(lambda wanted: {"exists": wanted}, st.booleans()),
    st.builds(lambda name, text: {name: text}, st.sampled_from(["prefix", "suffix", "equals-ignore-case"]), TEXTS),
    st.builds(lambda text: {"wildcard": text}, WILDCARDS),
    st.builds(lambda texts: {"anything-but": texts}, st.one_of(TEXTS, st.lists(TEXTS, min_size=1, max_size=2))),
    st.builds(lambda numbers: {"anything-but": numbers}, st.lists(NUMBERS, min_size=1, max_size=2)),
    st.builds(
        lambda name, text: {"anything-but": {name: text}}, st.sampled_from(["prefix", "suffix"]), TEXTS.filter(bool)
    ),
    st.builds(lambda text: {"anything-but": {"wildcard": text}}, WILDCARDS),
    st.builds(lambda name, number: {"numeric": [name, number]}, st.sampled_from(["<", "<=", "=", ">", ">="]), NUMBERS),
)
LEAVES = st.lists(ENTRIES, min_size=1, max_size=3)


def objects(leaves, most):
    return st.dictionaries(KEYS, leaves, min_size=1, max_size=most)


PATTERNS = st.recursive(objects(LEAVES, 3), lambda inner: objects(st.one_of(LEAVES, inner), 3), max_leaves=4)
WITH_OR = st.one_of(
    PATTERNS,
    st.builds(lambda pattern, either: {**pattern, "$or": either}, PATTERNS, st.lists(PATTERNS, min_size=2, max_size=2)),
)
DOCUMENTS = st.recursive(
    st.dictionaries(KEYS, SCALARS, max_size=3),
    lambda inner: st.dictionaries(
        KEYS, st.one_of(SCALARS, inner, st.lists(st.one_of(SCALARS, inner), max_size=3)), max_size=3
    ),
    max_leaves=6,
)


@given(WITH_OR, DOCUMENTS)
def test_patterns_match_what_the_rules_say(pattern, document):
    assert compile_pattern(pattern)(document) == naive(pattern, document)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ({"a": ["x", 1]}, [{"a": "x"}, {"a": 1.0}, {"a": ["y", "x"]}], [{"a": "1"}, {"a": True}, {"b": "x"}]),
        ({"a": [None, ""]}, [{"a": None}, {"a": ""}], [{}, {"a": []}]),
        ({"a": [{"cidr": "10.0.0.0/24"}]}, [{"a": "10.0.0.9"}], [{"a": "10.0.1.1"}, {"a": "x"}, {"a": 5}]),
        ({"a": [{"cidr": "2001:db8::/32"}]}, [{"a": "2001:db8::1"}], [{"a": "2001:db9::1"}]),
        ({"a": [{"numeric": [">", 0, "<=", 5]}]}, [{"a": 5}, {"a": 0.1}], [{"a": 0}, {"a": "5"}]),
        ({"a": [{"prefix": {"equals-ignore-case": "EventB"}}]}, [{"a": "eventbus"}], [{"a": "event"}]),
        ({"a": [{"suffix": {"equals-ignore-case": ".PNG"}}]}, [{"a": "i.png"}], [{"a": "png"}]),
        ({"a": [{"anything-but": {"prefix": ["x", "y"]}}]}, [{"a": "z"}], [{"a": "xz"}, {}]),
        ({"a": [{"anything-but": {"equals-ignore-case": ["X"]}}]}, [{"a": "z"}], [{"a": "x"}]),
        ({"a": [{"wildcard": "a\\**b"}]}, [{"a": "a*xb"}, {"a": "a*b"}], [{"a": "axb"}]),
        ({"a": {"b": [{"exists": False}]}}, [{}, {"a": 1}, {"a": {"b": {"c": 1}}}], [{"a": [{"c": 1}, {"b": 1}]}]),
        ({"a": {"b": [1], "c": [2]}}, [{"a": [{"b": 1, "c": 2}]}], [{"a": [{"b": 1}, {"c": 2}]}]),
        ({"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}, [{"b": 2, "c": 3}], [{"b": 1, "c": 3}, {"a": 1}]),
        ({"$or": ["x"]}, [{"$or": "x"}], [{"a": "x"}]),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_operators(pattern, matching, others):
    matches = compile_pattern(pattern)
    assert [each for each in matching if not matches(each)] == []
    assert [each for each in others if matches(each)] == []


def test_a_wildcard_takes_no_long_time():
    matches = compile_pattern({"a": [{"wildcard": "*".join("a" * 30) + "*b"}]})
    assert not matches({"a": "a" * 3000})


def test_a_pattern_of_any_depth_is_refused_not_a_fault():
    pattern = {"a": ["x"]}
    for _ in range(500):
        pattern = {"a": pattern}
    with pytest.raises(PatternError, match="deep"):
        compile_pattern(pattern)
