"""Functions of Teradata that Trino has for moments, with Teradata's formats. SageMaker's SDKs ask for them."""

import re

from sqlglot import exp

from clary.systems.athena.select.functions import formats
from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.types import DATE, TIMESTAMP, VARCHAR
from clary.systems.athena.select.values import Value, fail, text

SIGNATURES = ""
_DIRECTIVES = {"yyyy": "%Y", "yy": "%y", "mm": "%m", "dd": "%d", "hh24": "%H", "hh": "%I", "mi": "%M", "ss": "%S"}
_PIECE = re.compile(r"(yyyy|yy|mm|dd|hh24|hh|mi|ss)|([-/,.;: ]+)|(.)", re.IGNORECASE | re.DOTALL)


def _pieces(said: str, node: exp.Expr) -> list[str]:
    """The pieces of a format: directives of strftime, and what stands between them."""
    pieces = []
    for found in _PIECE.finditer(said):
        if found[3] is not None:
            fail("INVALID_FUNCTION_ARGUMENT", node, f"Failed to tokenize string [{said}] at offset [{found.start()}]")
        pieces.append(_DIRECTIVES[found[1].lower()] if found[1] else found[2])
    return pieces


def _to_timestamp(call: Call) -> Value:
    call.counts(2)
    pattern = formats.strptime(_pieces(call.text_of(1, "The format"), call.nodes[1]))
    return Value(f"trino_strptime({call.of_type(0, VARCHAR).sql}, {text(pattern)})", TIMESTAMP)


def _to_date(call: Call) -> Value:
    return Value(f"CAST({_to_timestamp(call).sql} AS DATE)", DATE)


def _to_char(call: Call) -> Value:
    call.counts(2)
    pattern = _pieces(call.text_of(1, "The format"), call.nodes[1])
    return Value(formats.shown(call.of_type(0, TIMESTAMP).sql, pattern), VARCHAR)


HANDLERS: dict[str, Handler] = {"to_timestamp": _to_timestamp, "to_date": _to_date, "to_char": _to_char}
