"""Functions of JSON that are Trino's own. A value of JSON is held as its text."""

import re

from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.types import BIGINT, BOOLEAN, DOUBLE, JSON, VARCHAR
from clary.systems.athena.select.values import Value, fail, text

SIGNATURES = """
    json_parse(varchar) -> json: trino_json_parse({0})
    json_format(json) -> varchar: {0}
    json_array_length(json) -> bigint: trino_json_array_length({0})
    json_array_length(varchar) -> bigint: trino_json_array_length({0})
    json_array_get(json, bigint) -> json: trino_json_array_get({0}, {1})
    json_array_get(varchar, bigint) -> json: trino_json_array_get({0}, {1})
    is_json_scalar(json) -> boolean: (json_type({0}) NOT IN ('OBJECT', 'ARRAY'))
    is_json_scalar(varchar) -> boolean: (json_type({0}) NOT IN ('OBJECT', 'ARRAY'))
"""
_STEP = re.compile(r"\.(?:([\w$-]+)|\"([^\"]*)\")|\[(?:(\d+)|\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)')\]")


def pointer(said: str, call: Call, at: int) -> str:
    """A path, `$.store.book[0]["the title"]`, as a pointer, `/store/book/0/the title`. Refuses any other path."""
    path = said.strip()
    for mode in ("lax ", "strict "):
        path = path.removeprefix(mode).strip()
    if path.startswith("$"):
        path = path[1:]
    elif path and path[0] not in ".[":
        path = "." + path
    parts, place = [], 0
    while place < len(path):
        found = _STEP.match(path, place)
        if found is None:
            fail(
                "INVALID_FUNCTION_ARGUMENT",
                call.nodes[at],
                f"Invalid JSON path: '{said}' (what it may have are .name, [0] and [\"name\"])",
            )
        name = next(each for each in found.groups() if each is not None)
        parts.append(re.sub(r"\\(.)", r"\1", name).replace("~", "~0").replace("/", "~1"))
        place = found.end()
    return "".join(f"/{each}" for each in parts)


def _document(call: Call) -> str:
    value = call.value(0)
    if value.type.name not in ("json", "varchar", "char", "unknown"):
        call.unexpected(f"{call.shown}(json, json_path), {call.shown}(varchar, json_path)")
    return value.sql if value.type == JSON else f"trino_json_or_null({value.sql})"


def _path(call: Call) -> str:
    found = pointer(call.text_of(1, "The path"), call, 1)
    return text(found) if found else "'$'"


def _extract(call: Call) -> Value:
    call.counts(2)
    return Value(f"CAST(json_extract({_document(call)}, {_path(call)}) AS VARCHAR)", JSON)


def _extract_scalar(call: Call) -> Value:
    call.counts(2)
    return Value(f"trino_json_scalar_at({_document(call)}, {_path(call)})", VARCHAR)


def _size(call: Call) -> Value:
    call.counts(2)
    return Value(f"trino_json_size(CAST(json_extract({_document(call)}, {_path(call)}) AS VARCHAR))", BIGINT)


def _contains(call: Call) -> Value:
    call.counts(2)
    value = call.value(1)
    document = _document(call)
    if value.type.is_text:
        return Value(f"trino_json_has_text({document}, {value.sql})", BOOLEAN)
    if value.type == BOOLEAN:
        return Value(f"trino_json_has({document}, CAST({value.sql} AS VARCHAR), 'BOOLEAN')", BOOLEAN)
    return Value(f"trino_json_has_number({document}, {call.of_type(1, DOUBLE).sql})", BOOLEAN)


HANDLERS: dict[str, Handler] = {
    "json_extract": _extract, "json_extract_scalar": _extract_scalar, "json_size": _size,
    "json_array_contains": _contains,
}  # fmt: skip
