"""Operators of Trino: comparisons, arithmetic with Trino's types of results, subscripts."""

from sqlglot import exp

from clary.systems.athena.select.casts import coerced
from clary.systems.athena.select.types import (
    BIGINT,
    BOOLEAN,
    DAY_SECOND,
    DOUBLE,
    INTERVAL_DAYS,
    REAL,
    YEAR_MONTH,
    ZONED,
    T,
    as_decimal,
    becomes,
    common,
    decimal,
    duckdb,
)
from clary.systems.athena.select.values import Value, checked, fail, mismatch

_COMPARISONS = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM", exp.NullSafeNEQ: "IS DISTINCT FROM",
}  # fmt: skip
_ARITHMETIC = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_INTERVALS = (DAY_SECOND, YEAR_MONTH)
_UNORDERED = ("map", "json")


def comparison(node: exp.Binary, left: Value, right: Value) -> Value:
    return Value(f"({compared(_COMPARISONS[type(node)], left, right, node)})", BOOLEAN)


def compared(sign: str, left: Value, right: Value, node: exp.Expr) -> str:
    """SQL of a comparison; a mismatch where the types have none."""
    kind = common(left.type, right.type)
    ordered = sign in ("<", "<=", ">", ">=")
    if kind is None or (ordered and kind.name in _UNORDERED):
        mismatch(node, f"Cannot apply operator: {left.type} {sign} {right.type}")
    one, other = _compared_as(left, kind), _compared_as(right, kind)
    return f"{one} {sign} {other}"


def _compared_as(value: Value, kind: T) -> str:
    if kind.is_text and "char" in (kind.name, value.type.name):
        return f"rtrim({value.sql}, ' ')"
    if kind.is_text:
        return value.sql
    if kind.name == ZONED:
        if value.type.name == ZONED:
            return f"struct_extract({value.sql}, 't')"
        return coerced(value, T("timestamp", (6,))).sql
    if kind.name == "decimal" and isinstance(value.constant, int) and not isinstance(value.constant, bool):
        return f"CAST({value.constant} AS DECIMAL({max(len(str(abs(value.constant))), 1)},0))"
    if kind.name == "decimal" and value.type.name == "decimal":
        return value.sql
    return coerced(value, kind).sql


def membership(value: Value, others: list[Value], node: exp.Expr) -> Value:
    """`value IN (others)`; the types are known to be comparable."""
    kind: T | None = value.type
    for each in others:
        kind = common(kind, each.type) if kind else None
    if kind is None:
        mismatch(node, f"IN value and list items must be the same type: {value.type}")
    sides = [_compared_as(each, kind) for each in (value, *others)]
    return Value(f"({sides[0]} IN ({', '.join(sides[1:])}))", BOOLEAN)


def negative(node: exp.Expr, value: Value) -> Value:
    if not (value.type.is_number or value.type.name in (*_INTERVALS, "unknown")):
        mismatch(node, f"Cannot negate {value.type}")
    return Value(f"(-{value.sql})", value.type)


def arithmetic(node: exp.Binary, left: Value, right: Value) -> Value:
    """`+ - * / %`, with the types of results that Trino gives them."""
    sign = _ARITHMETIC[type(node)]
    if left.type.name == "unknown" and right.type.is_number:
        left = coerced(left, right.type)
    if right.type.name == "unknown" and left.type.is_number:
        right = coerced(right, left.type)
    one, other = left.type, right.type
    if one.is_number and other.is_number:
        return numbers(sign, left, right)
    found = _times(sign, left, right, node)
    if found is None:
        mismatch(node, f"Cannot apply operator: {one} {sign} {other}")
    return found


def numbers(sign: str, left: Value, right: Value) -> Value:
    """An arithmetic operator on two numbers, in the type that both become."""
    kind = common(left.type, right.type) or DOUBLE
    if kind.name == "decimal":
        return _decimals(sign, left, right)
    one, other = coerced(left, kind).sql, coerced(right, kind).sql
    if sign == "/" and kind.is_integer:
        return Value(f"({one} // {other})", kind)
    if sign == "%" and kind in (REAL, DOUBLE):
        return Value(f"trino_fmod({one}, {other})", kind)
    return Value(f"({one} {sign} {other})", kind)


def _decimals(sign: str, left: Value, right: Value) -> Value:
    one, other = as_decimal(left.type), as_decimal(right.type)
    (digits, scale), (others, other_scale) = one.numbers, other.numbers
    first, second = coerced(left, one).sql, coerced(right, other).sql
    most = max(scale, other_scale)
    if sign in "+-":
        kind = decimal(max(digits - scale, others - other_scale) + most + 1, most)
        wide = kind.numbers[0] > 18
        return Value(f"({_wide(first, one, kind) if wide else first} {sign} {second})", kind)
    if sign == "*":
        if scale + other_scale > 38:
            return Value(f"trino_too_precise({first}, {second})", decimal(38, 38))
        kind = decimal(digits + others, scale + other_scale)
        wide = kind.numbers[0] > 18
        return Value(f"({_wide(first, one, kind) if wide else first} * {second})", kind)
    if sign == "/":
        kind = decimal(digits + other_scale + max(0, other_scale - scale), most)
        return Value(divided(left, right, kind), kind)
    kind = decimal(min(digits - scale, others - other_scale) + most, most)
    return Value(f"trino_decimal_mod({first}, {second})", kind)


