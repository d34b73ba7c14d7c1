"""Casts of Trino: those that happen by themselves, those that are asked for, and how each is done or fails."""

import re

from sqlglot import exp

from clary.lake.types import quoted
from clary.systems.athena.select.types import (
    DAY_SECOND,
    VARCHAR,
    YEAR_MONTH,
    ZONED,
    T,
    becomes,
    duckdb,
    fields,
)
from clary.systems.athena.select.values import Value, mismatch, text

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHOLE = {"tinyint": "TINYINT", "smallint": "SMALLINT", "integer": "INT", "bigint": "BIGINT"}


def coerced(value: Value, to: T) -> Value:
    """The value as the type that it becomes by itself; the same text wherever DuckDB holds both alike."""
    if value.type == to:
        return value
    if value.type.name == "unknown":
        return Value(f"CAST(NULL AS {duckdb(to)})", to)
    if to.name == "char":
        return Value(f"rpad({value.sql}, {to.numbers[0]}, ' ')", to)
    if duckdb(value.type) == duckdb(to):
        return Value(value.sql, to, value.constant, value.key)
    if value.type.children or to.name == ZONED:
        return Value(_converted(value.sql, value.type, to), to)
    return Value(f"CAST({value.sql} AS {duckdb(to)})", to, value.constant if to.is_integer else None)


def accepted(value: Value, to: T, node: exp.Expr, what: str) -> Value:
    """The value as a type that is asked for; a mismatch where it does not become that by itself."""
    if not becomes(value.type, to):
        mismatch(node, f"{what} must evaluate to a {to} (actual: {value.type})")
    return coerced(value, to)


def cast(value: Value, to: T, node: exp.Expr, *, trying: bool = False) -> Value:
    """CAST or TRY_CAST. Fails where there is no cast between the types."""
    if not castable(value.type, to):
        mismatch(node, f"Cannot cast {value.type} to {to}")
    if value.type == to:
        return value
    if value.type.name == "unknown":
        return Value(f"CAST(NULL AS {duckdb(to)})", to)
    sql = _converted(value.sql, value.type, to)
    kept = value.key if sql == value.sql else ()
    return Value(f"TRY({sql})" if trying and not kept else sql, to, _constant(value, to), kept)


def castable(one: T, to: T) -> bool:
    """Whether there is a cast from a type to another."""
    if one.name == "unknown" or one == to:
        return True
    if to.name == "json":
        return _jsonable(one)
    if one.name == "json":
        return _from_json(to)
    if one.children or to.children:
        alike = one.name == to.name and len(one.children) == len(to.children)
        return alike and all(castable(a, b) for a, b in zip(one.children, to.children, strict=True))
    if one.is_text:
        return to.name not in (DAY_SECOND, YEAR_MONTH)
    if to.is_text:
        return one.name != "varbinary" and (one.name != "ipaddress" or to == VARCHAR)
    if one.is_number or one.name == "boolean":
        return to.is_number or to.name == "boolean"
    if one.is_moment:
        return to.is_moment or (to.name == "time" and one.name != "date")
    if one.name == "time":
        return to.name == "time"
    return one.name == to.name or {one.name, to.name} in ({"varbinary", "uuid"}, {"varbinary", "ipaddress"})


def as_text(value: Value) -> str:
    """SQL of the text that a value is cast to, and shown as on its own."""
    return _text(value.sql, value.type)


def _jsonable(one: T) -> bool:
    if one.name == "map":
        return (
            one.children[0].is_text or one.children[0].is_number or one.children[0].name == "boolean"
        ) and _jsonable(one.children[1])
    if one.children:
        return all(map(_jsonable, one.children))
    return one.name in ("unknown", "boolean", "json", "date", "timestamp", ZONED) or one.is_number or one.is_text


def _from_json(to: T) -> bool:
    if to.name == "map":
        return to.children[0].is_text and _from_json(to.children[1])
    if to.children:
        return all(map(_from_json, to.children))
    return to.name in ("boolean", "json") or to.is_number or to.is_text


def _constant(value: Value, to: T) -> object:
    """What a literal that is cast still says, if the cast leaves it as it is written."""
    said = value.constant
    if isinstance(said, str) and value.type.is_text:
        if to.name == "varchar":
            return said if not to.numbers or len(said) <= to.numbers[0] else None
        return said if to.name == "date" and _DATE.fullmatch(said) else None
    return said if to.is_integer and value.type.is_integer else None


