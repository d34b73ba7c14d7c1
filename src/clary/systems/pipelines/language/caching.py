"""Whether an earlier run of a step can stand for this one: its key, and how old it may be.

The key is of what AWS lists under "Default cache key attributes by pipeline step type": inputs, algorithm and
environment; where outputs go and what machines do the work make no difference. Keys count within one pipeline, for
steps that succeeded; the youngest wins.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import orjson

from clary.systems.pipelines.language.definition import CachePolicy, Step
from clary.systems.pipelines.language.step_types import STEP_TYPES

_DURATION = re.compile(
    r"P?(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.IGNORECASE,
)
_DAY = 86400
_SECONDS = {
    "years": 365 * _DAY,
    "months": 30 * _DAY,
    "weeks": 7 * _DAY,
    "days": _DAY,
    "hours": 3600,
    "minutes": 60,
    "seconds": 1,
}


def duration_seconds(text: str) -> int:
    """An ISO 8601 duration, its P optional and its letters in any case as AWS has them: `PT1H`, `30d`, `30dT5h`.

    A year is 365 days and a month 30. Raises ValueError.
    """
    match = _DURATION.fullmatch(text) if len(text) <= 64 else None
    parts = {name: int(number) for name, number in match.groupdict().items() if number} if match else {}
    if not parts:
        raise ValueError(f"ExpireAfter '{text[:64]}' is not a duration of ISO 8601 such as PT1H, P30D or 30dT5h")
    return sum(_SECONDS[name] * number for name, number in parts.items())


def is_cached(step: Step) -> bool:
    return step.cache is not None and step.cache.enabled and bool(STEP_TYPES[step.type].cached)


def fresh(policy: CachePolicy, ended_at: float, now: float) -> bool:
    """Whether a run that ended at `ended_at`, in epoch seconds, is young enough to be used at `now`."""
    return policy.expire_after is None or now - ended_at <= duration_seconds(policy.expire_after)


def cache_key(step: Step, arguments: Mapping[str, Any], siblings: Mapping[str, Any] | None = None) -> str:
    """The key of a step's run: equal for equal attributes, whatever the order of their members.

    `arguments` are resolved, and so are `siblings`, the members beside Arguments; those of the definition if None.
    """
    beside = step.document if siblings is None else siblings
    type_ = STEP_TYPES[step.type]
    attributes: dict[str, Any] = {}
    for name in type_.cached:
        if name == "*":
            attributes["Arguments"] = arguments
        elif name in type_.siblings:
            attributes[name] = beside.get(name)
        else:
            attributes[name] = _at(arguments, name.split("."))
    document = orjson.dumps([step.type, step.name, attributes], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(document).hexdigest()


def _at(value: Any, path: list[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
