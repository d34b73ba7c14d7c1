"""From one capacity to another: a share of it, a step of a policy, or none at all. Pure."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from clary.kernel.core.errors import validation

_MOST_STEPS = 20
_LARGEST = 1e9


class Adjustment(Protocol):
    """What a policy makes of a capacity. Bounds are not its affair."""

    def of(self, capacity: int) -> int:
        """The capacity that is wanted instead."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Content with what there is."""

    def of(self, capacity: int) -> int:
        return capacity


@dataclass(frozen=True, slots=True)
class Share:
    """As much as brings a metric to its target, when each instance takes an equal part: never too little.

    Where there is no instance, the metric is of what one would have to take.
    """

    ratio: float

    def of(self, capacity: int) -> int:
        if not capacity and self.ratio <= 1:
            return 0
        wanted = min(max(capacity, 1) * self.ratio, _LARGEST)
        nearest = round(wanted)
        return nearest if math.isclose(wanted, nearest, rel_tol=1e-9) else math.ceil(wanted)


@dataclass(frozen=True, slots=True)
class Step:
    """An adjustment of a step policy, by its AdjustmentType; percentages change by `magnitude` at least."""

    kind: str
    amount: int
    magnitude: int = 1

    def of(self, capacity: int) -> int:
        if self.kind == "ExactCapacity":
            return self.amount
        if self.kind == "ChangeInCapacity":
            return max(capacity + self.amount, 0)
        change = math.trunc(capacity * self.amount / 100)
        if self.amount:
            change = int(math.copysign(max(abs(change), self.magnitude, 1), self.amount))
        return max(capacity + change, 0)


def check_steps(settings: Mapping[str, Any]) -> None:
    """Raise ValidationException unless a StepScalingPolicyConfiguration says for every metric what to do."""
    kind, steps = settings.get("AdjustmentType"), settings.get("StepAdjustments") or []
    if kind is None:
        raise validation("StepScalingPolicyConfiguration needs AdjustmentType.")
    if not 0 < len(steps) <= _MOST_STEPS:
        raise validation(f"StepScalingPolicyConfiguration needs 1 to {_MOST_STEPS} StepAdjustments; got {len(steps)}.")
    if settings.get("Cooldown", 0) < 0:
        raise validation(f"Cooldown must not be negative; got {settings['Cooldown']}.")
    magnitude = settings.get("MinAdjustmentMagnitude")
    if magnitude is not None and kind != "PercentChangeInCapacity":
        raise validation(f"MinAdjustmentMagnitude needs AdjustmentType PercentChangeInCapacity, not {kind}.")
    if magnitude is not None and magnitude < 1:
        raise validation(f"MinAdjustmentMagnitude must be at least 1; got {magnitude}.")
    if kind == "ExactCapacity" and any(step["ScalingAdjustment"] < 0 for step in steps):
        raise validation("ScalingAdjustment must not be negative with AdjustmentType ExactCapacity.")
    spans = sorted(_span(step) for step in steps)
    for low, high in spans:
        if low >= high:
            raise validation(f"MetricIntervalLowerBound {low:g} must be less than MetricIntervalUpperBound {high:g}.")
    for (_, end), (start, _) in itertools.pairwise(spans):
        if start != end:
            what = "a gap" if start > end else "an overlap"
            raise validation(
                f"StepAdjustments have {what} between {end:g} and {start:g}: each must begin where one ends."
            )
    lowest, highest = spans[0][0], spans[-1][1]
    if lowest < 0 and not math.isinf(lowest):
        raise validation("With a negative MetricIntervalLowerBound, one of StepAdjustments must have none.")
    if highest > 0 and not math.isinf(highest):
        raise validation("With a positive MetricIntervalUpperBound, one of StepAdjustments must have none.")


def step_for(settings: Mapping[str, Any], breach: float, *, below: bool) -> Step | None:
    """The step for a metric that is `breach` above its alarm's threshold (under it, when negative); None for none.

    `below` says that the alarm goes off under its threshold. A bound belongs to the step farther from the threshold.
    """
    for step in settings["StepAdjustments"]:
        low, high = _span(step)
        if (low < breach <= high) if below else (low <= breach < high):
            return Step(
                settings["AdjustmentType"], step["ScalingAdjustment"], settings.get("MinAdjustmentMagnitude", 1)
            )
    return None


def aggregated(values: Sequence[float], kind: str) -> float:
    """The values of an alarm's periods as one, by MetricAggregationType."""
    if kind == "Minimum":
        return min(values)
    return max(values) if kind == "Maximum" else sum(values) / len(values)


def _span(step: Mapping[str, Any]) -> tuple[float, float]:
    return step.get("MetricIntervalLowerBound", -math.inf), step.get("MetricIntervalUpperBound", math.inf)
