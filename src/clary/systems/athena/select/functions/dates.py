"""Functions of dates, moments and intervals."""

from clary.systems.athena.select import times
from clary.systems.athena.select.casts import cast, coerced
from clary.systems.athena.select.functions import formats
from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.types import (
    BIGINT,
    DATE,
    DOUBLE,
    INTERVAL_DAYS,
    TIMESTAMP,
    TIMESTAMP_ZONED,
    VARCHAR,
    ZONED,
    T,
)
from clary.systems.athena.select.values import Value, fail, text, unsupported

SIGNATURES = """
    to_unixtime(zoned) -> double: epoch(struct_extract({0}, 't'))
    to_unixtime(timestamp) -> double: epoch({0})
    from_iso8601_date(varchar) -> date: trino_iso_date({0})
    from_iso8601_timestamp(varchar) -> zoned(3): trino_iso_moment({0}, 1000)
    from_iso8601_timestamp_nanos(varchar) -> zoned(6): trino_iso_moment({0}, 1)
    last_day_of_month(date) -> date: last_day({0})
    last_day_of_month(timestamp) -> date: last_day({0})
    last_day_of_month(zoned) -> date: last_day(trino_local({0}))
    human_readable_seconds(double) -> varchar: trino_human_readable_seconds({0})
    to_milliseconds(interval_days) -> bigint: trino_milliseconds({0})
    current_timezone() -> varchar: 'UTC'
    parse_duration(varchar) -> interval_days: trino_duration({0})
"""
_UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
_LARGE = ("day", "week", "month", "quarter", "year")
_FIELDS = (
    "year", "quarter", "month", "week", "week_of_year", "day", "day_of_month", "day_of_week", "dow", "day_of_year",
    "doy", "year_of_week", "yow", "hour", "minute", "second", "millisecond", "timezone_hour", "timezone_minute",
)  # fmt: skip


def _unit(call: Call) -> str:
    said = call.text_of(0, "The unit").lower()
    if said not in _UNITS:
        fail("INVALID_FUNCTION_ARGUMENT", call.nodes[0], f"'{said}' is not a valid field: they are {', '.join(_UNITS)}")
    return said


def _moment(call: Call, at: int) -> Value:
    value = call.value(at)
    if value.type.name == "unknown":
        return coerced(value, TIMESTAMP)
    if not value.type.is_moment:
        call.unexpected(f"{call.shown} of a date or a timestamp")
    return value


def _local(value: Value) -> str:
    return f"trino_local({value.sql})" if value.type.name == ZONED else value.sql


def _trunc(call: Call) -> Value:
    call.counts(2)
    unit, value = _unit(call), call.value(1)
    if value.type.name == "time":
        return Value(f"CAST(date_trunc('{unit}', CAST('1970-01-01' AS DATE) + {value.sql}) AS TIME)", value.type)
    value = _moment(call, 1)
    if value.type == DATE:
        if unit not in _LARGE:
            fail("INVALID_FUNCTION_ARGUMENT", call.nodes[0], f"'{unit}' is not a valid DATE field")
        return Value(f"CAST(date_trunc('{unit}', {value.sql}) AS DATE)", DATE)
    if value.type.name == ZONED:
        local = f"date_trunc('{unit}', trino_local({value.sql}))"
        return Value(f"trino_in_zone({local}, struct_extract({value.sql}, 'z'))", value.type)
    return Value(f"date_trunc('{unit}', {value.sql})", value.type)


def _step(unit: str, count: str) -> str:
    if unit == "quarter":
        return f"to_months(CAST(({count}) * 3 AS INTEGER))"
    if unit in ("day", "week", "month", "year"):
        return f"to_{unit}s(CAST({count} AS INTEGER))"
    return f"to_{unit}s({count})"


def _add(call: Call) -> Value:
    call.counts(3)
    unit, count = _unit(call), call.of_type(1, BIGINT).sql
    step = _step(unit, count)
    if call.value(2).type.name == "time":
        return Value(f"CAST({call.value(2).sql} + {step} AS TIME)", call.value(2).type)
    value = _moment(call, 2)
    if value.type == DATE:
        if unit not in _LARGE:
            fail("INVALID_FUNCTION_ARGUMENT", call.nodes[0], f"'{unit}' is not a valid DATE field")
        return Value(f"CAST({value.sql} + {step} AS DATE)", DATE)
    if value.type.name == ZONED:
        return Value(f"trino_zoned_add({value.sql}, {step})", value.type)
    kind = T("timestamp", (max(3, *value.type.numbers),)) if unit == "millisecond" else value.type
    return Value(f"({value.sql} + {step})", kind)


def _difference(call: Call) -> Value:
    call.counts(3)
    unit = _unit(call)
    one, other = _moment(call, 1), _moment(call, 2)
    zoned = ZONED in (one.type.name, other.type.name)
    if one.type == other.type == DATE and unit not in _LARGE:
        fail("INVALID_FUNCTION_ARGUMENT", call.nodes[0], f"'{unit}' is not a valid DATE field")
    sides = [
        f"struct_extract({coerced(each, TIMESTAMP_ZONED).sql}, 't')" if zoned else each.sql for each in (one, other)
    ]
    if one.type == other.type == DATE and unit == "day":
        return Value(f"CAST({sides[1]} - {sides[0]} AS BIGINT)", BIGINT)
    moments = [f"CAST({each} AS TIMESTAMP)" for each in sides]
    return Value(f"date_sub('{unit}', {moments[0]}, {moments[1]})", BIGINT)


