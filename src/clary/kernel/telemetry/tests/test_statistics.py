"""Statistics by their CloudWatch names, against values worked out by hand."""

import pytest

from clary.kernel.telemetry.statistics import Distribution, StatisticSet, statistic

HUNDRED = Distribution([(float(value), 1.0) for value in range(100, 0, -1)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SampleCount", 100),
        ("Sum", 5050),
        ("Average", 50.5),
        ("Minimum", 1),
        ("Maximum", 100),
        ("p50", 50),
        ("p99", 99),
        ("p99.9", 100),
        ("p0", 1),
        ("p100", 100),
        ("tm90", 45.5),
        ("TM(10%:90%)", 50.5),
        ("TM(:10)", 5.5),
        ("TM(90:)", 95.5),
        ("IQM", 50.5),
        ("tc90", 90),
        ("TC(10:20)", 10),
        ("ts10", 55),
        ("wm90", (sum(range(1, 91)) + 10 * 90) / 100),
        ("WM(:90)", (sum(range(1, 91)) + 10 * 90) / 100),
        ("PR(:30)", 30),
        ("PR(30:60)", 30),
    ],
)
def test_statistics_of_one_to_a_hundred(name, expected):
    assert statistic(name)(HUNDRED) == pytest.approx(expected)


def test_counts_weigh():
    known = Distribution([(1.0, 98.0), (1000.0, 2.0)])
    assert statistic("p98")(known) == 1
    assert statistic("p99")(known) == 1000
    assert statistic("tm98")(known) == 1
    assert statistic("tm99")(known) == pytest.approx((98 + 1000) / 99)
    assert statistic("Average")(known) == pytest.approx((98 + 2000) / 100)


def test_summaries_give_simple_statistics_and_hide_percentiles():
    known = Distribution([(5.0, 1.0)])
    known.add_set(StatisticSet(count=3, total=12, minimum=2, maximum=6))
    assert [statistic(name)(known) for name in ("SampleCount", "Sum", "Minimum", "Maximum")] == [4, 17, 2, 6]
    assert statistic("p50")(known) is None
    alike = Distribution()
    alike.add_set(StatisticSet(count=3, total=6, minimum=2, maximum=2))
    assert statistic("p50")(alike) == 2


@pytest.mark.parametrize(
    "name",
    ["", "average", "p", "p101", "pp9", "TM()", "TM(:)", "TM(5%:3)", "TM(9%:3%)", "PR(1%:9%)", "TM(a:b)", "tm-1"],
)
def test_what_is_no_statistic_is_refused(name):
    with pytest.raises(ValueError, match=r"."):
        statistic(name)
