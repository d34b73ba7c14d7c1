"""Features as columns: what the catalog calls them, and log entries as rows of an Arrow table.

pyarrow is loaded when the first table is made.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.systems.feature_store.offline.layout import FRACTIONAL, INTEGRAL, STRING

WRITE_TIME, INVOCATION_TIME, IS_DELETED = "write_time", "api_invocation_time", "is_deleted"

_HIVE = {INTEGRAL: "bigint", FRACTIONAL: "double", STRING: "string"}
_READ: Mapping[str, Callable[[str], Any]] = {INTEGRAL: int, FRACTIONAL: float, STRING: str}
_ADDED = ((WRITE_TIME, "timestamp"), (INVOCATION_TIME, "timestamp"), (IS_DELETED, "boolean"))
_MICROSECONDS = 1_000_000

Definition = Mapping[str, Any]


def hive_type(definition: Definition) -> str:
    """The type of a feature's column."""
    plain = _HIVE[definition["FeatureType"]]
    return f"array<{plain}>" if definition.get("CollectionType") else plain


def glue_columns(definitions: Sequence[Definition]) -> list[dict[str, str]]:
    """The columns of a group's table: the features as they are defined, then what Feature Store adds."""
    features = [{"Name": each["FeatureName"].lower(), "Type": hive_type(each)} for each in definitions]
    return features + [{"Name": name, "Type": type_} for name, type_ in _ADDED]


def table_of(entries: Sequence[Mapping[str, Any]], definitions: Sequence[Definition], write_time: float) -> Any:
    """Entries of the log as a pyarrow Table in their order; what an entry has no value for is NULL.

    Raises ValueError for a value that is none of its feature's type; PutRecord lets none in.
    """
    import pyarrow as pa

    arrays, fields = [], []
    for each in definitions:
        name, read = each["FeatureName"], _READ[each["FeatureType"]]
        type_ = _arrow_type(each)
        values = [entry["v"].get(name) for entry in entries]
        if each.get("CollectionType"):
            found = [None if texts is None else [read(text) for text in texts] for texts in values]
        else:
            found = [None if text is None else read(text) for text in values]
        arrays.append(pa.array(found, type_))
        fields.append(pa.field(name, type_))
    written = round(write_time * _MICROSECONDS)
    moment = pa.timestamp("us")
    arrays += [
        pa.array([written] * len(entries), moment),
        pa.array([round(entry["a"] * _MICROSECONDS) for entry in entries], moment),
        pa.array([entry["d"] for entry in entries], pa.bool_()),
    ]
    fields += [pa.field(WRITE_TIME, moment), pa.field(INVOCATION_TIME, moment), pa.field(IS_DELETED, pa.bool_())]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _arrow_type(definition: Definition) -> Any:
    import pyarrow as pa

    plain = {INTEGRAL: pa.int64(), FRACTIONAL: pa.float64(), STRING: pa.string()}[definition["FeatureType"]]
    return pa.list_(plain) if definition.get("CollectionType") else plain
