"""Functions of regular expressions, which are Java's in Trino and RE2's in DuckDB."""

import re

from sqlglot import exp

from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.types import BIGINT, BOOLEAN, VARCHAR, array
from clary.systems.athena.select.values import Value, fail, text, unsupported

SIGNATURES = ""
_UNKNOWN = re.compile(
    r"(?<!\\)(?:\\\\)*\(\?(?:=|!|<=|<!|>)|(?<!\\)(?:\\\\)*[*+?}]\+|(?<!\\)(?:\\\\)*\\[1-9]|(?<!\\)(?:\\\\)*\\k<|&&"
)
_CLASSES = {
    r"\p{Alpha}": "[:alpha:]", r"\p{Digit}": "[:digit:]", r"\p{Alnum}": "[:alnum:]", r"\p{Upper}": "[:upper:]",
    r"\p{Lower}": "[:lower:]", r"\p{Punct}": "[:punct:]", r"\p{Space}": "[:space:]", r"\p{XDigit}": "[:xdigit:]",
}  # fmt: skip


def re2(pattern: str, call: Call, at: int) -> str:
    """A pattern of Java's as RE2 reads it. Refuses one that RE2 has nothing for."""
    found = _UNKNOWN.search(pattern)
    if found:
        unsupported(
            call.nodes[at],
            f"{found[0].lstrip(chr(92))!r} in a pattern (lookaround, back references and possessive quantifiers)",
        )
    pattern = re.sub(r"\(\?<([A-Za-z]\w*)>", r"(?P<\1>", pattern).replace(r"\Z", r"\z").replace(r"\h", r"[ \t]")
    for java, posix in _CLASSES.items():
        within = re.sub(r"(\[[^\]]*)" + re.escape(java), r"\g<1>" + posix, pattern)
        pattern = within.replace(java, f"[{posix}]")
    try:
        re.compile(re.sub(r"\[:\w+:\]|\\p\{\w+\}|\\[zQEx]", "a", pattern))
    except re.error as error:
        fail("INVALID_FUNCTION_ARGUMENT", call.nodes[at], f"Invalid pattern: {error}")
    return pattern


def _pattern(call: Call, at: int = 1) -> str:
    value = call.of_type(at, VARCHAR)
    return text(re2(value.constant, call, at)) if isinstance(value.constant, str) else value.sql


def _group(call: Call, at: int) -> int:
    value = call.value(at)
    if not isinstance(value.constant, int):
        fail("INVALID_FUNCTION_ARGUMENT", call.nodes[at], f"The group of {call.shown} must be a literal")
    pattern = call.value(1).constant
    if isinstance(pattern, str):
        groups = len(re.findall(r"(?<!\\)\((?!\?(?!P?<[A-Za-z]))", pattern))
        if not 0 <= value.constant <= groups:
            fail(
                "INVALID_FUNCTION_ARGUMENT",
                call.nodes[at],
                f"Pattern has {groups} groups. Cannot access group {value.constant}",
            )
    return value.constant


def _like(call: Call) -> Value:
    call.counts(2)
    return Value(f"regexp_matches({call.of_type(0, VARCHAR).sql}, {_pattern(call)})", BOOLEAN)


def _extract(call: Call) -> Value:
    call.counts(2, 3)
    value, pattern = call.of_type(0, VARCHAR).sql, _pattern(call)
    group = _group(call, 2) if len(call) == 3 else 0
    return Value(
        f"CASE WHEN regexp_matches({value}, {pattern}) THEN regexp_extract({value}, {pattern}, {group}) END", VARCHAR
    )


def _extract_all(call: Call) -> Value:
    call.counts(2, 3)
    group = _group(call, 2) if len(call) == 3 else 0
    return Value(f"regexp_extract_all({call.of_type(0, VARCHAR).sql}, {_pattern(call)}, {group})", array(VARCHAR))


def _replace(call: Call) -> Value:
    call.counts(2, 3)
    value, pattern = call.of_type(0, VARCHAR).sql, _pattern(call)
    if len(call) == 3 and isinstance(call.nodes[2], exp.Lambda):
        return _replaced_by(call, value, pattern)
    if len(call) == 2:
        return Value(f"regexp_replace({value}, {pattern}, '', 'g')", VARCHAR)
    said = call.text_of(2, "The replacement")
    return Value(f"regexp_replace({value}, {pattern}, {text(_replacement(said, call))}, 'g')", VARCHAR)


