"""When an alarm changes its state. Pure.

CloudWatch looks at a few more periods than an alarm asks for, so that single late data do no harm:

- With as many data in that range as the alarm evaluates, the newest of them decide; gaps do not count.
- With fewer, the gaps are filled as TreatMissingData says.
- With `missing`, an alarm also goes off when all data there are breach, the oldest of them at least as many periods
  ago as the alarm needs breaching data.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

EXTRA_PERIODS = 2
"""How many periods are looked at beyond those that an alarm evaluates."""

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

SHOWN_VALUES = 5
"""How many of the values that decided, the newest, an explanation shows."""

_WORDS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """`to_alarm` of `periods` values must compare with the threshold as said."""

    comparison: str
    threshold: float
    periods: int
    to_alarm: int
    missing: str = "missing"

    def breaches(self, value: float) -> bool:
        return COMPARISONS[self.comparison](value, self.threshold)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state that data speak for, and the values that decided; None keeps the state there is."""

    state: str | None
    values: Sequence[float]


def evaluate(rule: Rule, values: Sequence[float | None]) -> Verdict:
    """Judge the values of successive periods, the newest last, None where there is none.

    `values` are those of `rule.periods + EXTRA_PERIODS` periods.
    """
    known = [value for value in values if value is not None]
    if len(known) >= rule.periods:
        decisive = known[-rule.periods :]
        return Verdict(ALARM if _count(rule, decisive) >= rule.to_alarm else OK, decisive)
    breaching = _count(rule, known)
    filled = rule.periods - len(known)
    if rule.missing == "breaching":
        return Verdict(ALARM if breaching + filled >= rule.to_alarm else OK, known)
    if rule.missing == "notBreaching" or breaching >= rule.to_alarm:
        return Verdict(ALARM if breaching >= rule.to_alarm else OK, known)
    if rule.missing == "ignore":
        return Verdict(OK if breaching < len(known) else None, known)
    if not known:
        return Verdict(INSUFFICIENT_DATA, known)
    return Verdict(ALARM if _breaching_for_long(rule, values) else OK, known)


def reason(rule: Rule, verdict: Verdict, before: str) -> str:
    """The change of state in words."""
    if verdict.state == INSUFFICIENT_DATA:
        were = "datapoint was" if rule.periods == 1 else "datapoints were"
        return f"Insufficient Data: {rule.periods} {were} unknown."
    gone = rule.periods - len(verdict.values)
    count = sum(rule.breaches(value) == (verdict.state == ALARM) for value in verdict.values)
    shown = ", ".join(f"{value:g}" for value in verdict.values[-SHOWN_VALUES:])
    was = "was" if count == 1 else "were"
    text = (
        f"Threshold Crossed: {count} out of the last {len(verdict.values)} datapoint{_s(len(verdict.values))} "
        f"[{shown}] {was}{'' if verdict.state == ALARM else ' not'} {_WORDS[rule.comparison]} the threshold "
        f"({rule.threshold:g})"
    )
    if gone:
        text = f"{text}; {gone} datapoint{_s(gone)} missing, treated as {rule.missing}"
    return f"{text} (minimum {rule.to_alarm} datapoint{_s(rule.to_alarm)} for {before} -> {verdict.state} transition)."


def _count(rule: Rule, values: Sequence[float]) -> int:
    return sum(rule.breaches(value) for value in values)


def _breaching_for_long(rule: Rule, values: Sequence[float | None]) -> bool:
    """Whether all there is breaches, from at least as many periods ago as the alarm needs breaching values."""
    ages = [age for age, value in enumerate(reversed(values), 1) if value is not None]
    return ages[-1] >= rule.to_alarm and all(rule.breaches(value) for value in values if value is not None)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