def _converted(sql: str, one: T, to: T) -> str:
    if one == to or (to.name == "varchar" and not to.numbers and one.name == "varchar"):
        return sql
    if one.name == "unknown":
        return f"CAST({sql} AS {duckdb(to)})"
    if to.name == "json":
        return f"trino_to_json({sql})" if one.is_text else _to_json(sql, one)
    if one.name == "json":
        return _of_json(sql, to)
    if one.children:
        return _nested(sql, one, to)
    if to.is_text:
        return _sized(_text(sql, one), one, to)
    if one.is_text:
        return _parsed(sql, to)
    return _plain(sql, one, to)


def _plain(sql: str, one: T, to: T) -> str:
    if to.name == ZONED:
        local = sql if one.name == ZONED else f"struct_pack(t := CAST({sql} AS TIMESTAMP), z := 'UTC')"
        return local if one.name != ZONED else _rounded_zoned(sql, one, to)
    if one.name == ZONED:
        return _plain(f"trino_local({sql})", T("timestamp", one.numbers), to)
    if to.name == "timestamp" and one.name == "timestamp":
        return f"trino_round_time({sql}, {10 ** (6 - to.numbers[0])})" if to.numbers < one.numbers else sql
    if to.name == "boolean":
        return f"({sql} <> 0)"
    if to.name == "ipaddress":
        return f"trino_ip_of_bytes({sql})"
    if to.is_integer and one.name in ("double", "real"):
        return f"CAST(trino_whole({sql}, '{_WHOLE[to.name]}') AS {duckdb(to)})"
    if to.name == "decimal" and one.name in ("double", "real"):
        return f"CAST(round(CAST({sql} AS DOUBLE), {to.numbers[1]}) AS {duckdb(to)})"
    return f"CAST({sql} AS {duckdb(to)})"


def _rounded_zoned(sql: str, one: T, to: T) -> str:
    if to.numbers >= one.numbers:
        return sql
    unit = 10 ** (6 - to.numbers[0])
    return f"struct_pack(t := trino_round_time(struct_extract({sql}, 't'), {unit}), z := struct_extract({sql}, 'z'))"


def _parsed(sql: str, to: T) -> str:
    if to.is_integer:
        return f"CAST(trino_digits({sql}, '{_WHOLE[to.name]}') AS {duckdb(to)})"
    if to.name in ("double", "real"):
        return f"CAST(trino_float_text({sql}, '{to.name.upper()}') AS {duckdb(to)})"
    if to.name == "decimal":
        return f"CAST(trino_decimal_text({sql}, '{str(to).upper()}') AS {duckdb(to)})"
    if to.name == "boolean":
        return f"trino_parse_boolean({sql})"
    if to.name == "date":
        return f"trino_parse_date({sql})"
    if to.name == "varbinary":
        return f"encode({sql})"
    if to.name == "ipaddress":
        return f"trino_ip({sql})"
    if to.name == "time":
        return f"CAST({sql} AS TIME)"
    if to.name == "timestamp":
        parsed = f"trino_parse_timestamp({sql})"
        return f"trino_round_time({parsed}, {10 ** (6 - to.numbers[0])})" if to.numbers[0] < 6 else parsed
    if to.name == ZONED:
        return f"trino_parse_zoned({sql})"
    return f"CAST({sql} AS {duckdb(to)})"


def _text(sql: str, one: T) -> str:
    if one.name in ("varchar", "char", "json"):
        return sql
    if one.name in ("double", "real"):
        return f"trino_{one.name}_text({sql})"
    if one.name == "timestamp":
        return f"trino_timestamp_text({sql}, {one.numbers[0]})"
    if one.name == ZONED:
        return f"trino_zoned_text({sql}, {one.numbers[0]})"
    if one.name == "time":
        return f"trino_time_text({sql}, {one.numbers[0]})"
    if one.name == DAY_SECOND:
        return f"trino_day_second_text({sql})"
    if one.name == YEAR_MONTH:
        return f"trino_year_month_text({sql})"
    if one.name == "ipaddress":
        return f"trino_ip_text({sql})"
    if one.name == "decimal" and one.numbers[0] == one.numbers[1]:
        return f"trino_fraction_text({sql})"
    return f"CAST({sql} AS VARCHAR)"


