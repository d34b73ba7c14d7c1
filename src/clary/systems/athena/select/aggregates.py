"""The aggregate functions of Trino, over groups and over windows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from clary.systems.athena.select.casts import coerced
from clary.systems.athena.select.functions.arrays import fold
from clary.systems.athena.select.functions.calls import Call
from clary.systems.athena.select.functions.signatures import Match, overloads_of
from clary.systems.athena.select.operators import divided
from clary.systems.athena.select.types import (
    BIGINT,
    DOUBLE,
    INTERVAL_DAYS,
    INTERVAL_MONTHS,
    REAL,
    VARCHAR,
    T,
    array,
    becomes,
    decimal,
    duckdb,
    map_of,
)
from clary.systems.athena.select.values import Value, unsupported

if TYPE_CHECKING:
    from clary.systems.athena.select.expressions import Expressions

# {d} is DISTINCT, {o} an ORDER BY among the arguments, {f} what follows the call: FILTER and OVER.
# DuckDB takes an aggregate as a lambda's argument, and not for what a lambda captures.
_SIGNATURES = """
    count(T) -> bigint: count({d}{0}){f}
    count_if(boolean) -> bigint: count({d}CASE WHEN {0} THEN 1 END){f}
    min(T) -> T: min({0}){f}
    max(T) -> T: max({0}){f}
    min(T, bigint) -> array(T): min({0}, {1}){f}
    max(T, bigint) -> array(T): max({0}, {1}){f}
    max_by(T, U) -> T: arg_max_null({0}, {1}){f}
    min_by(T, U) -> T: arg_min_null({0}, {1}){f}
    max_by(T, U, bigint) -> array(T): arg_max({0}, {1}, {2}){f}
    min_by(T, U, bigint) -> array(T): arg_min({0}, {1}, {2}){f}
    arbitrary(T) -> T: any_value({0}){f}
    any_value(T) -> T: any_value({0}){f}
    bool_and(boolean) -> boolean: bool_and({0}){f}
    every(boolean) -> boolean: bool_and({0}){f}
    bool_or(boolean) -> boolean: bool_or({0}){f}
    array_agg(T) -> array(T): list({d}{0}{o}){f}
    set_agg(T) -> array(T): list(DISTINCT {0}){f}
    approx_distinct(T) -> bigint: approx_count_distinct({0}){f}
    approx_distinct(T, double) -> bigint: approx_count_distinct({0}){f}
    stddev(double) -> double: stddev_samp({d}{0}){f}
    stddev_samp(double) -> double: stddev_samp({d}{0}){f}
    stddev_pop(double) -> double: stddev_pop({d}{0}){f}
    variance(double) -> double: var_samp({d}{0}){f}
    var_samp(double) -> double: var_samp({d}{0}){f}
    var_pop(double) -> double: var_pop({d}{0}){f}
    skewness(double) -> double: {skewness}
    kurtosis(double) -> double: kurtosis({d}{0}){f}
    covar_pop(double, double) -> double: covar_pop({0}, {1}){f}
    covar_samp(double, double) -> double: covar_samp({0}, {1}){f}
    corr(double, double) -> double: corr({0}, {1}){f}
    regr_slope(double, double) -> double: regr_slope({0}, {1}){f}
    regr_intercept(double, double) -> double: regr_intercept({0}, {1}){f}
    regr_r2(double, double) -> double: regr_r2({0}, {1}){f}
    regr_count(double, double) -> bigint: CAST(regr_count({0}, {1}){f} AS BIGINT)
    regr_avgx(double, double) -> double: regr_avgx({0}, {1}){f}
    regr_avgy(double, double) -> double: regr_avgy({0}, {1}){f}
    regr_sxx(double, double) -> double: regr_sxx({0}, {1}){f}
    regr_sxy(double, double) -> double: regr_sxy({0}, {1}){f}
    regr_syy(double, double) -> double: regr_syy({0}, {1}){f}
    geometric_mean(double) -> double: exp(avg(ln({0})){f})
    bitwise_and_agg(bigint) -> bigint: bit_and({0}){f}
    bitwise_or_agg(bigint) -> bigint: bit_or({0}){f}
    bitwise_xor_agg(bigint) -> bigint: bit_xor({0}){f}
    histogram(T) -> map(T, bigint): CAST(histogram({0}){f} AS MAP({T}, BIGINT))
    map_agg(K, V) -> map(K, V): list_transform([{entries}], lambda _m: trino_map_of(_m))[1]
    multimap_agg(K, V) -> map(K, array(V)): list_transform([{entries}], lambda _m: trino_multimap_of(_m))[1]
    map_union(map(K, V)) -> map(K, V): list_transform([{maps}], lambda _m: trino_map_of(flatten(_m)))[1]
    listagg(varchar, varchar) -> varchar: string_agg({d}{0}, {1}{o}){f}
