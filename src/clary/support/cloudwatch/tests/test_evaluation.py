"""When alarms change their state: the cases that CloudWatch's documentation tabulates."""

import pytest

from clary.support.cloudwatch.evaluation import ALARM, INSUFFICIENT_DATA, OK, Rule, evaluate, reason

MISSING = ("missing", "ignore", "breaching", "notBreaching")


def states(pattern, to_alarm):
    """The verdicts of the four treatments; in `pattern`, X breaches, 0 does not and - is missing. None keeps."""
    values = [{"X": 9.0, "0": 1.0, "-": None}[sign] for sign in pattern.split()]
    return [evaluate(Rule("GreaterThanThreshold", 5, 3, to_alarm, treat), values).state for treat in MISSING]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("0 - X - X", [OK, OK, OK, OK]),
        ("0 - - - -", [OK, OK, OK, OK]),
        ("- - - - -", [INSUFFICIENT_DATA, None, ALARM, OK]),
        ("0 X X - X", [ALARM, ALARM, ALARM, ALARM]),
        ("- - X - -", [ALARM, None, ALARM, OK]),
        ("- - - - X", [OK, None, ALARM, OK]),
    ],
)
def test_three_out_of_three(pattern, expected):
    assert states(pattern, 3) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("0 - X - X", [ALARM, ALARM, ALARM, ALARM]),
        ("0 0 X 0 X", [ALARM, ALARM, ALARM, ALARM]),
        ("0 - X - -", [OK, OK, ALARM, OK]),
        ("- - - - 0", [OK, OK, ALARM, OK]),
        ("- - - X -", [ALARM, None, ALARM, OK]),
    ],
)
def test_two_out_of_three(pattern, expected):
    assert states(pattern, 2) == expected


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [False, False, True]),
        ("GreaterThanOrEqualToThreshold", [False, True, True]),
        ("LessThanThreshold", [True, False, False]),
        ("LessThanOrEqualToThreshold", [True, True, False]),
    ],
)
def test_comparisons(comparison, breaching):
    assert [Rule(comparison, 5, 1, 1).breaches(value) for value in (4, 5, 6)] == breaching


def test_a_change_is_explained():
    rule = Rule("GreaterThanThreshold", 0.5, 2, 1)
    verdict = evaluate(rule, [None, None, 0.25, 0.75])
    assert reason(rule, verdict, OK) == (
        "Threshold Crossed: 1 out of the last 2 datapoints [0.25, 0.75] was greater than the threshold (0.5) "
        "(minimum 1 datapoint for OK -> ALARM transition)."
    )
    gone = evaluate(rule, [None] * 4)
    assert reason(rule, gone, ALARM) == "Insufficient Data: 2 datapoints were unknown."
