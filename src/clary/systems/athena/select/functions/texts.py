"""Functions of texts and of URLs."""

import re
from typing import NamedTuple

from clary.systems.athena.select.casts import as_text, castable, coerced
from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.types import (
    BIGINT,
    VARBINARY,
    VARCHAR,
    array,
    duckdb,
)
from clary.systems.athena.select.values import Value, fail, mismatch, text, unsupported

SIGNATURES = r"""
    lower(varchar) -> varchar: lower({0})
    upper(varchar) -> varchar: upper({0})
    length(varchar) -> bigint: length({0})
    length(varbinary) -> bigint: octet_length({0})
    char_length(varchar) -> bigint: length({0})
    character_length(varchar) -> bigint: length({0})
    trim(varchar) -> varchar: trino_trim({0})
    ltrim(varchar) -> varchar: trino_ltrim({0})
    rtrim(varchar) -> varchar: trino_rtrim({0})
    trim(varchar, varchar) -> varchar: trim({0}, {1})
    ltrim(varchar, varchar) -> varchar: ltrim({0}, {1})
    rtrim(varchar, varchar) -> varchar: rtrim({0}, {1})
    lpad(varchar, bigint, varchar) -> varchar: lpad({0}, CAST({1} AS INTEGER), {2})
    rpad(varchar, bigint, varchar) -> varchar: rpad({0}, CAST({1} AS INTEGER), {2})
    split(varchar, varchar) -> array(varchar): string_split({0}, {1})
    split(varchar, varchar, bigint) -> array(varchar): trino_split({0}, {1}, {2})
    split_part(varchar, varchar, bigint) -> varchar: trino_split_part({0}, {1}, {2})
    split_to_map(varchar, varchar, varchar) -> map(varchar, varchar): trino_split_to_map({0}, {1}, {2})
    split_to_multimap(varchar, varchar, varchar) -> map(varchar, array(varchar)): trino_split_to_multimap({0}, {1}, {2})
    strpos(varchar, varchar) -> bigint: strpos({0}, {1})
    strpos(varchar, varchar, bigint) -> bigint: trino_strpos({0}, {1}, {2})
    starts_with(varchar, varchar) -> boolean: starts_with({0}, {1})
    ends_with(varchar, varchar) -> boolean: ends_with({0}, {1})
    codepoint(varchar) -> integer: unicode({0})
    chr(bigint) -> varchar: chr(CAST({0} AS INTEGER))
    levenshtein_distance(varchar, varchar) -> bigint: levenshtein({0}, {1})
    hamming_distance(varchar, varchar) -> bigint: trino_hamming({0}, {1})
    soundex(varchar) -> varchar: trino_soundex({0})
    translate(varchar, varchar, varchar) -> varchar: translate({0}, {1}, {2})
    url_encode(varchar) -> varchar: trino_url_encode({0})
    url_decode(varchar) -> varchar: url_decode(replace({0}, '+', ' '))
    url_extract_protocol(varchar) -> varchar: trino_url_part({0}, 2)
    url_extract_host(varchar) -> varchar: trino_url_host({0})
    url_extract_port(varchar) -> bigint: trino_url_port({0})
    url_extract_path(varchar) -> varchar: trino_url_part({0}, 5)
    url_extract_query(varchar) -> varchar: trino_url_part({0}, 7)
    url_extract_fragment(varchar) -> varchar: trino_url_part({0}, 9)
    url_extract_parameter(varchar, varchar) -> varchar: trino_url_parameter({0}, {1})
    concat_ws(varchar, array(varchar)) -> varchar: CASE WHEN {0} IS NOT NULL THEN array_to_string({1}, {0}) END
    concat_ws(varchar, varchar, varchar...) -> varchar: concat_ws({all})
"""


def _substr(call: Call) -> Value:
    call.counts(2, 3)
    value = call.value(0)
    binary = value.type == VARBINARY
    if not binary:
        value = call.of_type(0, VARCHAR)
    start = call.of_type(1, BIGINT)
    length = f", {call.of_type(2, BIGINT).sql}" if len(call) == 3 else ""
    if binary:
        if not isinstance(start.constant, int) or start.constant < 1:
            unsupported(call.node, "substr of a varbinary from anything but a positive literal")
        return Value(
            f"trino_binary_substr({value.sql}, {start.sql}{length or ', octet_length(' + value.sql + ')'})", VARBINARY
        )
    if isinstance(start.constant, int) and start.constant > 0:
        return Value(f"substr({value.sql}, {start.constant}{length})", VARCHAR)
    name = "trino_substr" if not length else "trino_substr_of"
    return Value(f"{name}({value.sql}, {start.sql}{length})", VARCHAR)


def _replace(call: Call) -> Value:
    call.counts(2, 3)
    value, search = call.of_type(0, VARCHAR).sql, call.of_type(1, VARCHAR)
    replacement = call.of_type(2, VARCHAR).sql if len(call) == 3 else "''"
    plain = isinstance(search.constant, str) and search.constant
    return Value(f"{'' if plain else 'trino_'}replace({value}, {search.sql}, {replacement})", VARCHAR)


def _reverse(call: Call) -> Value:
    call.counts(1)
    value = call.value(0)
    if value.type.name == "array":
        return Value(f"list_reverse({value.sql})", value.type)
    return Value(f"reverse({call.of_type(0, VARCHAR).sql})", VARCHAR)


