"""The end of a ForEach: how its children ended, and which of them its Selector picks."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.systems.pipelines.language.errors import Unresolvable
from clary.systems.pipelines.language.expressions import GET, Reference, reference
from clary.systems.pipelines.language.paths import Missing, follow
from clary.systems.pipelines.records import PipelineStep
from clary.systems.pipelines.scope import World
from clary.systems.pipelines.statuses import FAILED, STOPPED, SUCCEEDED


def finished(world: World, record: PipelineStep, ending: str, now: float) -> PipelineStep:
    """The record of a ForEach whose children have all ended."""
    children = [each for each in world.records.values() if each.body_of == record.step]
    counts = {status: sum(child.status == status for child in children) for status in (SUCCEEDED, FAILED, STOPPED)}
    shown: dict[str, Any] = {
        **record.shown,
        "Status": ending,
        "InputItemCount": len(record.item or ()),
        "TotalStepCount": len(children),
        "SucceededStepCount": counts[SUCCEEDED],
        "FailedStepCount": counts[FAILED],
        "StoppedStepCount": counts[STOPPED],
    }
    reason = "ClientError: One or multiple iterations failed." if ending == FAILED else ""
    selector = world.definition.step(record.step).arguments.get("Selector")
    if selector is not None and ending == SUCCEEDED:
        try:
            shown["Selector"] = _picked(world, selector, len(record.item or ()))
        except Unresolvable as error:
            ending, reason = FAILED, f"ClientError: {error}"
            shown["Status"] = FAILED
    return replace(record, status=ending, ended_at=now, shown=shown, failure_reason=reason)


def _picked(world: World, selector: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The iteration whose field is the greatest or the least; the first of several. Raises Unresolvable."""
    field = reference(selector["Field"][GET])
    values = [(_value(world, field, number), number) for number in range(count)]
    if not values:
        raise Unresolvable("Selector", "there is no item to pick from")
    pick = max if selector["Pick"] == "MaxBy" else min
    _, number = pick(values, key=lambda each: each[0])
    return {"StepName": field.name, "Index": number}


def _value(world: World, field: Reference, number: int) -> float:
    try:
        found = follow(world.properties(f"{field.name}-{number}"), field.path)
        value = float(found)
        if math.isnan(value):
            raise ValueError(found)
        return value
    except (KeyError, Missing):
        raise Unresolvable(field.text, f"iteration {number} has no such value") from None
    except (TypeError, ValueError, OverflowError):
        raise Unresolvable(field.text, f"{found!r} of iteration {number} is no number") from None
