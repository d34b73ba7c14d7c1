"""Functions of maps."""

from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.scopes import field_at
from clary.systems.athena.select.types import BOOLEAN, UNKNOWN, array, map_of, row
from clary.systems.athena.select.values import Value

SIGNATURES = """
    map_keys(map(K, V)) -> array(K): map_keys({0})
    map_values(map(K, V)) -> array(V): map_values({0})
    map_concat(map(K, V), map(K, V)...) -> map(K, V): map_concat({all})
"""
_ENTRIES = "list_transform(map_entries({0}), lambda _e: {1})"


def _map(call: Call) -> Value:
    call.counts(0, 2)
    if not len(call):
        return Value("CAST(MAP() AS MAP(INTEGER, INTEGER))", map_of(UNKNOWN, UNKNOWN))
    keys, values = call.values()
    if keys.type.name != "array" or values.type.name != "array":
        call.unexpected("map(array(K), array(V))")
    kind = map_of(keys.type.children[0], values.type.children[0])
    return Value(f"trino_map({keys.sql}, {values.sql})", kind)


def _from_entries(call: Call) -> Value:
    call.counts(1)
    value = call.value(0)
    entry = value.type.children[0] if value.type.name == "array" else value.type
    if entry.name != "row" or len(entry.children) != 2:
        call.unexpected(f"{call.shown}(array(row(K, V)))")
    key, held = (field_at(Value("_e", entry), at).sql for at in (0, 1))
    entries = f"list_transform({value.sql}, lambda _e: struct_pack(k := {key}, v := {held}))"
    if call.name == "map_from_entries":
        return Value(f"trino_map_from_entries({entries})", map_of(*entry.children))
    return Value(f"trino_multimap_of({entries})", map_of(entry.children[0], array(entry.children[1])))


def _of(call: Call, at: int = 0) -> Value:
    value = call.value(at)
    if value.type.name != "map":
        call.unexpected(f"{call.shown} of a map")
    return value


def _entries(call: Call) -> Value:
    call.counts(1)
    value = _of(call)
    packed = "struct_pack(field0 := _e.key, field1 := _e.value)"
    return Value(_ENTRIES.format(value.sql, packed), array(row(*value.type.children)))


def _each(call: Call) -> tuple[Value, Value, str]:
    """The map, the lambda's body for key and value, and that body for an entry `_e`."""
    call.counts(2)
    value = _of(call)
    names, body = call.lambda_of(1, value.type.children)
    key, held = names.split(", ")
    inner = f"list_transform([_e.value], lambda {held}: {body.sql})[1]"
    return value, body, f"list_transform([_e.key], lambda {key}: {inner})[1]"


def _filter(call: Call) -> Value:
    value, body, condition = _each(call)
    if body.type not in (BOOLEAN, UNKNOWN):
        call.unexpected("map_filter(map(K, V), function(K, V, boolean))")
    return Value(f"map_from_entries(list_filter(map_entries({value.sql}), lambda _e: {condition}))", value.type)


def _transform_keys(call: Call) -> Value:
    value, body, key = _each(call)
    packed = f"struct_pack(k := {key}, v := _e.value)"
    return Value(
        f"trino_map_from_entries({_ENTRIES.format(value.sql, packed)})", map_of(body.type, value.type.children[1])
    )


def _transform_values(call: Call) -> Value:
    value, body, held = _each(call)
    packed = f"struct_pack(k := _e.key, v := {held})"
    return Value(f"map_from_entries({_ENTRIES.format(value.sql, packed)})", map_of(value.type.children[0], body.type))


def _zip_with(call: Call) -> Value:
    call.counts(3)
    one, other = _of(call), _of(call, 1)
    key = one.type.children[0]
    names, body = call.lambda_of(2, [key, one.type.children[1], other.type.children[1]])
    first, second, third = names.split(", ")
    inner = body.sql
    for name, held in ((third, f"({other.sql})[_k]"), (second, f"({one.sql})[_k]"), (first, "_k")):
        inner = f"list_transform([{held}], lambda {name}: {inner})[1]"
    keys = f"trino_distinct(list_concat(map_keys({one.sql}), map_keys({other.sql})))"
    pairs = f"list_transform({keys}, lambda _k: struct_pack(k := _k, v := {inner}))"
    return Value(f"map_from_entries({pairs})", map_of(key, body.type))


HANDLERS: dict[str, Handler] = {
    "map": _map, "map_entries": _entries, "map_filter": _filter, "transform_keys": _transform_keys,
    "transform_values": _transform_values, "map_from_entries": _from_entries,
    "multimap_from_entries": _from_entries, "map_zip_with": _zip_with,
}  # fmt: skip