def _replaced_by(call: Call, value: str, pattern: str) -> Value:
    """What a lambda makes of the groups of each match. As in Trino all is NULL once it makes NULL of one."""
    said = call.value(1).constant
    if not isinstance(said, str):
        unsupported(call.nodes[1], "a pattern that is no literal, where the replacement is a lambda")
    names, body = call.lambda_of(2, [array(VARCHAR)])
    if body.type.name not in ("varchar", "unknown"):
        call.unexpected(f"a lambda that results in varchar, not {body.type}")
    groups = re.compile(re.sub(r"\[:\w+:\]|\\p\{\w+\}|\\[zQEx]", "a", re2(said, call, 1))).groups
    found = ", ".join(f"g{at} := regexp_extract_all({value}, {pattern}, {at})" for at in range(groups + 1))
    of_match = f"CAST([{', '.join(f'_r.g{at}[_i]' for at in range(1, groups + 1))}] AS VARCHAR[])"
    of_each = f"list_transform([{of_match}], lambda {names}: {body.sql})[1]"
    made = f"list_transform(range(1, len(_r.g0) + 1), lambda _i: {of_each})"
    pieces = "list_transform(range(1, len(_r.s) + 1), lambda _i: concat(_r.s[_i], _m[_i]))"
    joined = (
        f"CASE WHEN len(_m) = len(list_filter(_m, lambda _x: _x IS NOT NULL)) THEN array_to_string({pieces}, '') END"
    )
    rows = f"[struct_pack(s := regexp_split_to_array({value}, {pattern}), {found})]"
    return Value(f"list_transform({rows}, lambda _r: list_transform([{made}], lambda _m: {joined})[1])[1]", VARCHAR)


def _replacement(said: str, call: Call) -> str:
    """A replacement of Java's, `$1` and `\\$`, as RE2 reads it."""
    found, at = "", 0
    pattern = call.value(1).constant
    names = re.findall(r"\(\?P?<([A-Za-z]\w*)>|(?<!\\)(\()(?!\?)", pattern) if isinstance(pattern, str) else []
    while at < len(said):
        sign = said[at]
        if sign == "\\" and at + 1 < len(said):
            found += "\\\\" if said[at + 1] == "\\" else said[at + 1]
            at += 2
        elif sign == "$":
            group = re.match(r"\$(?:(\d)|\{(\w+)\})", said[at:])
            if group is None:
                fail("INVALID_FUNCTION_ARGUMENT", call.nodes[2], "Illegal replacement sequence: $ must name a group")
            number = (
                int(group[1])
                if group[1]
                else [name for name, _ in names].index(group[2]) + 1
                if group[2] in [n for n, _ in names]
                else -1
            )
            if number < 0:
                fail(
                    "INVALID_FUNCTION_ARGUMENT",
                    call.nodes[2],
                    f"Illegal replacement sequence: unknown group {{ {group[2]} }}",
                )
            found += f"\\{number}"
            at += group.end()
        else:
            found, at = found + ("\\\\" if sign == "\\" else sign), at + 1
    return found


def _split(call: Call) -> Value:
    call.counts(2)
    return Value(f"regexp_split_to_array({call.of_type(0, VARCHAR).sql}, {_pattern(call)})", array(VARCHAR))


def _count(call: Call) -> Value:
    call.counts(2)
    return Value(f"CAST(len(regexp_extract_all({call.of_type(0, VARCHAR).sql}, {_pattern(call)})) AS BIGINT)", BIGINT)


def _position(call: Call) -> Value:
    call.counts(2)
    value, pattern = call.of_type(0, VARCHAR).sql, _pattern(call)
    before = f"length(regexp_split_to_array({value}, {pattern})[1])"
    sql = f"CASE WHEN regexp_matches({value}, {pattern}) THEN {before} + 1 WHEN {value} IS NOT NULL THEN -1 END"
    return Value(f"CAST({sql} AS BIGINT)", BIGINT)


HANDLERS: dict[str, Handler] = {
    "regexp_like": _like, "regexp_extract": _extract, "regexp_extract_all": _extract_all, "regexp_replace": _replace,
    "regexp_split": _split, "regexp_count": _count, "regexp_position": _position,
}  # fmt: skip
