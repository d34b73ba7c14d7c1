"""Functions of numbers: rounding, powers, angles, bits, random ones."""

from clary.systems.athena.select.casts import coerced
from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.operators import numbers
from clary.systems.athena.select.types import BIGINT, DOUBLE, INTEGER, REAL, common, decimal, duckdb
from clary.systems.athena.select.values import Value, mismatch

SIGNATURES = """
    sqrt(double) -> double: trino_sqrt({0})
    cbrt(double) -> double: trino_cbrt({0})
    exp(double) -> double: exp({0})
    ln(double) -> double: trino_ln({0})
    log2(double) -> double: trino_ln({0}) / ln(2)
    log10(double) -> double: trino_log10({0})
    log(double, double) -> double: trino_ln({1}) / trino_ln({0})
    power(double, double) -> double: power({0}, {1})
    pow(double, double) -> double: power({0}, {1})
    pi() -> double: pi()
    e() -> double: CAST('2.718281828459045' AS DOUBLE)
    infinity() -> double: CAST('Infinity' AS DOUBLE)
    nan() -> double: CAST('NaN' AS DOUBLE)
    is_nan(double) -> boolean: isnan({0})
    is_infinite(double) -> boolean: isinf({0})
    is_finite(double) -> boolean: isfinite({0})
    degrees(double) -> double: degrees({0})
    radians(double) -> double: radians({0})
    sin(double) -> double: sin({0})
    cos(double) -> double: cos({0})
    tan(double) -> double: tan({0})
    asin(double) -> double: asin({0})
    acos(double) -> double: acos({0})
    atan(double) -> double: atan({0})
    atan2(double, double) -> double: atan2({0}, {1})
    sinh(double) -> double: sinh({0})
    cosh(double) -> double: cosh({0})
    tanh(double) -> double: tanh({0})
    width_bucket(double, double, double, bigint) -> bigint: trino_width_bucket({0}, {1}, {2}, {3})
    width_bucket(double, array(double)) -> bigint: CAST(len(list_filter({1}, lambda _b: _b <= {0})) AS BIGINT)
    great_circle_distance(double, double, double, double) -> double: trino_great_circle({0}, {1}, {2}, {3})
    normal_cdf(double, double, double) -> double: trino_normal_cdf({0}, {1}, {2})
    inverse_normal_cdf(double, double, double) -> double: trino_inverse_normal_cdf({0}, {1}, {2})
    beta_cdf(double, double, double) -> double: trino_beta_cdf({0}, {1}, {2})
    t_cdf(double, double) -> double: trino_t_cdf({0}, {1})
    wilson_interval_lower(bigint, bigint, double) -> double: trino_wilson({0}, {1}, {2}, -1)
    wilson_interval_upper(bigint, bigint, double) -> double: trino_wilson({0}, {1}, {2}, 1)
    bitwise_and(bigint, bigint) -> bigint: ({0} & {1})
    bitwise_or(bigint, bigint) -> bigint: ({0} | {1})
    bitwise_xor(bigint, bigint) -> bigint: xor({0}, {1})
    bitwise_not(bigint) -> bigint: (~{0})
    bitwise_left_shift(bigint, bigint) -> bigint: trino_shift_left({0}, {1})
    bitwise_right_shift(bigint, bigint) -> bigint: trino_shift_right({0}, {1})
    bitwise_right_shift_arithmetic(bigint, bigint) -> bigint: ({0} >> CAST(least({1}, 63) AS BIGINT))
    bit_count(bigint, bigint) -> bigint: trino_bit_count({0}, {1})
    to_base(bigint, bigint) -> varchar: trino_to_base({0}, {1})
    from_base(varchar, bigint) -> bigint: trino_from_base({0}, {1})
    format_number(bigint) -> varchar: trino_format_number({0})
    format_number(double) -> varchar: trino_format_number(CAST(trunc({0}) AS BIGINT))
    rand() -> double: random()
    random() -> double: random()
    random(bigint) -> bigint: CAST(floor(random() * {0}) AS BIGINT)
    rand(bigint) -> bigint: CAST(floor(random() * {0}) AS BIGINT)
    random(bigint, bigint) -> bigint: {0} + CAST(floor(random() * ({1} - {0})) AS BIGINT)
    uuid() -> uuid: uuid()
"""