"""
# DuckDB's is that of a sample, Trino's that of what there is.
_SKEWNESS = "(skewness({d}{0}){f} * (count({d}{0}){f} - 2) / sqrt(count({d}{0}){f} * (count({d}{0}){f} - 1)))"
_OVERLOADS = overloads_of(
    _SIGNATURES.replace("{entries}", "list(struct_pack(k := {0}, v := {1}){o}){f}")
    .replace("{maps}", "list(trino_map_entries({0})){f}")
    .replace("{skewness}", _SKEWNESS)
)
_NOT_HERE = ("approx_set", "merge", "checksum", "approx_most_frequent", "entropy", "tdigest_agg", "qdigest_agg",
             "map_intersect_agg")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Aggregated:
    """A call of an aggregate, taken apart: its arguments, and what stands around them."""

    name: str
    arguments: list[exp.Expr]
    node: exp.Expr
    distinct: bool = False
    order: list[exp.Ordered] | None = None
    filter: exp.Expr | None = None
    ignoring_nulls: bool = False


def taken_apart(node: exp.Expr) -> Aggregated:
    """The aggregate that a node calls, with its DISTINCT, ORDER BY and FILTER."""
    condition, order = None, None
    inner = node
    if isinstance(inner, exp.Filter):
        condition, inner = inner.expression.this, inner.this
    if isinstance(inner, exp.WithinGroup):
        order, inner = list(inner.expression.expressions), inner.this
    if isinstance(inner, exp.GroupConcat):
        return _listagg(inner, node, condition)
    if not isinstance(inner, exp.Anonymous):
        unsupported(node, node.sql(dialect="trino")[:60])
    arguments, distinct = list(inner.expressions), False
    if len(arguments) == 1 and isinstance(arguments[0], exp.Order):
        order = list(arguments[0].expressions)
        arguments = [arguments[0].this]
    if arguments and isinstance(arguments[-1], exp.Order):
        order = list(arguments[-1].expressions)
        arguments[-1] = arguments[-1].this
    if len(arguments) == 1 and isinstance(arguments[0], exp.Distinct):
        distinct, arguments = True, list(arguments[0].expressions)
        if arguments and isinstance(arguments[-1], exp.Order):
            order = list(arguments[-1].expressions)
            arguments[-1] = arguments[-1].this
    return Aggregated(inner.name.lower(), arguments, node, distinct, order, condition)


def _listagg(inner: exp.GroupConcat, node: exp.Expr, condition: exp.Expr | None) -> Aggregated:
    this, order, distinct = inner.this, None, False
    if isinstance(this, exp.Order):
        this, order = this.this, list(this.expressions)
    if isinstance(this, exp.Distinct):
        this, distinct = this.expressions[0], True
        if isinstance(this, exp.Order):
            this, order = this.this, list(this.expressions)
    if inner.args.get("on_overflow") is not None:
        unsupported(node, "LISTAGG with ON OVERFLOW")
    separator = inner.args.get("separator") or exp.Literal.string("")
    return Aggregated("listagg", [this, separator], node, distinct, order, condition)


def aggregate(expressions: "Expressions", found: Aggregated, over: str = "") -> Value:
    """SQL of an aggregate, with arguments as `expressions` sees them, over groups or over a window."""
    follows = over
    if found.filter is not None:
        follows = f" FILTER (WHERE {expressions.condition(found.filter, 'FILTER clause')}){over}"
    order = ""
    if found.order:
        order = f" ORDER BY {', '.join(expressions.queries.ordered(expressions.typed(e.this), e) for e in found.order)}"
    parts = {"d": "DISTINCT " if found.distinct else "", "o": order, "f": follows}
    if found.name == "count" and (not found.arguments or isinstance(found.arguments[0], exp.Star)):
        return Value(f"count(*){follows}", BIGINT)
    if found.name in _NOT_HERE:
        unsupported(found.node, f"the aggregate function {found.name}")
    call = Call(expressions, found.name, found.arguments, found.node, found.name)
    if found.name in _HANDLERS:
        return _HANDLERS[found.name](call, parts)
    types = [value.type for value in call.values()]
    matches = [match for each in _OVERLOADS[found.name] if (match := each.match(list(types))) is not None]
    if not matches:
        call.unexpected(", ".join(map(str, _OVERLOADS[found.name])))
    return _filled(call, min(matches, key=lambda match: match.cost), parts)


def _filled(call: Call, match: Match, parts: dict[str, str]) -> Value:
    if parts["d"] and "{d}" not in match.overload.template and call.name not in _ANYWAY:
        unsupported(call.node, f"DISTINCT in {call.name}")
    if parts["o"] and "{o}" not in match.overload.template and call.name not in _ANYWAY:
        parts = {**parts, "o": ""}
    texts = [
        coerced(value, match.substituted(pattern, value.type)).sql
        for value, pattern in zip(call.values(), match.patterns, strict=True)
    ]
    return Value(match.sql_with(texts, parts), match.substituted(match.overload.result))


def _sum(call: Call, parts: dict[str, str]) -> Value:
    call.counts(1)
    value, d, f = call.value(0), parts["d"], parts["f"]
    if value.type.is_integer:
        return Value(f"CAST(sum({d}{value.sql}){f} AS BIGINT)", BIGINT)
    if value.type.name == "decimal":
        scale = value.type.numbers[1]
        return Value(f"CAST(sum({d}{value.sql}){f} AS DECIMAL(38,{scale}))", decimal(38, scale))
    if value.type in (DOUBLE, REAL):
        sql = f"sum({d}{value.sql}){f}"
        return Value(sql if value.type == DOUBLE else f"CAST({sql} AS FLOAT)", value.type)
    if value.type in (INTERVAL_DAYS, INTERVAL_MONTHS):
        unit, kind = ("milliseconds", "BIGINT") if value.type == INTERVAL_DAYS else ("months", "INTEGER")
        return Value(f"to_{unit}(CAST(sum({d}trino_{unit}({value.sql})){f} AS {kind}))", value.type)
    return call.unexpected("sum(bigint), sum(double), sum(real), sum(decimal), sum(interval)")


def _avg(call: Call, parts: dict[str, str]) -> Value:
    call.counts(1)
    value, d, f = call.value(0), parts["d"], parts["f"]
    if value.type.is_integer or value.type == DOUBLE:
        return Value(f"avg({d}{coerced(value, DOUBLE).sql if value.type == DOUBLE else value.sql}){f}", DOUBLE)
    if value.type == REAL:
        return Value(f"CAST(avg({d}{value.sql}){f} AS FLOAT)", REAL)
    if value.type.name == "decimal":
        total = Value(f"sum({d}{value.sql}){f}", decimal(38, value.type.numbers[1]))
        count = Value(f"nullif(count({d}{value.sql}){f}, 0)", BIGINT)
        return Value(divided(total, count, value.type), value.type)
    return call.unexpected("avg(bigint), avg(double), avg(real), avg(decimal)")


def _approx_percentile(call: Call, parts: dict[str, str]) -> Value:
    if len(call) not in (2, 3):
        unsupported(call.node, "approx_percentile with an accuracy")
    value, share = call.value(0), call.value(len(call) - 1)
    if not value.type.is_number:
        call.unexpected("approx_percentile(bigint, double), approx_percentile(double, double)")
    kind = value.type if not value.type.is_integer else BIGINT
    if kind.name == "decimal":
        kind = DOUBLE
    if len(call) == 3:
        return _weighted_percentile(call, parts, kind)
    held = coerced(value, DOUBLE if kind == REAL else kind)
    wanted = array(DOUBLE) if share.type.name == "array" else DOUBLE
    result = array(kind) if share.type.name == "array" else kind
    asked = f"CAST({coerced(share, wanted).sql} AS FLOAT{'[]' if share.type.name == 'array' else ''})"
    return Value(f"CAST(approx_quantile({held.sql}, {asked}){parts['f']} AS {duckdb(result)})", result)


def _weighted_percentile(call: Call, parts: dict[str, str], kind: T) -> Value:
    share, items = call.value(2), _weighted(call, parts, coerced(call.value(0), kind).sql, 1)
    _constant(call, 2, "The percentage")
    if share.type.name == "array":
        return Value(f"trino_weighted_percentiles({items}, {coerced(share, array(DOUBLE)).sql})", array(kind))
    return Value(f"trino_weighted_percentiles({items}, [{call.of_type(2, DOUBLE).sql}])[1]", kind)


def _weighted(call: Call, parts: dict[str, str], value: str, at: int) -> str:
    """A list of a value and of the weight that is the argument at a place, of each row."""
    if parts["d"]:
        unsupported(call.node, f"DISTINCT in {call.name}")
    weight = call.of_type(at, DOUBLE).sql if at < len(call) else "CAST(1 AS DOUBLE)"
    return f"list(struct_pack(v := {value}, w := {weight})){parts['f']}"


def _constant(call: Call, at: int, what: str) -> None:
    if any(isinstance(each, exp.Column | exp.Subquery) for each in call.nodes[at].walk()):
        unsupported(call.nodes[at], f"{what} of {call.shown} that is no constant")


def _numeric_histogram(call: Call, parts: dict[str, str]) -> Value:
    call.counts(2, 3)
    _constant(call, 0, "A number of buckets")
    kind = REAL if call.value(1).type == REAL else DOUBLE
    items = _weighted(call, parts, call.of_type(1, DOUBLE).sql, 2)
    sql = f"trino_numeric_histogram({items}, {call.of_type(0, BIGINT).sql})"
    return Value(f"CAST({sql} AS MAP({duckdb(kind)}, {duckdb(kind)}))", map_of(kind, kind))


def _reduce_agg(call: Call, parts: dict[str, str]) -> Value:
    """All rows of a group folded in one go, so that no states need be combined."""
    call.counts(4)
    _constant(call, 1, "An initial state")
    value = call.value(0)
    items = f"list_filter(list({parts['d']}{value.sql}{parts['o']}){parts['f']}, lambda _v: _v IS NOT NULL)"
    folded = fold(call, Value(items, array(value.type)))
    _, combined = call.lambda_of(3, [folded.type, folded.type])
    if not becomes(combined.type, folded.type):
        call.unexpected(f"a lambda that results in {folded.type}, not {combined.type}")
    return Value(f"CASE WHEN len({items}) > 0 THEN {folded.sql} END", folded.type)


def _listed(call: Call, parts: dict[str, str]) -> Value:
    call.counts(1, 2)
    value = call.of_type(0, VARCHAR)
    separator = call.of_type(1, VARCHAR).sql if len(call) == 2 else "''"
    return Value(f"string_agg({parts['d']}{value.sql}, {separator}{parts['o']}){parts['f']}", VARCHAR)


_HANDLERS: dict[str, Callable[[Call, dict[str, str]], Value]] = {
    "sum": _sum, "avg": _avg, "approx_percentile": _approx_percentile, "listagg": _listed,
    "numeric_histogram": _numeric_histogram, "reduce_agg": _reduce_agg,
}  # fmt: skip
_ANYWAY = ("min", "max", "bool_and", "bool_or", "every", "set_agg", "arbitrary", "any_value", "approx_distinct")
AGGREGATES = frozenset({*_OVERLOADS, *_HANDLERS, *_NOT_HERE})
