"""The conditions of policy statements: operators, `IfExists`, `ForAllValues` and `ForAnyValue`.

A context maps lower-case condition keys to a value or a list of values. Values of a policy may hold variables such
as `${aws:username}`.
"""

import fnmatch
import ipaddress
import re
from calendar import timegm
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

Context = Mapping[str, str | Sequence[str]]
Comparison = Callable[[str, str], bool]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SPECIAL = re.compile(r"[*?\[]")


def holds(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether every operator holds for every one of its keys."""
    return all(
        _operator_holds(operator, key.lower(), wanted, context)
        for operator, tests in conditions.items()
        for key, wanted in tests.items()
    )


def check_operator(operator: str) -> None:
    """Raise ValueError for an operator that IAM does not have."""
    _, name, _ = _parse(operator)
    if name != "Null" and name not in _POSITIVE and name not in _NEGATED:
        raise ValueError(f"Invalid Condition type : {operator}.")


def substitute(pattern: str, context: Context) -> str | None:
    """Fill in policy variables; None when one has no value, so that the pattern matches nothing.

    The result is for `wildcard`: what is filled in is literal, as are `${*}`, `${?}` and `${$}`.
    """
    missing = False

    def fill(match: re.Match[str]) -> str:
        nonlocal missing
        name, _, default = (part.strip() for part in match[1].partition(","))
        value = name if name in {"*", "?", "$"} else context.get(name.lower(), default.strip("'") or None)
        if not isinstance(value, str):
            missing = True
            return ""
        return _SPECIAL.sub(r"[\g<0>]", value)

    filled = _VARIABLE.sub(fill, pattern.replace("[", "[[]"))
    return None if missing else filled


@lru_cache(maxsize=8192)
def wildcard(pattern: str) -> re.Pattern[str]:
    """What `substitute` made, compiled: `*` and `?` as IAM reads them, `[*]`, `[?]` and `[[]` the characters."""
    return re.compile(fnmatch.translate(pattern))


@lru_cache(maxsize=8192)
def plain_wildcard(pattern: str) -> re.Pattern[str]:
    """A pattern without variables, compiled."""
    return wildcard(pattern.replace("[", "[[]"))


def _literal(pattern: str) -> str:
    """What `substitute` made, for an operator that knows no wildcards."""
    return re.sub(r"\[([*?\[])\]", r"\1", pattern)


def _operator_holds(operator: str, key: str, wanted: Any, context: Context) -> bool:
    quantifier, name, if_exists = _parse(operator)
    values = _texts(wanted)
    present = context.get(key)
    if name == "Null":
        return (present is None) == (values[:1] == ["true"])
    negated = name in _NEGATED
    compare = _NEGATED[name] if negated else _POSITIVE[name]
    if present is None:
        return if_exists or quantifier == "ForAllValues" or (negated and quantifier != "ForAnyValue")
    filled = [text for text in (substitute(value, context) for value in values) if text is not None]
    if "Like" not in name and not name.startswith("Arn"):
        filled = [_literal(text) for text in filled]

    def one(actual: str) -> bool:
        matched = any(_safely(compare, actual, text) for text in filled)
        return matched is not negated

    actuals = [present] if isinstance(present, str) else list(present)
    if quantifier == "ForAnyValue":
        return any(one(actual) for actual in actuals)
    return all(one(actual) for actual in actuals)


@lru_cache(maxsize=256)
def _parse(operator: str) -> tuple[str, str, bool]:
    quantifier, _, name = operator.rpartition(":")
    if quantifier not in {"", "ForAllValues", "ForAnyValue"}:
        raise ValueError(f"Invalid Condition type : {operator}.")
    return quantifier, name.removesuffix("IfExists"), name.endswith("IfExists")


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in values]


def _safely(compare: Comparison, actual: str, wanted: str) -> bool:
    try:
        return compare(actual, wanted)
    except (ValueError, OverflowError):  # the latter for times at the very edge of the calendar
        return False


def _seconds(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    return float(timegm(datetime.fromisoformat(text).utctimetuple()))


def _same_text(actual: str, wanted: str) -> bool:
    return actual == wanted


def _same_letters(actual: str, wanted: str) -> bool:
    return actual.lower() == wanted.lower()


def _like(actual: str, wanted: str) -> bool:
    return wildcard(wanted).fullmatch(actual) is not None


def _arn_like(actual: str, wanted: str) -> bool:
    have, want = actual.split(":", 5), wanted.split(":", 5)
    return len(have) == len(want) == 6 and all(_like(a, w) for a, w in zip(have, want, strict=True))


def _in_network(actual: str, wanted: str) -> bool:
    return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted, strict=False)


_POSITIVE: dict[str, Comparison] = {
    "StringEquals": _same_text,
    "StringEqualsIgnoreCase": _same_letters,
    "StringLike": _like,
    "NumericEquals": lambda a, w: float(a) == float(w),
    "NumericLessThan": lambda a, w: float(a) < float(w),
    "NumericLessThanEquals": lambda a, w: float(a) <= float(w),
    "NumericGreaterThan": lambda a, w: float(a) > float(w),
    "NumericGreaterThanEquals": lambda a, w: float(a) >= float(w),
    "DateEquals": lambda a, w: _seconds(a) == _seconds(w),
    "DateLessThan": lambda a, w: _seconds(a) < _seconds(w),
    "DateLessThanEquals": lambda a, w: _seconds(a) <= _seconds(w),
    "DateGreaterThan": lambda a, w: _seconds(a) > _seconds(w),
    "DateGreaterThanEquals": lambda a, w: _seconds(a) >= _seconds(w),
    "Bool": _same_letters,
    "BinaryEquals": _same_text,
    "IpAddress": _in_network,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
}
_NEGATED: dict[str, Comparison] = {
    "StringNotEquals": _same_text,
    "StringNotEqualsIgnoreCase": _same_letters,
    "StringNotLike": _like,
    "NumericNotEquals": lambda a, w: float(a) == float(w),
    "DateNotEquals": lambda a, w: _seconds(a) == _seconds(w),
    "NotIpAddress": _in_network,
    "ArnNotEquals": _arn_like,
    "ArnNotLike": _arn_like,
}