def _number(call: Call) -> Value:
    value = call.value(0)
    if value.type.name == "unknown":
        return coerced(value, DOUBLE)
    if not value.type.is_number:
        call.unexpected(", ".join(f"{call.shown}({each})" for each in ("bigint", "decimal", "real", "double")))
    return value


def _abs(call: Call) -> Value:
    call.counts(1)
    value = _number(call)
    return Value(f"CAST(abs({value.sql}) AS {duckdb(value.type)})", value.type)


def _sign(call: Call) -> Value:
    call.counts(1)
    value = _number(call)
    kind = decimal(1, 0) if value.type.name == "decimal" else value.type
    return Value(f"CAST(sign({value.sql}) AS {duckdb(kind)})", kind)


def _whole(call: Call) -> Value:
    call.counts(1)
    value = _number(call)
    name = "floor" if call.name == "floor" else "ceil"
    if value.type.is_integer:
        return value
    kind = value.type
    if kind.name == "decimal":
        digits, scale = kind.numbers
        kind = decimal(max(digits - scale + min(scale, 1), 1), 0)
    return Value(f"CAST({name}({value.sql}) AS {duckdb(kind)})", kind)


def _round(call: Call) -> Value:
    call.counts(1, 2)
    value = _number(call)
    kind = value.type
    if len(call) == 1 and kind.is_integer:
        return value
    places = call.of_type(1, BIGINT) if len(call) == 2 else Value("0", INTEGER, constant=0)
    if kind.name == "decimal":
        return _round_decimal(value, places)
    shown = f"CAST({places.sql} AS INTEGER)"
    if kind in (DOUBLE, REAL):
        return Value(f"CAST(trino_round(CAST({value.sql} AS DOUBLE), {shown}) AS {duckdb(kind)})", kind)
    return Value(f"CAST(round(CAST({value.sql} AS DECIMAL(38,0)), {shown}) AS {duckdb(kind)})", kind)


def _round_decimal(value: Value, places: Value) -> Value:
    digits, scale = value.type.numbers
    if places.constant == 0 and places.type == INTEGER:
        kind = decimal(max(digits - scale + min(scale, 1), 1), 0)
        return Value(f"CAST({value.sql} AS {duckdb(kind)})", kind)
    kind = decimal(digits + 1, scale)
    rounded = f"round(CAST({value.sql} AS DECIMAL(38,{scale})), CAST({places.sql} AS INTEGER))"
    return Value(f"CAST({rounded} AS {duckdb(kind)})", kind)


def _truncate(call: Call) -> Value:
    call.counts(1, 2)
    value = _number(call)
    kind = value.type
    if kind.is_integer and len(call) == 1:
        return value
    if kind.name == "decimal":
        digits, scale = kind.numbers
        if len(call) == 1:
            kind = decimal(max(digits - scale, 1), 0)
            return Value(f"CAST(trunc({value.sql}) AS {duckdb(kind)})", kind)
        places = f"CAST({call.of_type(1, BIGINT).sql} AS INTEGER)"
        return Value(f"CAST(trino_truncate_decimal({value.sql}, {places}) AS {duckdb(kind)})", kind)
    if len(call) == 1:
        return Value(f"CAST(trunc({value.sql}) AS {duckdb(kind)})", kind)
    places = f"CAST({call.of_type(1, BIGINT).sql} AS INTEGER)"
    return Value(f"CAST(trunc(CAST({value.sql} AS DOUBLE), {places}) AS {duckdb(kind)})", kind)


def _mod(call: Call) -> Value:
    call.counts(2)
    one, other = call.value(0), call.value(1)
    if common(one.type, other.type) is None or not one.type.is_number:
        mismatch(call.node, f"Unexpected parameters ({one.type}, {other.type}) for function mod")
    return numbers("%", one, other)


HANDLERS: dict[str, Handler] = {
    "abs": _abs, "sign": _sign, "ceil": _whole, "ceiling": _whole, "floor": _whole, "round": _round,
    "truncate": _truncate, "mod": _mod,
}  # fmt: skip
