"""Moments, dates and intervals of Trino: literals, the moment of the query, fields of them."""

import datetime
import re

from sqlglot import exp

from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.select.sessions import Session
from clary.systems.athena.select.types import (
    BIGINT,
    DATE,
    INTERVAL_DAYS,
    INTERVAL_MONTHS,
    ZONED,
    T,
)
from clary.systems.athena.select.values import Value, fail, mismatch, text

_DATE = re.compile(r"\s*(-?\d{1,6})-(\d{1,2})-(\d{1,2})\s*")
_TIME = re.compile(r"\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,12}))?)?\s*")
_MOMENT = re.compile(
    r"\s*(-?\d{1,6}-\d{1,2}-\d{1,2})(?: +(\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.(\d{1,12}))?)?))?\s*([A-Za-z+-][\w/+:-]*)?\s*"
)
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
_FIELDS = {
    "year": "year", "quarter": "quarter", "month": "month", "week": "week", "day": "day", "day_of_month": "day",
    "day_of_week": "isodow", "dow": "isodow", "day_of_year": "dayofyear", "doy": "dayofyear", "year_of_week": "isoyear",
    "yow": "isoyear", "hour": "hour", "minute": "minute", "second": "second", "millisecond": "millisecond",
}  # fmt: skip
_OF_TIME = ("hour", "minute", "second", "millisecond")


def literal(said: str, to: T, node: exp.Expr) -> Value:
    """`DATE '2020-01-01'`, `TIMESTAMP '2020-01-01 10:00:00.123 UTC'`, `TIME '10:00'`: digits say the precision."""
    if to.name == "date":
        return Value(f"CAST({text(_date(said, node))} AS DATE)", DATE, constant=_date(said, node))
    if to.name == "time":
        found = _TIME.fullmatch(said)
        if found is None:
            fail("INVALID_LITERAL", node, f"'{said}' is not a valid time literal")
        return Value(f"CAST({text(_padded(said.strip()))} AS TIME)", T("time", (_precision(found[4], node),)))
    found = _MOMENT.fullmatch(said)
    if found is None:
        fail("INVALID_LITERAL", node, f"'{said}' is not a valid timestamp literal")
    precision = _precision(found[3], node)
    moment = f"{_date(found[1], node)} {_padded(found[2] or '00:00')}"
    sql = f"CAST({text(moment)} AS TIMESTAMP)"
    if found[4] is None:
        return Value(sql, T("timestamp", (precision,)), constant=moment)
    return Value(f"trino_in_zone({sql}, {text(zone(found[4], node))})", T(ZONED, (precision,)))


def zone(said: str, node: exp.Expr) -> str:
    """A time zone's name as Trino writes it. Fails for one that there is not."""
    found = re.fullmatch(r"(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?", said)
    if found:
        return f"{found[1]}{int(found[2]):02d}:{found[3] or '00'}"
    if said.upper() in ("Z", "UTC", "GMT", "UT", "ZULU", "ETC/UTC"):
        return "UTC"
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(said).key
    except (KeyError, ValueError, OSError):
        fail("INVALID_FUNCTION_ARGUMENT", node, f"'{said}' is not a valid time zone")


def interval(node: exp.Interval) -> Value:
    """`INTERVAL '3' DAY`, `INTERVAL '1-6' YEAR TO MONTH`, `INTERVAL '1 02:03:04' DAY TO SECOND`."""
    unit, this = node.args.get("unit"), node.this
    negative = isinstance(this, exp.Neg)
    this = this.this if isinstance(this, exp.Neg) else this
    if unit is None or not isinstance(this, exp.Literal) or not this.is_string:
        fail("SYNTAX_ERROR", node, "an interval is written as a text and a unit, such as INTERVAL '3' DAY")
    said = str(this.this).strip()
    if said[:1] in "+-":
        negative, said = negative != (said[0] == "-"), said[1:]
    sign = -1 if negative else 1
    if isinstance(unit, exp.IntervalSpan):
        span = f"{unit.this.name} to {unit.expression.name}".lower()
        return _span(said, span, sign, node)
    name = unit.name.lower().removesuffix("s")
    try:
        if name in ("year", "month", "quarter"):
            return months(sign * int(said) * {"year": 12, "quarter": 3, "month": 1}[name])
        return (
            seconds(sign * float(said) * _UNITS[name]) if name == "second" else seconds(sign * int(said) * _UNITS[name])
        )
    except (ValueError, KeyError):
        fail("INVALID_LITERAL", node, f"Invalid INTERVAL {name.upper()} value: {said}")


def months(count: int) -> Value:
    return Value(f"to_months({count})", INTERVAL_MONTHS, constant=None)


def seconds(count: float) -> Value:
    """An interval; its constant is the part of a day that it has, in milliseconds."""
    milliseconds = round(count * 1000)
    days, rest = divmod(abs(milliseconds), 86_400_000)
    sign = "-" if milliseconds < 0 else ""
    parts = [f"to_days({sign}{days})"] if days or not rest else []
    parts += [f"to_milliseconds({sign}{rest})"] if rest else []
    return Value(f"({' + '.join(parts)})", INTERVAL_DAYS, constant=rest)


