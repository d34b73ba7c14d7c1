"""Functions that choose among their arguments: COALESCE, NULLIF, TRY, GREATEST ..."""

from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.operators import compared
from clary.systems.athena.select.types import BOOLEAN, VARCHAR, T
from clary.systems.athena.select.values import Value, mismatch, text

SIGNATURES = ""


def _coalesce(call: Call) -> Value:
    if len(call) < 2:
        call.unexpected("at least two arguments")
    values = call.alike("All COALESCE operands")
    return Value(f"coalesce({', '.join(each.sql for each in values)})", values[0].type)


def _nullif(call: Call) -> Value:
    call.counts(2)
    one, other = call.values()
    return Value(f"CASE WHEN {compared('=', one, other, call.node)} THEN NULL ELSE {one.sql} END", one.type)


def _try(call: Call) -> Value:
    call.counts(1)
    value = call.value(0)
    return Value(f"TRY({value.sql})", value.type)


def _most(call: Call) -> Value:
    if not len(call):
        call.unexpected("at least one argument")
    values = call.alike(f"All {call.shown} operands")
    if values[0].type.name in ("map", "json", "array", "row"):
        mismatch(call.node, f"{call.shown} is not for {values[0].type}")
    missing = " OR ".join(f"{each.sql} IS NULL" for each in values)
    sql = f"{call.name}({', '.join(each.sql for each in values)})"
    return Value(f"CASE WHEN {missing} THEN NULL ELSE {sql} END", values[0].type)


def _typeof(call: Call) -> Value:
    call.counts(1)
    return Value(text(str(call.value(0).type)), VARCHAR)


def _fail(call: Call) -> Value:
    call.counts(1)
    message = call.of_type(0, VARCHAR).sql
    sql = f"CASE WHEN CAST('GENERIC_USER_ERROR: ' || {message} AS BOOLEAN) THEN NULL ELSE NULL END"
    return Value(sql, T("unknown"))


def _if(call: Call) -> Value:
    call.counts(2, 3)
    values = call.expressions.unified(call.nodes[1:], "Result types for IF")
    otherwise = f" ELSE {values[1].sql}" if len(values) > 1 else ""
    return Value(f"CASE WHEN {call.of_type(0, BOOLEAN).sql} THEN {values[0].sql}{otherwise} END", values[0].type)


HANDLERS: dict[str, Handler] = {
    "coalesce": _coalesce, "nullif": _nullif, "try": _try, "greatest": _most, "least": _most, "typeof": _typeof,
    "fail": _fail, "if": _if,
}  # fmt: skip
