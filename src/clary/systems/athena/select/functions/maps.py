"""Functions of maps."""

from clary.systems.athena.select.functions.calls import Call, Handler
from clary.systems.athena.select.types import UNKNOWN, map_of
from clary.systems.athena.select.values import Value

SIGNATURES = """
    map_keys(map(K, V)) -> array(K): map_keys({0})
    map_values(map(K, V)) -> array(V): map_values({0})
"""


def _map(call: Call) -> Value:
    call.counts(0, 2)
    if not len(call):
        return Value("CAST(MAP() AS MAP(INTEGER, INTEGER))", map_of(UNKNOWN, UNKNOWN))
    keys, values = call.values()
    if keys.type.name != "array" or values.type.name != "array":
        call.unexpected("map(array(K), array(V))")
    kind = map_of(keys.type.children[0], values.type.children[0])
    return Value(f"trino_map({keys.sql}, {values.sql})", kind)


HANDLERS: dict[str, Handler] = {"map": _map}
