"""Functions of arrays, those with lambdas among them."""

from clary.systems.athena.select.casts import as_text, coerced
from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.types import (
    BIGINT,
    INTEGER,
    INTERVAL_DAYS,
    INTERVAL_MONTHS,
    VARCHAR,
    array,
    becomes,
    common,
    duckdb,
    fields,
    row,
)
from clary.systems.athena.select.values import Value, mismatch

SIGNATURES = """
    cardinality(array(T)) -> bigint: CAST(len({0}) AS BIGINT)
    cardinality(map(K, V)) -> bigint: CAST(cardinality({0}) AS BIGINT)
    contains(array(T), T) -> boolean: trino_contains({0}, {1})
    contains(varchar, ipaddress) -> boolean: trino_network_contains({0}, {1})
    element_at(array(T), bigint) -> T: trino_element_at({0}, {1})
    element_at(map(K, V), K) -> V: ({0})[{1}]
    array_distinct(array(T)) -> array(T): trino_distinct({0})
    array_sort(array(T)) -> array(T): list_sort({0}, 'ASC', 'NULLS LAST')
    array_max(array(T)) -> T: trino_array_max({0})
    array_min(array(T)) -> T: trino_array_min({0})
    array_position(array(T), T) -> bigint: trino_array_position({0}, {1})
    array_remove(array(T), T) -> array(T): trino_array_remove({0}, {1})
    arrays_overlap(array(T), array(T)) -> boolean: trino_overlap({0}, {1})
    array_union(array(T), array(T)) -> array(T): trino_distinct(list_concat({0}, {1}))
    array_intersect(array(T), array(T)) -> array(T): trino_distinct(list_filter({0}, lambda _x: trino_has({1}, _x)))
    array_except(array(T), array(T)) -> array(T): trino_distinct(list_filter({0}, lambda _x: NOT trino_has({1}, _x)))
    flatten(array(array(T))) -> array(T): flatten(list_filter({0}, lambda _x: _x IS NOT NULL))
    slice(array(T), bigint, bigint) -> array(T): trino_slice({0}, {1}, {2})
    trim_array(array(T), bigint) -> array(T): trino_trim_array({0}, {1})
    transform(array(T), function(T, U)) -> array(U): list_transform({0}, {1})
    filter(array(T), function(T, boolean)) -> array(T): list_filter({0}, {1})
    any_match(array(T), function(T, boolean)) -> boolean: trino_any(list_transform({0}, {1}))
    all_match(array(T), function(T, boolean)) -> boolean: trino_all(list_transform({0}, {1}))
    none_match(array(T), function(T, boolean)) -> boolean: (NOT trino_any(list_transform({0}, {1})))
    ngrams(array(T), bigint) -> array(array(T)): trino_ngrams({0}, {1})
    shuffle(array(T)) -> array(T): trino_shuffle({0})
"""


def _join(call: Call) -> Value:
    call.counts(2, 3)
    value = call.value(0)
    if value.type.name != "array" or value.type.children[0].children:
        call.unexpected("array_join(array(T), varchar), array_join(array(T), varchar, varchar)")
    shown = as_text(Value("_x", value.type.children[0]))
    if len(call) == 3:
        shown = f"coalesce({shown}, {call.of_type(2, VARCHAR).sql})"
    return Value(
        f"array_to_string(list_transform({value.sql}, lambda _x: {shown}), {call.of_type(1, VARCHAR).sql})", VARCHAR
    )


def _sort(call: Call) -> Value:
    call.counts(1, 2)
    value = call.value(0)
    if value.type.name != "array":
        call.unexpected("array_sort(array(T)), array_sort(array(T), function(T, T, integer))")
    if len(call) == 1:
        return Value(f"list_sort({value.sql}, 'ASC', 'NULLS LAST')", value.type)
    item = value.type.children[0]
    names, body = call.lambda_of(1, [item, item])
    one, other = names.split(", ")
    place = coerced(body, INTEGER).sql
    before = f"list_filter({value.sql}, lambda {one}, _j: ({place}) < 0 OR (({place}) = 0 AND _j < _i))"
    ranked = f"list_transform({value.sql}, lambda {other}, _i: struct_pack(r := len({before}), v := {other}))"
    return Value(f"list_transform(list_sort({ranked}), lambda _e: _e.v)", value.type)


def _reduce(call: Call) -> Value:
    call.counts(4)
    value = call.value(0)
    if value.type.name != "array":
        call.unexpected("reduce(array(T), S, function(S, T, S), function(S, R))")
    folded = fold(call, value)
    names, result = call.lambda_of(3, [folded.type])
    sql = f"list_transform([{folded.sql}], lambda {names}: {result.sql})[1]"
    return Value(f"CASE WHEN {value.sql} IS NOT NULL THEN {sql} END", result.type)


