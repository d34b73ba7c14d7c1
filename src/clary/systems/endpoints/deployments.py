"""DeploymentConfig: what may be asked of an update, and the steps in which it moves the traffic. Pure.

Limits are those of AWS's guide to deployment guardrails: a canary has at most half of the capacity, a linear step 10 to
50 %, a rolling batch 5 to 50 %; variants keep their names; a rolling deployment has one variant. There are no
guardrails for serverless variants.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clary.kernel.core.errors import validation
from clary.systems.endpoints.records import Fleet

Size = Mapping[str, Any]
"""CapacitySize as on the wire: `Type` and `Value`."""

ALL_AT_ONCE = "ALL_AT_ONCE"
CANARY = "CANARY"
LINEAR = "LINEAR"
ROLLING = "ROLLING"

_PERCENT = "CAPACITY_PERCENT"
_SIZES = {CANARY: "CanarySize", LINEAR: "LinearStepSize"}
_SIZE_PERCENTS = {"CanarySize": (1, 50), "LinearStepSize": (10, 50), "MaximumBatchSize": (5, 50)}
_ROUNDING = 1e-9  # of shares that were added up


@dataclass(frozen=True, slots=True)
class Plan:
    """A DeploymentConfig, read.

    `size` is that of the canary, of a linear step or of a rolling batch; `rollback_size` that of a batch on the way
    back, None for all at once. `wait_seconds` is how long each step bakes, `termination_wait_seconds` how much longer
    the old fleet stays. `timeout_seconds` bounds everything before that wait; None when nothing does.
    """

    kind: str = ALL_AT_ONCE
    size: Size | None = None
    rollback_size: Size | None = None
    wait_seconds: float = 0.0
    termination_wait_seconds: float = 0.0
    timeout_seconds: float | None = None
    alarms: tuple[str, ...] = ()

    @property
    def rolling(self) -> bool:
        return self.kind == ROLLING

    @property
    def guarded(self) -> bool:
        """Whether there is anything to see between the first and the last moment of the shift."""
        waits = self.wait_seconds or self.termination_wait_seconds
        return bool(waits or self.alarms or self.kind != ALL_AT_ONCE)


def read_plan(config: Mapping[str, Any] | None) -> Plan:
    """What a DeploymentConfig asks for; all at once when there is none."""
    config = config or {}
    alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", ())
    names = tuple(alarm["AlarmName"] for alarm in alarms if alarm.get("AlarmName"))
    rolling = config.get("RollingUpdatePolicy")
    if rolling:
        return Plan(
            kind=ROLLING,
            size=rolling["MaximumBatchSize"],
            rollback_size=rolling.get("RollbackMaximumBatchSize"),
            wait_seconds=rolling["WaitIntervalInSeconds"],
            timeout_seconds=rolling.get("MaximumExecutionTimeoutInSeconds"),
            alarms=names,
        )
    policy = config.get("BlueGreenUpdatePolicy") or {}
    routing = policy.get("TrafficRoutingConfiguration") or {"Type": ALL_AT_ONCE, "WaitIntervalInSeconds": 0}
    return Plan(
        kind=routing["Type"],
        size=routing.get(_SIZES.get(routing["Type"], "")),
        wait_seconds=routing["WaitIntervalInSeconds"],
        termination_wait_seconds=policy.get("TerminationWaitInSeconds", 0),
        timeout_seconds=policy.get("MaximumExecutionTimeoutInSeconds"),
        alarms=names,
    )


def shares(plan: Plan, fleet: Fleet) -> list[float]:
    """The new fleet's share of the traffic after each step; the last is 1."""
    if plan.size is None:
        return [1.0]
    count = sum(variant.desired_count for variant in fleet.variants)
    if plan.rolling:
        batch = instances_of(plan.size, count)
        return [min(count, done) / count for done in range(batch, count + batch, batch)] if count else [1.0]
    if plan.size["Type"] == _PERCENT:
        step = plan.size["Value"] / 100
    else:
        step = min(1.0, plan.size["Value"] * len(fleet.variants) / max(count, 1))
    if plan.kind == CANARY:
        return [step, 1.0] if step < 1 else [1.0]
    steps = math.ceil(1 / step - _ROUNDING)
    return [min(1.0, number * step) for number in range(1, steps)] + [1.0]


