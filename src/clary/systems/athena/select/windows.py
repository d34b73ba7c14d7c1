"""Window functions of Trino, with their partitions, orders and frames."""

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from clary.systems.athena.select.aggregates import AGGREGATES, aggregate, taken_apart
from clary.systems.athena.select.casts import coerced
from clary.systems.athena.select.functions.calls import Call
from clary.systems.athena.select.types import BIGINT, DOUBLE, INTERVAL_DAYS, INTERVAL_MONTHS
from clary.systems.athena.select.values import Value, fail, unsupported

if TYPE_CHECKING:
    from clary.systems.athena.select.expressions import Expressions

_RANKS = {"row_number": BIGINT, "rank": BIGINT, "dense_rank": BIGINT, "percent_rank": DOUBLE, "cume_dist": DOUBLE}
_VALUES = {"first_value": (1,), "last_value": (1,), "nth_value": (2,), "lag": (1, 2, 3), "lead": (1, 2, 3)}
WINDOWS = frozenset({*_RANKS, *_VALUES, "ntile"})


def window(expressions: "Expressions", node: exp.Window) -> Value:
    """SQL of a function over a window."""
    if expressions.over:
        fail("NESTED_WINDOW", node, "Cannot nest window functions")
    this, ignoring = node.this, ""
    if isinstance(this, exp.IgnoreNulls | exp.RespectNulls):
        ignoring = " IGNORE NULLS" if isinstance(this, exp.IgnoreNulls) else ""
        this = this.this
    expressions.over = True
    try:
        over = f" OVER ({specification(expressions, node)})"
        inner = this.this if isinstance(this, exp.Filter) else this
        name = inner.name.lower() if isinstance(inner, exp.Anonymous) else "listagg"
        if name in AGGREGATES:
            found = taken_apart(this)
            if ignoring:
                unsupported(node, f"IGNORE NULLS in {name}")
            return aggregate(expressions, replace(found, node=node), over)
        if name not in WINDOWS:
            fail("FUNCTION_NOT_FOUND", this, f"'{name}' is not a window function")
        return _call(Call(expressions, name, inner.expressions, inner, name), ignoring, over)
    finally:
        expressions.over = False


def _call(call: Call, ignoring: str, over: str) -> Value:
    if call.name in _RANKS:
        call.counts(0)
        return Value(f"{call.name}(){over}", _RANKS[call.name])
    if call.name == "ntile":
        call.counts(1)
        return Value(f"ntile({call.of_type(0, BIGINT).sql}){over}", BIGINT)
    call.counts(*_VALUES[call.name])
    value = call.value(0)
    texts = [value.sql]
    if len(call) > 1:
        texts.append(call.of_type(1, BIGINT).sql)
    if len(call) > 2:
        texts.append(coerced(call.of_type(2, value.type), value.type).sql)
    return Value(f"{call.name}({', '.join(texts)}{ignoring}){over}", value.type)


def specification(expressions: "Expressions", node: exp.Window) -> str:
    """What stands in OVER (...): the named window that it begins with, partitions, order and frame."""
    named = node.args.get("alias")
    partition = list(node.args.get("partition_by") or ())
    order = node.args.get("order")
    frame = node.args.get("spec")
    if named is not None:
        base = expressions.windows.get(named.name.lower())
        if base is None:
            fail("INVALID_WINDOW_REFERENCE", node, f"Cannot resolve WINDOW name {named.name}")
        partition = partition or list(base.args.get("partition_by") or ())
        order, frame = order or base.args.get("order"), frame or base.args.get("spec")
    parts = []
    if partition:
        parts.append(f"PARTITION BY {', '.join(expressions.typed(each).sql for each in partition)}")
    keys: list[Value] = []
    if order is not None:
        keys = [expressions.typed(each.this) for each in order.expressions]
        texts = [expressions.queries.ordered(key, each) for key, each in zip(keys, order.expressions, strict=True)]
        parts.append(f"ORDER BY {', '.join(texts)}")
    if frame is not None:
        parts.append(_frame(expressions, frame, keys))
    return " ".join(parts)


def _frame(expressions: "Expressions", frame: exp.WindowSpec, keys: list[Value]) -> str:
    kind = (frame.args.get("kind") or "RANGE").upper()
    start = _bound(expressions, frame, "start", kind, keys)
    end = _bound(expressions, frame, "end", kind, keys) if frame.args.get("end") is not None else "CURRENT ROW"
    if frame.args.get("exclude") is not None:
        unsupported(frame, "EXCLUDE in a window frame")
    return f"{kind} BETWEEN {start} AND {end}"


def _bound(expressions: "Expressions", frame: exp.WindowSpec, end: str, kind: str, keys: list[Value]) -> str:
    found, side = frame.args[end], (frame.args.get(f"{end}_side") or "").upper()
    if isinstance(found, str):
        return f"{found.upper()} {side}".strip()
    if side not in ("PRECEDING", "FOLLOWING"):
        fail("INVALID_WINDOW_FRAME", frame, "a frame ends PRECEDING, FOLLOWING or at the CURRENT ROW")
    value = expressions.typed(found)
    if kind == "RANGE":
        if len(keys) != 1:
            fail("INVALID_ORDER_BY", frame, "Window frame of type RANGE PRECEDING or FOLLOWING requires one sort key")
        if value.type not in (INTERVAL_DAYS, INTERVAL_MONTHS):
            value = coerced(value, keys[0].type)
        return f"{value.sql} {side}"
    if not value.type.is_integer:
        fail("TYPE_MISMATCH", found, f"Window frame {kind} value type must be INTEGER or BIGINT (actual {value.type})")
    return f"{value.sql} {side}"