def divided(left: Value, right: Value, kind: T) -> str:
    """SQL of a decimal over another, rounded half up to the digits of `kind`."""
    one, other = as_decimal(left.type), as_decimal(right.type)
    up = kind.numbers[1] - one.numbers[1] + other.numbers[1]
    whole = f"trino_divide({_whole(left.sql, one)}, {_whole(right.sql, other)}, CAST(1{'0' * up} AS HUGEINT))"
    return _scaled(whole, kind)


def _wide(sql: str, one: T, kind: T) -> str:
    """A side in so many digits that DuckDB computes the result in as many as Trino does, not in 18."""
    return (
        sql
        if one.numbers[0] > 18
        else f"CAST({sql} AS DECIMAL({min(max(19, one.numbers[0]), kind.numbers[0])},{one.numbers[1]}))"
    )


def _whole(sql: str, kind: T) -> str:
    """A decimal as the whole number that is left when its point is taken out."""
    scale = kind.numbers[1]
    if scale == 0:
        return f"CAST({sql} AS HUGEINT)"
    return f"CAST(CAST({sql} AS DECIMAL(38,{scale})) * 1{'0' * scale} AS HUGEINT)"


def _scaled(sql: str, kind: T) -> str:
    scale = kind.numbers[1]
    whole = f"CAST({sql} AS DECIMAL(38,0))"
    if scale:
        whole = f"{whole} * CAST('0.{'0' * (scale - 1)}1' AS DECIMAL({scale},{scale}))"
    return f"CAST({whole} AS {duckdb(kind)})"


def _times(sign: str, left: Value, right: Value, node: exp.Expr) -> Value | None:
    one, other = left.type, right.type
    if sign == "+" and one.name in _INTERVALS and (other.is_moment or other.name == "time"):
        return _times(sign, right, left, node)
    if sign in "+-" and other.name in _INTERVALS:
        if one == other:
            return Value(f"({left.sql} {sign} {right.sql})", one)
        if one.name == "date":
            if other == INTERVAL_DAYS:
                sql = checked(f"trino_has_time({right.sql})",
                              "'INVALID_FUNCTION_ARGUMENT: Cannot add hour, minutes or seconds to a date'",
                              f"CAST({left.sql} {sign} {right.sql} AS DATE)")  # fmt: skip
                if isinstance(right.constant, int):
                    sql = f"CAST({left.sql} {sign} {right.sql} AS DATE)" if right.constant == 0 else sql
                return Value(sql, one)
            return Value(f"CAST({left.sql} {sign} {right.sql} AS DATE)", one)
        if one.name == "timestamp":
            return Value(f"({left.sql} {sign} {right.sql})", one)
        if one.name == "time" and other == INTERVAL_DAYS:
            return Value(f"CAST({left.sql} {sign} {right.sql} AS TIME)", one)
        if one.name == ZONED:
            return Value(f"trino_zoned_add({left.sql}, {'-' if sign == '-' else ''}{right.sql})", one)
    if sign == "-" and one.name == other.name == "date":
        return Value(f"to_days(CAST({left.sql} - {right.sql} AS INTEGER))", INTERVAL_DAYS)
    if sign == "-" and one.is_moment and other.is_moment:
        kind = common(one, other) or one
        return Value(f"({_compared_as(left, kind)} - {_compared_as(right, kind)})", INTERVAL_DAYS)
    if sign == "*" and other.name in _INTERVALS and one.is_number:
        return _times(sign, right, left, node)
    if sign in "*/" and one.name in _INTERVALS and other.is_number:
        unit = "microseconds" if one == INTERVAL_DAYS else "months"
        return Value(f"trino_interval_{'times' if sign == '*' else 'over'}_{unit}({left.sql}, {right.sql})", one)
    return None


def subscript(node: exp.Bracket, value: Value, index: Value) -> Value:
    """`array[n]`, counted from 1 and failing beyond the ends; `map[key]`, failing where there is none; `row[n]`."""
    if value.type.name == "map":
        key, kind = value.type.children
        if not becomes(index.type, key):
            mismatch(node, f"Cannot apply operator: {value.type}[{index.type}]")
        return Value(f"trino_map_at({value.sql}, {coerced(index, key).sql}, {_key_text(coerced(index, key))})", kind)
    if value.type.name == "row":
        from clary.systems.athena.select.scopes import field_at

        if not isinstance(index.constant, int) or not 1 <= index.constant <= len(value.type.children):
            fail("INVALID_FUNCTION_ARGUMENT", node, "ROW dereference index must be a constant within the row")
        return field_at(value, index.constant - 1)
    if value.type.name != "array" or not becomes(index.type, BIGINT):
        mismatch(node, f"Cannot apply operator: {value.type}[{index.type}]")
    return Value(f"trino_array_at({value.sql}, {coerced(index, BIGINT).sql})", value.type.children[0])


def _key_text(value: Value) -> str:
    return f"CAST({value.sql} AS VARCHAR)"