def extracted(name: str, value: Value, node: exp.Expr) -> Value:
    """A field of a date, a moment, a time or an interval."""
    name = name.lower()
    kind = value.type
    if name in ("timezone_hour", "timezone_minute") and kind.name == ZONED:
        return Value(f"trino_{name}({value.sql})", BIGINT)
    if name not in _FIELDS:
        fail("INVALID_FUNCTION_ARGUMENT", node, f"Invalid EXTRACT field: {name}")
    allowed = kind.is_moment or (kind.name == "time" and name in _OF_TIME)
    if kind == INTERVAL_DAYS and name in ("day", *_OF_TIME):
        return Value(f"trino_interval_{name}({value.sql})", BIGINT)
    if kind == INTERVAL_MONTHS and name in ("year", "month"):
        return Value(f"trino_interval_{name}({value.sql})", BIGINT)
    if not allowed:
        mismatch(node, f"Cannot extract {name.upper()} from {kind}")
    sql = f"trino_local({value.sql})" if kind.name == ZONED else value.sql
    if kind.name == "date" and name in _OF_TIME:
        mismatch(node, f"Cannot extract {name.upper()} from {kind}")
    if name == "millisecond":
        return Value(f"CAST(millisecond({sql}) % 1000 AS BIGINT)", BIGINT)
    return Value(f"CAST({_FIELDS[name]}({sql}) AS BIGINT)", BIGINT)


def moment(kind: type[exp.Expr], session: Session, node: exp.Expr) -> Value:
    """CURRENT_TIMESTAMP and the like: one moment for the whole query."""
    names: dict[type[exp.Expr], str] = {
        exp.CurrentDate: "current_date", exp.CurrentTime: "current_time", exp.CurrentTimestamp: "current_timestamp",
        exp.Localtime: "localtime", exp.Localtimestamp: "localtimestamp",
    }  # fmt: skip
    name = names[kind]
    digits = node.args.get("this")
    return _moment(name, session, 3, node) if digits is None else moment_of(name, digits, session, node)


def moment_of(name: str, digits: exp.Expr, session: Session, node: exp.Expr) -> Value:
    """CURRENT_TIMESTAMP(p) and the like."""
    if not isinstance(digits, exp.Literal) or not digits.this.isdigit() or int(digits.this) > 6:
        fail("NOT_SUPPORTED", node, f"{name.upper()} takes a precision from 0 to 6")
    return _moment(name, session, int(digits.this), node)


def _moment(name: str, session: Session, precision: int, node: exp.Expr) -> Value:
    at = datetime.datetime.fromtimestamp(session.now, datetime.UTC)
    unit = 10 ** (6 - precision)
    at = at.replace(microsecond=at.microsecond // unit * unit, tzinfo=None)
    if name == "current_date":
        return Value(f"CAST('{at:%Y-%m-%d}' AS DATE)", DATE, constant=f"{at:%Y-%m-%d}")
    if name == "current_time":
        fail("NOT_SUPPORTED", node, "CURRENT_TIME, a time with time zone, is not supported; use LOCALTIME")
    if name == "localtime":
        return Value(f"CAST('{at.time().isoformat()}' AS TIME)", T("time", (precision,)))
    sql = f"CAST('{at.isoformat(' ')}' AS TIMESTAMP)"
    if name == "localtimestamp":
        return Value(sql, T("timestamp", (precision,)), constant=at.isoformat(" "))
    return Value(f"struct_pack(t := {sql}, z := 'UTC')", T(ZONED, (precision,)))


def _date(said: str, node: exp.Expr) -> str:
    found = _DATE.fullmatch(said)
    try:
        if found is None:
            raise ValueError(said)
        return datetime.date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        raise StatementFailed("INVALID_LITERAL", f"'{said}' is not a valid date literal") from None


def _padded(said: str) -> str:
    parts = said.split(":")
    return ":".join([*(f"{int(each):02d}" for each in parts[:2]), *(parts[2:] or ["00"])])


def _precision(digits: str | None, node: exp.Expr) -> int:
    if digits is not None and len(digits) > 6:
        fail("NOT_SUPPORTED", node, f"a precision of {len(digits)} digits of a second, more than 6, is not supported")
    return len(digits or "")


def _span(said: str, span: str, sign: int, node: exp.Expr) -> Value:
    if span == "year to month" and (found := re.fullmatch(r"(\d+)(?:-(\d+))?", said)):
        return months(sign * (int(found[1]) * 12 + int(found[2] or 0)))
    units = ["day", "hour", "minute", "second"]
    first, _, last = span.partition(" to ")
    if first in units and last in units and units.index(first) < units.index(last):
        wanted = units[units.index(first) : units.index(last) + 1]
        parts = re.split(r"[ :]", said)
        try:
            if len(parts) <= len(wanted):
                return seconds(
                    sign * sum(float(part) * _UNITS[unit] for part, unit in zip(parts, wanted, strict=False))
                )
        except ValueError:
            pass
    fail("INVALID_LITERAL", node, f"Invalid INTERVAL {span.upper()} value: {said}")
