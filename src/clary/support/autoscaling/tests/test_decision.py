"""What is decided, whatever policies wish: always within the bounds, never against a cooldown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.kernel.core.errors import AwsError
from clary.support.autoscaling.adjustments import Keep, Share, Step, aggregated, check_steps, step_for
from clary.support.autoscaling.decision import Limits, Wish, choose, correction
from clary.support.autoscaling.records import Cooldown
from clary.support.autoscaling.tracking import load, whole

KINDS = ("ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity")

steps = st.builds(Step, st.sampled_from(KINDS), st.integers(-300, 300), st.integers(1, 5))
adjustments = st.one_of(st.just(Keep()), st.builds(Share, st.floats(0, 1e6)), steps)
wishes = st.lists(
    st.builds(
        Wish,
        st.just("why"),
        adjustments,
        st.floats(0, 1000),
        st.floats(0, 1000),
        tracks=st.booleans(),
        is_current=st.booleans(),
    ),
    max_size=5,
)
limits = st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans(), st.booleans()).map(
    lambda drawn: Limits(min(drawn[:2]), max(drawn[:2]), drawn[2], drawn[3])
)
cooldowns = st.one_of(st.none(), st.builds(Cooldown, st.booleans(), st.integers(0, 20), st.floats(0, 200)))


@given(st.integers(0, 30), limits, wishes, cooldowns, st.floats(0, 300))
def test_no_choice_leaves_the_bounds_or_breaks_a_cooldown(
    current: int, allowed: Limits, wanted: list[Wish], cooldown: Cooldown | None, now: float
) -> None:
    corrected = correction(current, allowed)
    if corrected is not None:
        assert allowed.minimum <= corrected.capacity <= allowed.maximum
        return
    choice = choose(current, allowed, wanted, cooldown, now)
    if choice is None:
        return
    assert choice.capacity != current
    assert allowed.minimum <= choice.capacity <= allowed.maximum
    if choice.capacity > current:
        assert allowed.may_scale_out
    else:
        assert allowed.may_scale_in
        assert cooldown is None or now >= cooldown.until
    if choice.capacity > current and cooldown is not None and now < cooldown.until and cooldown.scaled_out:
        from_before = [wish.adjustment.of(current if wish.is_current else cooldown.base) for wish in wanted]
        assert choice.capacity <= allowed.clamp(max(from_before))


@given(st.integers(1, 1000), st.floats(0.01, 100))
def test_a_share_brings_the_metric_to_its_target_with_no_instance_too_many(capacity: int, ratio: float) -> None:
    wanted = Share(ratio).of(capacity)
    assert capacity * ratio / max(wanted, 1) <= 1 + 1e-6 or wanted == 0
    assert wanted <= 1 or capacity * ratio / (wanted - 1) > 1 - 1e-6


def test_the_largest_wish_wins_and_tracking_must_agree_on_less() -> None:
    bounds = Limits(1, 10)
    more, much_more, less = Share(1.5), Share(2.0), Share(0.25)
    both = [Wish("more", more, 60, 60), Wish("much more", much_more, 30, 30)]
    choice = choose(4, bounds, both, None, 0)
    assert choice is not None
    assert (choice.capacity, choice.cause, choice.cooldown_seconds) == (8, "much more", 30)
    tracking = [Wish("less", less, 1, 1, tracks=True), Wish("content", Keep(), 1, 1, tracks=True)]
    assert choose(4, bounds, tracking, None, 0) is None
    agreeing = [Wish("least", less, 1, 1, tracks=True), Wish("less", Share(0.5), 1, 1, tracks=True)]
    choice = choose(4, bounds, agreeing, None, 0)
    assert choice is not None
    assert choice.capacity == 2
    assert choose(4, bounds, [Wish("down", Step("ChangeInCapacity", -1), 1, 1), tracking[1]], None, 0) is not None


@pytest.mark.parametrize(
    ("step", "capacity", "wanted"),
    [
        (Step("ChangeInCapacity", 3), 2, 5),
        (Step("ChangeInCapacity", -3), 2, 0),
        (Step("ExactCapacity", 7), 2, 7),
        (Step("PercentChangeInCapacity", 50), 5, 7),
        (Step("PercentChangeInCapacity", 10), 2, 3),
        (Step("PercentChangeInCapacity", -10), 2, 1),
        (Step("PercentChangeInCapacity", -25), 30, 23),
        (Step("PercentChangeInCapacity", 10, magnitude=4), 10, 14),
    ],
)
def test_steps_change_capacities_as_aws_documents(step: Step, capacity: int, wanted: int) -> None:
    assert step.of(capacity) == wanted


def settings(*spans: tuple[float | None, float | None], **members: object) -> dict[str, object]:
    names = ("MetricIntervalLowerBound", "MetricIntervalUpperBound")
    adjusting = [
        {name: bound for name, bound in zip(names, span, strict=True) if bound is not None} | {"ScalingAdjustment": at}
        for at, span in enumerate(spans, 1)
    ]
    return {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": adjusting, **members}


def test_a_bound_belongs_to_the_step_farther_from_the_threshold() -> None:
    above = settings((0, 10), (10, None))
    assert [step_for(above, breach, below=False) for breach in (0, 9.9)] == [Step("ChangeInCapacity", 1)] * 2
    assert step_for(above, 10, below=False) == Step("ChangeInCapacity", 2)
    under = settings((-10, 0), (None, -10))
    assert [step_for(under, breach, below=True) for breach in (0, -9.9)] == [Step("ChangeInCapacity", 1)] * 2
    assert step_for(under, -10, below=True) == Step("ChangeInCapacity", 2)
    assert step_for(above, -1, below=True) is None


@pytest.mark.parametrize(
    ("text", "given_settings"),
    [
        ("a gap", settings((0, 10), (20, None))),
        ("an overlap", settings((0, 10), (5, None))),
        ("must be less than", settings((10, 0))),
        ("negative MetricIntervalLowerBound", settings((-10, 0), (0, None))),
        ("positive MetricIntervalUpperBound", settings((0, 10))),
        ("needs 1 to 20", settings()),
        ("needs AdjustmentType", {"StepAdjustments": [{"ScalingAdjustment": 1}]}),
        ("PercentChangeInCapacity", settings((0, None), MinAdjustmentMagnitude=2)),
        ("Cooldown must not be negative", settings((0, None), Cooldown=-1)),
    ],
)
def test_steps_that_leave_something_open_are_refused(text: str, given_settings: dict[str, object]) -> None:
    with pytest.raises(AwsError, match=text):
        check_steps(given_settings)


def test_an_alarms_values_are_aggregated() -> None:
    assert [aggregated([1, 2, 6], kind) for kind in ("Minimum", "Maximum", "Average")] == [1, 6, 3]


def test_a_running_sum_counts_once_it_is_over_the_target() -> None:
    total, average = {"Statistic": "Sum"}, {"Statistic": "Average"}
    points = {0.0: 30.0, 60.0: 90.0}
    assert load(points, total, 60, 0, 90) == 180, "90 in half a minute are 180 in a whole one"
    assert load(points, total, 60, 0, 65) == 270, "never taken for more than three times what was seen"
    assert load(points, total, 100, 0, 90) == 30
    assert load(points, average, 60, 0, 90) == 30
    assert load(points, average, 60, 0, 120) == 90
    assert load(points, total, 60, 30, 120) == 90
    assert load(points, total, 60, 90, 130) == 0
    assert whole(points, 0, 119) == 30
    assert whole({}, 0, 119) is None


def test_a_share_stays_finite() -> None:
    assert math.isfinite(Share(1e300).of(10))
