"""The promises of metrics, on real storage."""

import pytest

from clary.kernel.telemetry.metrics import RETENTION_SECONDS, Datum
from clary.kernel.telemetry.statistics import StatisticSet, statistic

HERE = "111122223333", "eu-west-1"
NOW = 1_750_000_020.0
MINUTE = NOW - NOW % 60


def buckets(metrics, name="loss", *, dimensions=None, start=MINUTE, end=MINUTE + 600, period=60, **options):
    return metrics.buckets(*HERE, "NS", name, dimensions or {}, start=start, end=end, period=period, **options)


def test_data_are_summed_up_by_period(metrics):
    data = [Datum("loss", value=float(number), timestamp=MINUTE + number * 30) for number in range(6)]
    metrics.put(*HERE, "NS", data)
    found = buckets(metrics)
    assert [(bucket.start - MINUTE, bucket.samples.count, bucket.samples.total) for bucket in found] == [
        (0, 2, 1),
        (60, 2, 5),
        (120, 2, 9),
    ]
    assert [bucket.samples.average for bucket in buckets(metrics, period=300)] == [2.5]


def test_standard_resolution_belongs_to_the_minute_and_high_resolution_to_the_second(metrics):
    metrics.put(*HERE, "NS", [Datum("slow", value=1, timestamp=MINUTE + 59.9)])
    metrics.put(*HERE, "NS", [Datum("fast", value=1, timestamp=MINUTE + 59.9, resolution=1)])
    assert buckets(metrics, "slow", period=1)[0].start == MINUTE
    assert buckets(metrics, "fast", period=1)[0].start == MINUTE + 59


def test_dimensions_tell_series_apart_in_any_order(metrics):
    metrics.put(*HERE, "NS", [Datum("loss", {"a": "1", "b": "2"}, value=1)])
    metrics.put(*HERE, "NS", [Datum("loss", {"b": "2", "a": "1"}, value=3), Datum("loss", {"a": "1"}, value=9)])
    assert buckets(metrics, dimensions={"b": "2", "a": "1"}, start=0, end=NOW + 60, period=1e10)[0].samples.total == 4
    assert not buckets(metrics, start=0, end=NOW + 60)
    assert len(list(metrics.series(*HERE))) == 2


def test_values_counts_and_summaries(metrics):
    metrics.put(
        *HERE,
        "NS",
        [
            Datum("loss", values=(1.0, 5.0), counts=(3.0, 1.0), timestamp=MINUTE),
            Datum("loss", values=(9.0,), timestamp=MINUTE),
            Datum("loss", summary=StatisticSet(2, 20, 8, 12), timestamp=MINUTE),
        ],
    )
    samples = buckets(metrics)[0].samples
    assert (samples.count, samples.total, samples.minimum, samples.maximum) == (7, 37, 1, 12)


def test_units_are_kept_apart_when_asked(metrics):
    metrics.put(*HERE, "NS", [Datum("t", value=1, unit="Seconds", timestamp=MINUTE)])
    metrics.put(*HERE, "NS", [Datum("t", value=5, unit="Milliseconds", timestamp=MINUTE)])
    assert [(bucket.unit, bucket.samples.total) for bucket in buckets(metrics, "t", split_units=True)] == [
        ("Milliseconds", 5),
        ("Seconds", 1),
    ]
    assert [bucket.samples.total for bucket in buckets(metrics, "t", unit="Seconds")] == [1]
    assert [bucket.samples.total for bucket in buckets(metrics, "t")] == [6]


def test_series_list_by_namespace_and_name_and_go_on_behind_a_place(metrics):
    for namespace in ("A", "AB", "B\0"):
        metrics.put(*HERE, namespace, [Datum(name, {"d": str(i)}, value=1) for name in ("x", "xy") for i in range(3)])
    assert len(list(metrics.series(*HERE))) == 18
    assert len(list(metrics.series(*HERE, namespace="A"))) == 6
    assert len(list(metrics.series(*HERE, namespace="A", name="x"))) == 3
    assert not list(metrics.series("999900001111", "eu-west-1"))
    listed = list(metrics.series(*HERE))
    assert list(metrics.series(*HERE, after=listed[6][0])) == listed[7:]


def test_old_data_and_metrics_without_data_are_swept(metrics, clock, kv):
    metrics.put(*HERE, "NS", [Datum("old", value=1), Datum("both", value=1)])
    clock.advance(RETENTION_SECONDS + 120)
    metrics.put(*HERE, "NS", [Datum("both", value=2)])
    assert metrics.sweep() == 2
    assert [series.name for _, series in metrics.series(*HERE)] == ["both"]
    assert metrics.sweep() == 0
    assert len(list(kv.scan(b"p", b"q"))) == 1


def test_old_data_take_one_entry_for_a_minute_and_say_the_same(metrics, clock, kv):
    for number in range(300):
        metrics.put(
            *HERE,
            "NS",
            [
                Datum("loss", value=float(number % 7), timestamp=MINUTE + number, resolution=1),
                Datum("loss", summary=StatisticSet(2, number, 0, number), timestamp=MINUTE + number, unit="Seconds"),
                Datum("loss", values=(1.0, 2.5), counts=(1.0, 3.0), timestamp=MINUTE + number, unit="Seconds"),
            ],
        )
    before = buckets(metrics, split_units=True)
    clock.advance(3 * 3600 + 220)
    metrics.put(*HERE, "NS", [Datum("loss", value=1.0)])
    assert metrics.sweep() > 500
    after = buckets(metrics, split_units=True)
    assert [(each.start, each.unit) for each in after] == [(each.start, each.unit) for each in before]
    for name in ("SampleCount", "Sum", "Minimum", "Maximum", "p50", "p99"):
        look = statistic(name)
        assert [look(each.samples) for each in after] == pytest.approx([look(each.samples) for each in before])
    minutes_compact = 3
    assert len([key for key, _ in kv.scan(b"p", b"q") if _minute(key) < minutes_compact]) == minutes_compact * 3
    assert metrics.sweep() == 0
    clock.advance(600)
    metrics.sweep()
    assert len(list(kv.scan(b"p", b"q"))) == 5 * 3 + 1


def _minute(key):
    """How many minutes behind MINUTE the entry of a key is."""
    return (int.from_bytes(key[9:17], "big") / 1000 - MINUTE) // 60


def test_last_time_is_that_of_the_newest_datum(metrics):
    metrics.put(*HERE, "NS", [Datum("x", value=1, timestamp=MINUTE + 120), Datum("x", value=1, timestamp=MINUTE)])
    (_, series) = next(metrics.series(*HERE))
    assert metrics.last_time(series) == MINUTE + 120


def test_a_value_that_is_not_finite_is_left_out(metrics):
    metrics.put(*HERE, "NS", [Datum("loss", value=float("nan"), timestamp=MINUTE), Datum("loss", value=1.0)])
    (bucket,) = buckets(metrics, start=0, period=4e9)
    assert bucket.samples.samples == [(1.0, 1.0)]


@pytest.mark.parametrize("datum", [Datum("x"), Datum("x", values=(1.0,), counts=(1.0, 2.0)), Datum("x", unit="Miles")])
def test_a_datum_without_sense_is_refused_before_anything_is_written(metrics, datum):
    with pytest.raises(ValueError, match=r"x|Miles"):
        metrics.put(*HERE, "NS", [Datum("fine", value=1), datum])
    assert not list(metrics.series(*HERE))