def _date_format(call: Call) -> Value:
    call.counts(2)
    value = _moment(call, 0)
    pattern = formats.mysql(call.text_of(1, "The format"), call.nodes[1], parsing=False)
    return Value(formats.shown(f"CAST({_local(value)} AS TIMESTAMP)", pattern), VARCHAR)


def _date_parse(call: Call) -> Value:
    call.counts(2)
    pattern = formats.mysql(call.text_of(1, "The format"), call.nodes[1], parsing=True)
    value = call.of_type(0, VARCHAR)
    return Value(f"trino_strptime({value.sql}, {text(formats.strptime(pattern))})", TIMESTAMP)


def _format_datetime(call: Call) -> Value:
    call.counts(2)
    value = _moment(call, 0)
    pattern = formats.joda(call.text_of(1, "The format"), call.nodes[1], parsing=False)
    zoned = coerced(value, TIMESTAMP_ZONED).sql
    return Value(formats.shown(f"CAST({_local(value)} AS TIMESTAMP)", pattern, zoned), VARCHAR)


def _parse_datetime(call: Call) -> Value:
    call.counts(2)
    pattern = formats.joda(call.text_of(1, "The format"), call.nodes[1], parsing=True)
    value = call.of_type(0, VARCHAR).sql
    if any(each in ("%z", "%:z", "%Z") for each in pattern):
        if pattern[-1] not in ("%z", "%:z"):
            unsupported(call.nodes[1], "a zone in a format, unless it is the offset that it ends with,")
        plain = formats.strptime(pattern[:-1]).rstrip()
        return Value(f"trino_strptime_zone({value}, {text(plain)})", TIMESTAMP_ZONED)
    parsed = f"trino_strptime({value}, {text(formats.strptime(pattern))})"
    return Value(f"trino_in_zone({parsed}, 'UTC')", TIMESTAMP_ZONED)


def _from_unixtime(call: Call) -> Value:
    call.counts(1, 2, 3)
    seconds = call.of_type(0, DOUBLE).sql
    zone = "'UTC'"
    if len(call) == 2:
        zone = _zone(call, 1)
    if len(call) == 3:
        hours, minutes = call.of_type(1, BIGINT).sql, call.of_type(2, BIGINT).sql
        zone = f"trino_offset_name({hours}, {minutes})"
    return Value(f"trino_moment_of({seconds}, {zone})", TIMESTAMP_ZONED)


def _from_unixtime_nanos(call: Call) -> Value:
    call.counts(1)
    value = call.of_type(0, BIGINT).sql
    return Value(f"trino_in_zone(make_timestamp({value} // 1000), 'UTC')", T(ZONED, (6,)))


def _zone(call: Call, at: int) -> str:
    value = call.value(at)
    if isinstance(value.constant, str) and value.type.is_text:
        return text(times.zone(value.constant, call.nodes[at]))
    if value.type == INTERVAL_DAYS:
        minutes = f"(trino_milliseconds({value.sql}) // 60000)"
        return f"trino_offset_name({minutes} // 60, abs({minutes}) % 60)"
    return f"trino_zone_name({call.of_type(at, VARCHAR).sql})"


def _at_timezone(call: Call) -> Value:
    call.counts(2)
    value, zone = _moment(call, 0), _zone(call, 1)
    if value.type.name != ZONED:
        value = coerced(value, T(ZONED, value.type.numbers or (3,)))
    return Value(f"trino_at_zone({value.sql}, {zone})", value.type)


def _with_timezone(call: Call) -> Value:
    call.counts(2)
    value = _moment(call, 0)
    if value.type.name == ZONED:
        call.unexpected("with_timezone(timestamp, varchar)")
    kind = T(ZONED, value.type.numbers or (3,))
    return Value(f"trino_in_zone(CAST({value.sql} AS TIMESTAMP), {_zone(call, 1)})", kind)


def _date(call: Call) -> Value:
    call.counts(1)
    return cast(call.value(0), DATE, call.node)


def _now(call: Call) -> Value:
    call.counts(0)
    from sqlglot import exp

    return times.moment(exp.CurrentTimestamp, call.expressions.queries.session, exp.CurrentTimestamp())


def _to_iso8601(call: Call) -> Value:
    call.counts(1)
    value = _moment(call, 0)
    if value.type == DATE:
        return Value(f"CAST({value.sql} AS VARCHAR)", VARCHAR)
    if value.type.name == ZONED:
        return Value(f"trino_iso_zoned({value.sql}, {value.type.numbers[0]})", VARCHAR)
    return Value(f"replace(trino_timestamp_text({value.sql}, {value.type.numbers[0]}), ' ', 'T')", VARCHAR)


def _field(call: Call) -> Value:
    call.counts(1)
    name = {"week_of_year": "week"}.get(call.name, call.name)
    value = call.value(0)
    if value.type.name == "unknown":
        value = coerced(value, TIMESTAMP)
    return times.extracted(name, value, call.node)


HANDLERS: dict[str, Handler] = {
    "date_trunc": _trunc, "date_add": _add, "date_diff": _difference, "date_format": _date_format,
    "date_parse": _date_parse, "format_datetime": _format_datetime, "parse_datetime": _parse_datetime,
    "from_unixtime": _from_unixtime, "from_unixtime_nanos": _from_unixtime_nanos, "at_timezone": _at_timezone,
    "with_timezone": _with_timezone, "date": _date, "now": _now, "to_iso8601": _to_iso8601,
    **dict.fromkeys(_FIELDS, _field),
}  # fmt: skip
