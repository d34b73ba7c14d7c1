"""Schedule expressions: when they are due, in which zone, and what is none."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.kernel.core.schedules import parse_schedule

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def due(text: str, count: int = 1, *, timezone: str = "UTC", after: float = START) -> list[str]:
    """The next times, as local ones."""
    schedule = parse_schedule(text, timezone=timezone, anchor=START)
    zone = UTC if timezone == "UTC" else ZoneInfo(timezone)
    found: list[str] = []
    at: float | None = after
    for _ in range(count):
        at = schedule.next_after(at) if at is not None else None
        if at is None:
            return found
        found.append(datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("at(2026-03-04T05:06:00)", ["2026-03-04 05:06"]),
        ("at(2025-03-04T05:06:00)", []),
        ("rate(1 hour)", ["2026-01-01 01:00", "2026-01-01 02:00"]),
        ("rate(5 minutes)", ["2026-01-01 00:05", "2026-01-01 00:10"]),
        ("cron(0 10 * * ? *)", ["2026-01-01 10:00", "2026-01-02 10:00"]),
        ("cron(0/15 8-9 ? * MON-FRI *)", ["2026-01-01 08:00", "2026-01-01 08:15", "2026-01-01 08:30"]),
        ("cron(0 0 L * ? *)", ["2026-01-31 00:00", "2026-02-28 00:00"]),
        ("cron(0 0 15W * ? *)", ["2026-01-15 00:00", "2026-02-16 00:00"]),
        ("cron(0 0 1W * ? *)", ["2026-02-02 00:00", "2026-03-02 00:00"]),
        ("cron(0 0 LW * ? *)", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("cron(0 0 ? * 2#1 *)", ["2026-01-05 00:00", "2026-02-02 00:00"]),
        ("cron(0 0 ? * 6L *)", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("cron(0 0 ? * 1 *)", ["2026-01-04 00:00", "2026-01-11 00:00"]),
        ("cron(0 0 29 FEB ? *)", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("cron(0 12 1 1,7 ? 2027-2028)", ["2027-01-01 12:00", "2027-07-01 12:00", "2028-01-01 12:00"]),
        ("cron(0 0 31 2 ? *)", []),
        ("cron(0 0 1 1 ? 2020)", []),
    ],
)
def test_expressions_are_due(text: str, times: list[str]) -> None:
    assert due(text, len(times) or 1) == times


def test_local_times_are_skipped_where_clocks_are() -> None:
    """Clocks in Berlin went from 2 to 3 on 29 March 2026, and back on 25 October."""
    spring = datetime(2026, 3, 28, tzinfo=UTC).timestamp()
    assert due("cron(30 2 * * ? *)", 2, timezone="Europe/Berlin", after=spring) == [
        "2026-03-28 02:30",
        "2026-03-30 02:30",
    ]
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp()
    assert due("cron(30 2 * * ? *)", 2, timezone="Europe/Berlin", after=autumn) == [
        "2026-10-25 02:30",
        "2026-10-26 02:30",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hourly",
        "rate(1 hours)",
        "rate(5 minute)",
        "rate(0 minutes)",
        "rate(5 weeks)",
        "at(tomorrow)",
        "cron(0 0 * * *)",
        "cron(0 0 * * * *)",
        "cron(0 0 ? * ? *)",
        "cron(60 0 * * ? *)",
        "cron(5-1 0 * * ? *)",
        "cron(* * 32 * ? *)",
        "cron(* * ? * 8 *)",
        "cron(* * ? * 2#6 *)",
        "cron(*/0 * * * ? *)",
        "cron(* * * XYZ ? *)",
        "cron(\u0661 * * * ? *)",
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_schedule(text)


def test_a_zone_must_exist() -> None:
    for zone in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ValueError, match="time zone"):
            parse_schedule("rate(1 hour)", timezone=zone)


@given(
    st.sampled_from(["cron(7 3,15 * * ? *)", "cron(0/20 * ? * 2-6 *)", "rate(7 minutes)", "cron(0 0 L 2 ? *)"]),
    st.floats(0, 4e9),
    st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]),
)
def test_what_is_due_lies_ahead_and_nothing_between(text: str, after: float, zone: str) -> None:
    schedule = parse_schedule(text, timezone=zone)
    first = schedule.next_after(after)
    assert first is not None
    assert first > after
    assert schedule.next_after(first - 1) == first
    assert datetime.fromtimestamp(first, UTC) - datetime.fromtimestamp(after, UTC) < timedelta(days=367)
