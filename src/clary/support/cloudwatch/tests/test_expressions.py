"""Metric math, against values worked out by hand, and against hostile input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.support.cloudwatch.calculation import calculate
from clary.support.cloudwatch.expressions import ExpressionError, NoData, parse, references
from clary.support.cloudwatch.values import Series, Setting

GRID = (0.0, 60.0, 120.0, 180.0)


def series(*numbers, label="s"):
    points = {moment: float(n) for moment, n in zip(GRID, numbers, strict=False) if n is not None}
    return Series(label, 60, points)


SETTING = Setting(
    {
        "m1": series(1, 2, 3, 4),
        "m2": series(10, None, 30, 40),
        "gap": series(None, 4, None, 8),
        "empty": series(),
        "many": [series(1, 5), series(3, 3)],
        "n": 2.0,
    },
    ["m1", "m2"],
    lambda period: GRID,
    60,
)


def values(text):
    found = calculate(parse(text), SETTING)
    if isinstance(found, Series):
        return list(found.points.values())
    if isinstance(found, list):
        return [list(each.points.values()) for each in found]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 * -3", -6),
        ("1.5e2 / 3", 50),
        ("m1 + 1", [2, 3, 4, 5]),
        ("100 * (m1 / m2)", [10, 10, 10]),
        ("m1 / (m1 - 1)", [2, 1.5, 4 / 3]),
        ("many * n", [[2, 10], [6, 6]]),
        ("m1 > 2", [0, 0, 1, 1]),
        ("m1 > 2 && m1 < 4", [0, 0, 1, 0]),
        ("m1 == 1 OR m1 == 4", [1, 0, 0, 1]),
        ("SUM(m1)", 10),
        ("AVG([m1, m2])", [5.5, 2, 16.5, 22]),
        ("SUM(METRICS())", [11, 2, 33, 44]),
        ('MAX(METRICS("m2"))', [10, 30, 40]),
        ("METRIC_COUNT(METRICS())", 2),
        ("DATAPOINT_COUNT(m2)", 3),
        ("STDDEV(m1)", 5**0.5 / 2),
        ("MIN(m2)", 10),
        ("ABS(m1 - 3)", [2, 1, 0, 1]),
        ("CEIL(m1 / 2)", [1, 1, 2, 2]),
        ("LOG10(m2 - 10)", [pytest.approx(1.30103), pytest.approx(1.47712)]),
        ("FILL(m2, 0)", [10, 0, 30, 40]),
        ("FILL(gap, REPEAT)", [4, 4, 8]),
        ("FILL(gap, LINEAR)", [4, 6, 8]),
        ("FILL(gap, m1)", [1, 4, 3, 8]),
        ("FILL(empty, 7)", [7, 7, 7, 7]),
        ("DIFF(m2)", [20, 10]),
        ("DIFF_TIME(m2)", [120, 60]),
        ("RATE(m2)", [20 / 120, 10 / 60]),
        ("RUNNING_SUM(m1)", [1, 3, 6, 10]),
        ("PERIOD(m1)", 60),
        ("IF(m1 > 2, m1, 0)", [0, 0, 3, 4]),
        ("IF(m1 > 2, m2)", [30, 40]),
        ("IF(n, m1, m2)", [1, 2, 3, 4]),
        ("FIRST(many)", [1, 5]),
        ("LAST(many)", [3, 3]),
        ("SLICE(many, 1)", [3, 3]),
        ("SLICE(many, 0, 1)", [[1, 5]]),
        ("SORT(METRICS(), AVG, DESC, 1)", [[10, 30, 40]]),
        ("REMOVE_EMPTY([m1, empty])", [[1, 2, 3, 4]]),
        ("TIME_SERIES(5)", [5, 5, 5, 5]),
        ("MINUTE(m1)", [0, 1, 2, 3]),
        ("YEAR(m1)", [1970] * 4),
        ("EPOCH(m1)", [0, 60, 120, 180]),
        ("m1 + empty", []),
    ],
)
def test_expressions(text, expected):
    assert values(text) == (pytest.approx(expected) if isinstance(expected, float) else expected)


def test_a_number_of_a_series_without_points_is_no_mistake():
    with pytest.raises(NoData):
        values("m1 / SUM(empty)")


def test_references_are_found_everywhere():
    assert set(references(parse("IF(a > 1, SUM([b, c]), -d)"))) == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "(1",
        "1 2",
        "m1 $ 2",
        "none + 1",
        "SEARCH('x', 'Average')",
        "ANOMALY_DETECTION_BAND(m1)",
        "SELECT AVG(x) FROM y",
        "many + many",
        "ABS()",
        "SUM(m1, m2)",
        "FILL(m1)",
        "FILL(gap, UP)",
        "SORT(METRICS(), m1, ASC)",
        "CEIL(RUNNING_SUM(m1 * 0 + 1e308))",
        "SUM(FILL(empty, 1e308))",
        "'text'",
        "1e999",
        "(" * 300 + "1" + ")" * 300,
        "+".join(["1"] * 1000),
        "-" * 200 + "1",
    ],
)
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(ExpressionError):
        values(text)


@given(st.text(alphabet="m1n2 +-*/^()[]<>=&|,.\"'eSUMIFLDATR", max_size=50))
def test_any_text_is_worked_out_or_refused(text):
    try:
        values(text)
    except ExpressionError:
        pass