def fold(call: Call, value: Value) -> Value:
    """The state that a call's third argument, a lambda, makes of the second and all items of an array."""
    start = call.value(1)
    kind = start.type
    for _ in range(3):
        names, body = call.lambda_of(2, [kind, value.type.children[0]])
        before, kind = kind, common(kind, body.type) or kind
        if before == kind:
            break
    if not becomes(body.type, kind):
        call.unexpected(f"a lambda that results in {kind}, not {body.type}")
    held = duckdb(kind)
    # A state of a type of its own and elements of theirs go through one list: of pairs, whose first is the state.
    inner_state, inner_item = names.split(", ")
    step = f"CAST({coerced(body, kind).sql} AS {held})"
    pairs = f"list_transform({value.sql}, lambda _x: struct_pack(s := CAST(NULL AS {held}), x := _x))"
    nothing = f"CAST(NULL AS {duckdb(value.type.children[0])})"
    first = f"struct_pack(s := CAST({coerced(start, kind).sql} AS {held}), x := {nothing})"
    stepped = f"list_transform([_b.x], lambda {inner_item}: {step})[1]"
    stepped = f"list_transform([_a.s], lambda {inner_state}: {stepped})[1]"
    return Value(f"list_reduce({pairs}, lambda _a, _b: struct_pack(s := {stepped}, x := _b.x), {first}).s", kind)


def _zip(call: Call) -> Value:
    values = call.values()
    if len(values) < 2 or any(each.type.name != "array" for each in values):
        call.unexpected("zip(array(T), array(U), ...)")
    kind = row(*(each.type.children[0] for each in values))
    parts = ", ".join(f'"{name}" := ({each.sql})[_i]' for name, each in zip(fields(kind), values, strict=True))
    most = f"greatest({', '.join(f'len({each.sql})' for each in values)})"
    missing = " OR ".join(f"({each.sql}) IS NULL" for each in values)
    zipped = f"list_transform(range(1, CAST({most} AS BIGINT) + 1), lambda _i: struct_pack({parts}))"
    return Value(f"CASE WHEN {missing} THEN NULL ELSE {zipped} END", array(kind))


def _zip_with(call: Call) -> Value:
    call.counts(3)
    one, other = call.value(0), call.value(1)
    if one.type.name != "array" or other.type.name != "array":
        call.unexpected("zip_with(array(T), array(U), function(T, U, R))")
    names, body = call.lambda_of(2, [one.type.children[0], other.type.children[0]])
    first, second = names.split(", ")
    inner = f"list_transform([({other.sql})[_i]], lambda {second}: {body.sql})[1]"
    inner = f"list_transform([({one.sql})[_i]], lambda {first}: {inner})[1]"
    most = f"greatest(len({one.sql}), len({other.sql}))"
    zipped = f"list_transform(range(1, CAST({most} AS BIGINT) + 1), lambda _i: {inner})"
    return Value(
        f"CASE WHEN ({one.sql}) IS NULL OR ({other.sql}) IS NULL THEN NULL ELSE {zipped} END", array(body.type)
    )


def _sequence(call: Call) -> Value:
    call.counts(2, 3)
    start, stop = call.value(0), call.value(1)
    kind = common(start.type, stop.type) or INTERVAL_DAYS
    if kind.is_integer:
        step = call.of_type(2, BIGINT).sql if len(call) == 3 else ""
        first, last = coerced(start, BIGINT).sql, coerced(stop, BIGINT).sql
        if not step:
            step = f"CASE WHEN {first} <= {last} THEN 1 ELSE -1 END"
            return Value(f"generate_series({first}, {last}, {step})", array(BIGINT))
        return Value(f"trino_sequence({first}, {last}, {step})", array(BIGINT))
    if kind.name not in ("date", "timestamp"):
        call.unexpected("sequence(bigint, bigint[, bigint]), sequence(date, date[, interval])")
    step = "to_days(CASE WHEN {0} <= {1} THEN 1 ELSE -1 END)"
    first, last = coerced(start, kind).sql, coerced(stop, kind).sql
    if len(call) == 3:
        if call.value(2).type not in (INTERVAL_DAYS, INTERVAL_MONTHS):
            call.unexpected("sequence(date, date, interval)")
        step = call.value(2).sql
        if call.value(2).type == INTERVAL_MONTHS:
            series = (
                f"trino_months_between(CAST({first} AS TIMESTAMP), CAST({last} AS TIMESTAMP), trino_months({step}))"
            )
            return Value(f"CAST({series} AS {duckdb(kind)}[])", array(kind))
    else:
        step = step.format(first, last)
    series = f"generate_series(CAST({first} AS TIMESTAMP), CAST({last} AS TIMESTAMP), {step})"
    return Value(f"CAST({series} AS {duckdb(kind)}[])", array(kind))


def _combinations(call: Call) -> Value:
    call.counts(2)
    value, size = call.value(0), call.value(1)
    if value.type.name != "array" or not isinstance(size.constant, int) or not 0 <= size.constant <= 5:
        mismatch(call.node, "combinations takes an array and a literal from 0 to 5")
    held = duckdb(value.type)
    found = f"[struct_pack(i := CAST(0 AS BIGINT), l := CAST([] AS {held}))]"
    for _ in range(size.constant):
        more = (
            f"list_transform(list_filter(range(1, len({value.sql}) + 1), lambda _i: _i > _c.i), "
            f"lambda _i: struct_pack(i := _i, l := list_append(_c.l, ({value.sql})[_i])))"
        )
        found = f"flatten(list_transform({found}, lambda _c: {more}))"
    return Value(f"list_transform({found}, lambda _c: _c.l)", array(value.type))


HANDLERS: dict[str, Handler] = {
    "array_join": _join, "array_sort": _sort, "reduce": _reduce, "zip": _zip, "zip_with": _zip_with,
    "sequence": _sequence, "combinations": _combinations,
}  # fmt: skip