def _concat(call: Call) -> Value:
    if len(call) < 2:
        call.unexpected("concat(varchar, varchar, ...), concat(array(T), array(T), ...)")
    values = call.values()
    if any(each.type.name == "array" for each in values):
        return _concatenated_arrays(call, values)
    if all(each.type == VARBINARY for each in values):
        return Value(f"({' || '.join(each.sql for each in values)})", VARBINARY)
    for value, node in zip(values, call.nodes, strict=True):
        if not (value.type.is_text or value.type.name == "unknown"):
            mismatch(
                node, f"Unexpected parameters ({', '.join(str(v.type) for v in values)}) for function {call.shown}"
            )
    return Value(f"({' || '.join(coerced(each, VARCHAR).sql for each in values)})", VARCHAR)


def _concatenated_arrays(call: Call, values: list[Value]) -> Value:
    lists = [
        each if each.type.name in ("array", "unknown") else Value(f"[{each.sql}]", array(each.type)) for each in values
    ]
    alike = call.expressions.alike(lists, call.nodes, "Arrays that are joined")
    missing = " OR ".join(f"({each.sql}) IS NULL" for each in alike)
    joined = f"flatten([{', '.join(each.sql for each in alike)}])"
    return Value(f"CASE WHEN {missing} THEN NULL ELSE {joined} END", alike[0].type)


class _Directive(NamedTuple):
    """A directive of a format: `%-08.2f`."""

    flags: str
    width: int
    precision: int | None
    kind: str


_DIRECTIVE = re.compile(r"%(?:(\d+)\$)?([-+ 0,(#]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")


def _format(call: Call) -> Value:
    said = call.text_of(0, "The format")
    parts: list[str] = []
    at, used = 0, 0
    for found in _DIRECTIVE.finditer(said):
        if "%" in said[at : found.start()]:
            fail("INVALID_FUNCTION_ARGUMENT", call.node, f"Invalid format string: {said}")
        parts.append(text(said[at : found.start()]))
        at = found.end()
        if found[5] in "%n":
            parts.append("'%'" if found[5] == "%" else "chr(10)")
            continue
        used += 1
        number = int(found[1]) if found[1] else used
        if not 1 <= number < len(call):
            fail(
                "INVALID_FUNCTION_ARGUMENT", call.node, f"Invalid format string: {said} (Format specifier '{found[0]}')"
            )
        precision = int(found[4]) if found[4] else None
        parts.append(_formatted(call, number, _Directive(found[2] or "", int(found[3] or 0), precision, found[5])))
    if "%" in said[at:]:
        fail("INVALID_FUNCTION_ARGUMENT", call.node, f"Invalid format string: {said}")
    parts.append(text(said[at:]))
    return Value(f"({' || '.join(parts)})", VARCHAR)


def _formatted(call: Call, number: int, directive: _Directive) -> str:
    value, kind = call.value(number), directive.kind
    if kind in "sS":
        if not castable(value.type, VARCHAR):
            mismatch(call.nodes[number], f"{value.type} cannot be formatted")
        shown = f"coalesce({as_text(value)}, 'null')"
        shown = f"left({shown}, {directive.precision})" if directive.precision is not None else shown
        shown = f"upper({shown})" if kind == "S" else shown
        return _padded(shown, directive)
    if kind in "bB":
        shown = f"coalesce(CAST({value.sql} AS VARCHAR), 'false')"
        return _padded(f"upper({shown})" if kind == "B" else shown, directive)
    if kind in "dxXo" and value.type.is_integer:
        if kind != "d":
            base = {"x": "lower(to_base({0}, 16))", "X": "to_base({0}, 16)", "o": "to_base({0}, 8)"}[kind]
            return _numeric(base.format(f"CAST({value.sql} AS BIGINT)"), value, directive)
        digits = (
            f"format('{{:,}}', CAST({value.sql} AS BIGINT))"
            if "," in directive.flags
            else f"CAST({value.sql} AS VARCHAR)"
        )
        return _numeric(digits, value, directive)
    if kind in "fe" and value.type.is_number and not value.type.is_integer:
        places = 6 if directive.precision is None else directive.precision
        if kind == "e":
            return _numeric(f"printf('%.{places}e', CAST({value.sql} AS DOUBLE))", value, directive)
        rounded = (
            f"round({value.sql}, {places})"
            if value.type.name == "decimal"
            else f"round(CAST({value.sql} AS DOUBLE), {places})"
        )
        grouped = "," if "," in directive.flags else ""
        return _numeric(f"format('{{:{grouped}.{places}f}}', CAST({rounded} AS DOUBLE))", value, directive)
    fail("INVALID_FUNCTION_ARGUMENT", call.node, f"Invalid format string: %{kind} is not for {value.type}")


def _numeric(shown: str, value: Value, directive: _Directive) -> str:
    if "+" in directive.flags:
        shown = f"(CASE WHEN {value.sql} >= 0 THEN '+' ELSE '' END || {shown})"
    if "0" in directive.flags and directive.width:
        shown = f"trino_zero_padded({shown}, {directive.width})"
    return _padded(f"coalesce({shown}, 'null')", directive)


def _padded(shown: str, directive: _Directive) -> str:
    if not directive.width:
        return shown
    side = "rpad" if "-" in directive.flags else "lpad"
    return f"{side}({shown}, greatest({directive.width}, CAST(length({shown}) AS INTEGER)), ' ')"


def _repeat(call: Call) -> Value:
    call.counts(2)
    value = call.value(0)
    count = call.of_type(1, BIGINT).sql
    kind = array(value.type)
    return Value(f"list_transform(range({count}), lambda _i: CAST({value.sql} AS {duckdb(value.type)}))", kind)


HANDLERS: dict[str, Handler] = {
    "substr": _substr, "substring": _substr, "reverse": _reverse, "concat": _concat, "format": _format,
    "repeat": _repeat, "replace": _replace,
}  # fmt: skip
