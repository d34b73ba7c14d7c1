"""The functions of JSON that the SQL standard has: json_value, json_query, json_exists, json_object, json_array.

`json_syntax` tells what their nodes hold. A call whose document is NULL is NULL, whatever is said of errors.
"""

from sqlglot import exp

from clary.systems.athena.select.casts import as_text, cast, castable, coerced
from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.functions.json_paths import sequence
from clary.systems.athena.select.type_names import type_of
from clary.systems.athena.select.types import BOOLEAN, DOUBLE, JSON, VARBINARY, VARCHAR, T, duckdb
from clary.systems.athena.select.values import Value, checked, fail, mismatch, text, unsupported

SIGNATURES = ""
_RESULT = {"json_value": "cannot extract SQL scalar from JSON", "json_query": "cannot extract value from JSON"}
_MAKERS = ("json_query", "json_object", "json_array")


def _said(call: Call, name: str, otherwise: str = "") -> str:
    """A word that a call says, in capitals."""
    found = call.node.args.get(name)
    return str(found.this) if isinstance(found, exp.Var) else otherwise


def _allowed(call: Call, **words: tuple[str, ...]) -> None:
    """Fail where a call says something that only its sisters have."""
    for name in ("returning", "wrapper", "quotes", "on_empty", "on_error"):
        found = call.node.args.get(name)
        if found is not None and name not in words:
            fail("SYNTAX_ERROR", call.node, f"{call.shown} has no {name.upper().replace('_', ' ')}")
        if isinstance(found, exp.Expr) and words.get(name):
            said = _said(call, name, "DEFAULT")
            if said not in words[name]:
                fail("SYNTAX_ERROR", found, f"{call.shown} has no {said} {name.upper().replace('_', ' ')}")


def _document(call: Call, at: int = 0) -> Value:
    """An argument that is JSON, or a text or bytes of it, as a text."""
    value = call.value(at)
    if value.type == VARBINARY:
        return Value(f"decode({value.sql})", VARCHAR)
    if value.type != JSON and not value.type.is_text and value.type.name != "unknown":
        call.unexpected(f"a text, bytes or JSON at place {at + 1}")
    return coerced(value, VARCHAR) if value.type != JSON else value


def _followed(call: Call, found: str, wrong: str) -> Value:
    """SQL that a call's sequence of items, `_s`, goes into; `wrong` stands where there is none."""
    call.counts(2)
    document = _document(call)
    items = sequence(call.text_of(1, "The path"), "_d", call)
    unread = "_d IS NOT NULL AND NOT json_valid(_d)"
    sql = (
        f"list_transform([{document.sql}], lambda _d: CASE WHEN _d IS NULL THEN NULL WHEN {unread} THEN {wrong} "
        f"ELSE list_transform([{items}], lambda _s: {found})[1] END)[1]"
    )
    return Value(sql, document.type)


def _failing(code: str, message: str, kind: T) -> str:
    return checked("TRUE", text(f"{code}: {message}"), f"CAST(NULL AS {duckdb(kind)})")


def _exists(call: Call) -> Value:
    _allowed(call, on_error=("TRUE", "FALSE", "UNKNOWN", "ERROR"))
    word = _said(call, "on_error", "FALSE")
    failed = _failing("PATH_EVALUATION_ERROR", "path evaluation failed: structural error", BOOLEAN)
    unread = _failing("JSON_INPUT_CONVERSION_ERROR", "conversion to JSON failed", BOOLEAN)
    if word != "ERROR":
        failed = unread = {"UNKNOWN": "CAST(NULL AS BOOLEAN)"}.get(word, word)
    return Value(_followed(call, f"CASE WHEN _s IS NULL THEN {failed} ELSE len(_s) > 0 END", unread).sql, BOOLEAN)


