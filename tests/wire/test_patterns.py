"""The models' patterns: all have a translation, match what Java's would, and cannot be made to take forever."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.kernel.wire import SERVICES, service
from clary.kernel.wire.patterns import EQUAL, compile_pattern, translate

# Patterns Python cannot express: none
UNTRANSLATABLE: dict[str, str] = {}

PATTERNS = sorted(
    {traits["pattern"] for name in SERVICES for traits in service(name).model["shapes"].values() if "pattern" in traits}
)


def test_every_pattern_has_a_translation() -> None:
    failed = set()
    for pattern in PATTERNS:
        try:
            compile_pattern(pattern)
            re.compile(translate(pattern, ascii_only=False), re.ASCII)
        except re.error:
            failed.add(pattern)
    assert failed == set(UNTRANSLATABLE)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (
            r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
            ["a", "my-job-1", "a" * 63],
            ["", "a_b", "-a", "a-", "a b", "a\n", "a" * 64],
        ),
        (r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*", ["endpoint-1"], ["endpoint_1", "endpoint/../x"]),
        (
            r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)",
            ["team", "équipe 7", "チーム", ""],
            ["a*b", "é*", "tab\t", "emoji \U0001f600"],
        ),
        (r"([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)${1,128}", ["team"], ["a*b"]),
        (r"\A\S[\p{Print}]*\z", ["x y"], [" x", "x\n", "x\x7f", "xé"]),
        (
            r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*",
            ["text \U0001f600", "\t"],
            ["\x07", "\ufffe", "\n"],
        ),
        (r"[\w-_]*", ["a-b_c"], ["a b"]),
        (r"\d{12}", ["123456789012"], ["١٢٣٤٥٦٧٨٩٠١٢", "12"]),
        (r"\p{ASCII}*", ["a\x00"], ["é"]),
    ],
)
def test_patterns_match_whole_values_as_java_does(pattern: str, good: list[str], bad: list[str]) -> None:
    matches = compile_pattern(pattern)
    assert [value for value in good if not matches(value)] == []
    assert [value for value in bad if matches(value)] == []


@pytest.mark.parametrize("java", sorted(EQUAL))
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_stand_ins_match_the_same_values(java: str, data: st.DataObject) -> None:
    original = re.compile(java, re.ASCII)
    alphabet = st.sampled_from("a0-_./*@:[ \t\n\x7f$") | st.characters(max_codepoint=300)
    start = st.sampled_from(["", "https://", "$"])
    value = data.draw(st.one_of(st.text(alphabet, max_size=9), st.from_regex(original, fullmatch=True)))
    value = data.draw(start) + value[:24]
    assert compile_pattern(java)(value) == (original.fullmatch(value) is not None)


def test_no_pattern_can_be_made_to_run_long() -> None:
    """Pumps that make ambiguous repetitions explode: each must be refused or accepted in a blink."""
    slow = []
    pumps = ["a", "0", "a-", "-", " ", "a.", "a/", ".a", "/a", "_", "\t", "a ", "a,", "[0]", "$.a", ":"]
    starts = ["", "a", "$", "/", "https://", "arn:aws:", "s3://a", "arn:aws:sagemaker:us-east-1:123456789012:"]
    for java in PATTERNS:
        matches = compile_pattern(java)
        began = time.perf_counter()
        for start in starts:
            for pump in pumps:
                matches(start + pump * 20 + "\x00")
        if time.perf_counter() - began > 0.5:
            slow.append(java)
    assert slow == []