def _sized(sql: str, one: T, to: T) -> str:
    if not to.numbers:
        return sql
    length = to.numbers[0]
    if to.name == "char":
        return f"rpad({sql}, {length}, ' ')"
    if one.is_text:
        return f"left({sql}, {length})" if not one.numbers or one.numbers[0] > length else sql
    return f"trino_fits({sql}, {length}, {text(str(to))})"


def _nested(sql: str, one: T, to: T) -> str:
    if one.name == "array":
        return f"list_transform({sql}, lambda v: {_converted('v', one.children[0], to.children[0])})"
    if one.name == "map":
        keys = _converted("v", one.children[0], to.children[0])
        values = _converted("v", one.children[1], to.children[1])
        return (
            f"map_from_entries(list_transform(map_entries({sql}), lambda e: "
            f"struct_pack(k := {_inner(keys, 'e.key')}, "
            f"v := {_inner(values, 'e.value')})))"
        )
    parts = ", ".join(
        f"{quoted(new)} := {_converted(_field('v', old), a, b)}"
        for old, new, a, b in zip(fields(one), fields(to), one.children, to.children, strict=True)
    )
    return f"list_transform([{sql}], lambda v: CASE WHEN v IS NULL THEN NULL ELSE struct_pack({parts}) END)[1]"


def _inner(sql: str, of: str) -> str:
    return f"list_transform([{of}], lambda v: {sql})[1]" if sql != "v" else of


def _field(of: str, name: str) -> str:
    return f"struct_extract({of}, {text(name)})"


def _to_json(sql: str, one: T) -> str:
    return f"trino_json_of({shown_as_json(sql, one)})"


def shown_as_json(sql: str, one: T) -> str:
    """SQL of what DuckDB's to_json writes as Trino's CAST AS JSON does: times as texts, texts of JSON as JSON."""
    if one.name == "json":
        return f"CAST({sql} AS JSON)"
    if one.name == "array":
        inner = shown_as_json("v", one.children[0])
        return sql if inner == "v" else f"list_transform({sql}, lambda v: {inner})"
    if one.name == "map":
        keys, values = _text("e.key", one.children[0]), _inner(shown_as_json("v", one.children[1]), "e.value")
        return (
            f"trino_sorted_map(list_transform(map_entries({sql}), lambda e: struct_pack(k := {keys}, v := {values})))"
        )
    if one.name == "row":
        parts = ", ".join(
            f"{quoted(name)} := " + _inner(shown_as_json("v", child), _field("w", name))
            for name, child in zip(fields(one), one.children, strict=True)
        )
        return f"list_transform([{sql}], lambda w: CASE WHEN w IS NULL THEN NULL ELSE struct_pack({parts}) END)[1]"
    if one.name in ("timestamp", ZONED):
        return _text(sql, one)
    return sql


def _of_json(sql: str, to: T) -> str:
    if to.name == "json":
        return sql
    if to.is_text:
        return _sized(f"trino_json_text({sql})", VARCHAR, to)
    if to.name == "array":
        inner = _of_json("v", to.children[0])
        return f"list_transform(trino_json_items({sql}), lambda v: {inner})"
    if to.name == "map":
        value = _inner(_of_json("v", to.children[1]), "e.v")
        pairs = f"list_transform(trino_json_entries({sql}), lambda e: struct_pack(k := e.k, v := {value}))"
        return f"map_from_entries({pairs})"
    if to.name == "row":
        parts = ", ".join(
            f"{quoted(name)} := " + _inner(_of_json("v", child), _json_field(name, at))
            for at, (name, child) in enumerate(zip(fields(to), to.children, strict=True))
        )
        return (
            f"list_transform([{sql}], lambda w: CASE WHEN w IS NULL OR w = 'null' THEN NULL "
            f"ELSE struct_pack({parts}) END)[1]"
        )
    read = "whole" if to.is_integer else "number" if to.is_number else "truth" if to.name == "boolean" else "scalar"
    return _converted(f"trino_json_{read}({sql}, '{to}')", VARCHAR, to)


def _json_field(name: str, at: int) -> str:
    return f"trino_json_field(w, {text(name)}, {at})"