def _instead(call: Call, name: str, kind: T) -> str | None:
    """SQL of what stands in place of a result, None for an error."""
    found = call.node.args.get(name)
    if found is not None and not isinstance(found, exp.Var):
        if found.find(exp.Select) is not None:
            unsupported(found, f"a subquery in DEFAULT of {call.shown}")
        return cast(call.expressions.typed(found), kind, found).sql
    word = _said(call, name, "NULL")
    if word == "ERROR":
        return None
    made = {"EMPTY ARRAY": "'[]'", "EMPTY": "'[]'", "EMPTY OBJECT": "'{}'", "NULL": "NULL"}[word]
    return f"CAST({_returned(made, kind)} AS {duckdb(kind)})" if made != "NULL" else f"CAST(NULL AS {duckdb(kind)})"


def _result(call: Call, kind: T, one: str, other: str = "") -> Value:
    """What a call makes of `_s`: `one` of a single item, `_s[1]`, which fails or is a value, and `other` of several."""
    empty, wrong = _instead(call, "on_empty", kind), _instead(call, "on_error", kind)
    what = _RESULT[call.name]
    if empty is None:
        empty = _failing(f"{call.name.upper()}_RESULT_ERROR", f"{what}: JSON path found no items", kind)
    many = wrong or _failing(f"{call.name.upper()}_RESULT_ERROR", f"{what}: JSON path found multiple items", kind)
    failed = wrong or _failing("PATH_EVALUATION_ERROR", "path evaluation failed: structural error", kind)
    unread = wrong or _failing("JSON_INPUT_CONVERSION_ERROR", "conversion to JSON failed", kind)
    found = (
        f"CASE WHEN _s IS NULL THEN {failed} WHEN len(_s) = 0 THEN {empty} WHEN len(_s) > 1 THEN {other or many} "
        f"ELSE {one} END"
    )
    return Value(_followed(call, found, unread).sql, kind)


def _value(call: Call) -> Value:
    words = ("ERROR", "NULL", "DEFAULT")
    _allowed(call, returning=(), on_empty=words, on_error=words)
    kind = _returning(call, VARCHAR)
    if kind.children or not castable(VARCHAR, kind) or kind in (JSON, VARBINARY):
        fail("TYPE_MISMATCH", call.node, f"Invalid return type of function JSON_VALUE: {kind}")
    scalar = _scalar(kind)
    wrong = _instead(call, "on_error", kind)
    no_scalar = _failing("JSON_VALUE_RESULT_ERROR", f"{_RESULT['json_value']}: JSON path found an item that cannot be "
                         "converted to an SQL value", kind)  # fmt: skip
    made = scalar if wrong is None else f"coalesce(TRY({scalar}), {wrong})"
    one = (
        f"CASE json_type(_s[1]) WHEN 'NULL' THEN NULL WHEN 'OBJECT' THEN {wrong or no_scalar} "
        f"WHEN 'ARRAY' THEN {wrong or no_scalar} ELSE {made} END"
    )
    return _result(call, kind, one)


def _scalar(kind: T) -> str:
    """SQL of the scalar `_s[1]`, which is not null, as a type; it fails where there is no cast."""
    said = Value("json_extract_string(_s[1], '$')", VARCHAR)
    node = exp.null()
    parsed = cast(said, kind, node).sql
    if kind.is_text or not castable(DOUBLE, kind):
        return parsed
    told = cast(Value(f"CAST({said.sql} AS BOOLEAN)", BOOLEAN), kind, node).sql
    fraction = cast(Value(f"CAST({said.sql} AS DOUBLE)", DOUBLE), kind, node).sql
    number = parsed if kind.name in ("decimal", "double", "real") else fraction
    return (
        f"CASE json_type(_s[1]) WHEN 'BOOLEAN' THEN {told} WHEN 'DOUBLE' THEN {number} "
        f"WHEN 'VARCHAR' THEN {parsed} ELSE {fraction if kind == BOOLEAN else parsed} END"
    )