def instances_of(size: Size, count: int) -> int:
    """How many of `count` instances a size means; never none."""
    value: int = size["Value"]
    return value if size["Type"] != _PERCENT else max(1, math.ceil(count * value / 100 - _ROUNDING))


def first_batch(plan: Plan, fleet: Fleet) -> Fleet:
    """The fleet as it starts: whole, or, when rolling, with the instances of its first batch."""
    if not plan.rolling:
        return fleet
    share = shares(plan, fleet)[0]
    variants = [replace(one, instances=one.instances[: part(one.desired_count, share)]) for one in fleet.variants]
    return replace(fleet, variants=variants)


def part(count: int, share: float) -> int:
    """How many of `count` instances carry a share of the traffic."""
    return math.ceil(count * share - _ROUNDING)


def check_deployment(config: Mapping[str, Any] | None) -> None:
    """Raise ValidationException for a DeploymentConfig that no fleet can follow."""
    if not config:
        return
    policy, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if policy and rolling:
        raise validation("Give either BlueGreenUpdatePolicy or RollingUpdatePolicy, not both.")
    for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", ()):
        if not alarm.get("AlarmName"):
            raise validation("AutoRollbackConfiguration: every one of Alarms needs an AlarmName.")
    if policy:
        _check_routing(policy["TrafficRoutingConfiguration"])
    if rolling:
        _check_percent("MaximumBatchSize", rolling["MaximumBatchSize"])
        _check_rollback(rolling.get("RollbackMaximumBatchSize"))
    plan = read_plan(config)
    waits = plan.wait_seconds + plan.termination_wait_seconds
    if plan.timeout_seconds is not None and plan.timeout_seconds <= waits:
        raise validation(
            f"MaximumExecutionTimeoutInSeconds is {plan.timeout_seconds}, and must be more than WaitIntervalInSeconds "
            f"and TerminationWaitInSeconds together, which are {waits}."
        )


def _check_routing(routing: Mapping[str, Any]) -> None:
    kind = routing["Type"]
    for of, name in _SIZES.items():
        if kind == of and name not in routing:
            raise validation(f"TrafficRoutingConfiguration of Type {kind} needs {name}.")
        if kind != of and name in routing:
            raise validation(f"{name} is for Type {of}; leave it out of a TrafficRoutingConfiguration of Type {kind}.")
        if kind == of:
            _check_percent(name, routing[name])


def _check_percent(name: str, size: Size) -> None:
    least, most = _SIZE_PERCENTS[name]
    if size["Type"] == _PERCENT and not least <= size["Value"] <= most:
        raise validation(f"{name} is {size['Value']} %, and must be between {least} % and {most} % of the capacity.")


def _check_rollback(size: Size | None) -> None:
    if size and size["Type"] == _PERCENT and not 5 <= size["Value"] <= 100:
        raise validation(f"RollbackMaximumBatchSize is {size['Value']} %, and must be between 5 % and 100 %.")


def check_fleets(config: Mapping[str, Any] | None, before: Fleet, after: Fleet) -> None:
    """Raise ValidationException for an update from one fleet to another that a DeploymentConfig cannot make."""
    if not config:
        return
    old, new = [{one.name for one in fleet.variants if not one.shadow} for fleet in (before, after)]
    if old != new:
        raise validation(
            f"With a DeploymentConfig the variants must keep their names: the endpoint has {', '.join(sorted(old))}, "
            f"configuration {after.config} has {', '.join(sorted(new))}."
        )
    plan = read_plan(config)
    if plan.guarded and any(one.serverless for one in (*before.variants, *after.variants)):
        raise validation("Serverless variants are updated all at once: leave out waits, steps and alarms.")
    if plan.rolling and max(len(before.variants), len(after.variants)) > 1:
        raise validation("RollingUpdatePolicy is for endpoints with one variant; use BlueGreenUpdatePolicy.")
    if plan.size is None or plan.size["Type"] == _PERCENT:
        return
    name = _SIZES.get(plan.kind, "MaximumBatchSize")
    least, most = _SIZE_PERCENTS[name]
    for variant in after.variants:
        value, count = plan.size["Value"], variant.desired_count
        if not least * count <= 100 * value <= most * count:
            raise validation(
                f"{name} is {value} instances of {count} of variant {variant.name}, and must be between {least} % and "
                f"{most} % of them."
            )