def _query(call: Call) -> Value:
    words = ("ERROR", "NULL", "EMPTY ARRAY", "EMPTY", "EMPTY OBJECT")
    _allowed(call, returning=(), wrapper=(), quotes=(), on_empty=words, on_error=words)
    kind = _returned_type(call)
    wrapper, wrapped = _said(call, "wrapper", "WITHOUT"), "'[' || array_to_string(_s, ',') || ']'"
    one = "_s[1]"
    if _said(call, "quotes") == "OMIT":
        if wrapper != "WITHOUT":
            fail("INVALID_FUNCTION_ARGUMENT", call.node,
                 f"OMIT QUOTES behavior specified with WITH {wrapper} ARRAY WRAPPER behavior")  # fmt: skip
        one = "CASE WHEN json_type(_s[1]) = 'VARCHAR' THEN json_extract_string(_s[1], '$') ELSE _s[1] END"
    if wrapper == "WITHOUT":
        return _result(call, kind, _returned(one, kind))
    if wrapper == "CONDITIONAL":
        one = f"CASE WHEN json_type(_s[1]) IN ('OBJECT', 'ARRAY') THEN _s[1] ELSE {wrapped} END"
    else:
        one = wrapped
    return _result(call, kind, _returned(one, kind), _returned(wrapped, kind))


def _returning(call: Call, otherwise: T) -> T:
    found = call.node.args.get("returning")
    return type_of(found) if found is not None else otherwise


def _returned_type(call: Call) -> T:
    kind = _returning(call, VARCHAR)
    if not kind.is_text and kind != VARBINARY:
        fail("TYPE_MISMATCH", call.node, f"Cannot output JSON value as {kind} using formatting JSON")
    return kind


def _returned(sql: str, kind: T) -> str:
    return cast(Value(sql, VARCHAR), kind, exp.null()).sql


def _made(call: Call, at: int) -> str:
    """SQL of the text of JSON that an argument of json_object or json_array is; NULL where that is NULL."""
    value, node = call.value(at), call.nodes[at]
    places = call.node.args.get("formatted")
    if places is not None and any(int(each.this) == at for each in places.expressions):
        return f"trino_json_said({_document(call, at).sql})"
    maker = isinstance(node, exp.Anonymous) and node.name.lower() in _MAKERS
    if value.type == JSON or (maker and value.type.is_text):
        return value.sql
    if value.type.name == "unknown":
        return "CAST(NULL AS VARCHAR)"
    if value.type.is_number or value.type.is_text or value.type == BOOLEAN:
        return cast(value, JSON, node).sql
    if not castable(value.type, VARCHAR) or value.type.children:
        mismatch(node, f"Cannot cast {value.type} to varchar")
    return f"trino_to_json({as_text(value)})"


def _array(call: Call) -> Value:
    kind = _returned_type(call)
    items = [_made(call, at) for at in range(len(call))]
    if _said(call, "null", "ABSENT") == "NULL":
        items = [f"coalesce({each}, 'null')" for each in items]
    return Value(_returned(f"'[' || {_joined(items)} || ']'", kind), kind)


def _object(call: Call) -> Value:
    kind = _returned_type(call)
    keys = [call.of_type(at, VARCHAR).sql for at in range(0, len(call), 2)]
    values = [_made(call, at) for at in range(1, len(call), 2)]
    if _said(call, "null", "NULL") == "NULL":
        values = [f"coalesce({each}, 'null')" for each in values]
    pairs = [
        f"CAST(to_json(trino_json_key({key})) AS VARCHAR) || ':' || {value}"
        for key, value in zip(keys, values, strict=True)
    ]
    sql = f"'{{' || {_joined(pairs)} || '}}'"
    if _said(call, "unique") == "WITH" and keys:
        if call.node.args.get("formatted") is not None:
            fail("NOT_SUPPORTED", call.node, "WITH UNIQUE KEYS behavior is not supported for FORMAT JSON input values")
        twice = f"list_unique([{', '.join(keys)}]) < {len(keys)}"
        sql = checked(twice, "'INVALID_FUNCTION_ARGUMENT: duplicate key passed to JSON_OBJECT function'", sql)
    return Value(_returned(sql, kind), kind)


def _joined(texts: list[str]) -> str:
    return f"array_to_string(CAST([{', '.join(texts)}] AS VARCHAR[]), ',')"


HANDLERS: dict[str, Handler] = {
    "json_value": _value, "json_query": _query, "json_exists": _exists, "json_object": _object, "json_array": _array,
}  # fmt: skip
