"""Types of Iceberg as the lake's own, and the other way."""

from collections.abc import Callable
from typing import Any

from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampNanoType,
    TimestampType,
    TimestamptzNanoType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from clary.lake.types import Type

_PLAIN: dict[type[IcebergType], Type] = {
    BooleanType: Type("boolean"), IntegerType: Type("int"), LongType: Type("bigint"), FloatType: Type("float"),
    DoubleType: Type("double"), StringType: Type("string"), BinaryType: Type("binary"), FixedType: Type("binary"),
    DateType: Type("date"), TimestampType: Type("timestamp", (6,)), TimestamptzType: Type("timestamptz"),
    TimestampNanoType: Type("timestamp", (6,)), TimestamptzNanoType: Type("timestamptz"), TimeType: Type("time"),
    UUIDType: Type("uuid"),
}  # fmt: skip
_ICEBERG: dict[str, Callable[[], IcebergType]] = {
    "boolean": BooleanType, "tinyint": IntegerType, "smallint": IntegerType, "int": IntegerType, "bigint": LongType,
    "float": FloatType, "double": DoubleType, "string": StringType, "char": StringType, "varchar": StringType,
    "binary": BinaryType, "date": DateType, "timestamp": TimestampType, "timestamptz": TimestamptzType,
    "time": TimeType, "uuid": UUIDType,
}  # fmt: skip
_CATALOG = {"timestamp": "timestamp", "timestamptz": "timestamp", "time": "string", "uuid": "string"}


def lake_type(of: IcebergType) -> Type:
    """A type of Iceberg as the lake has it. Raises ValueError for one that is not known."""
    if isinstance(of, StructType):
        return Type("struct", (), tuple(lake_type(each.field_type) for each in of.fields), _names(of))
    if isinstance(of, ListType):
        return Type("array", children=(lake_type(of.element_type),))
    if isinstance(of, MapType):
        return Type("map", children=(lake_type(of.key_type), lake_type(of.value_type)))
    if isinstance(of, DecimalType):
        return Type("decimal", (of.precision, of.scale))
    found = _PLAIN.get(type(of))
    if found is None:
        raise ValueError(f"the type {of} of Iceberg is not supported")
    return found


def iceberg_type(of: Type, fresh: Callable[[], int]) -> IcebergType:
    """The type of Iceberg for one of the lake; `fresh` gives the ids of the fields inside, all of them optional."""
    if of.name == "struct":
        fields = [
            NestedField(fresh(), name, iceberg_type(child, fresh), required=False)
            for name, child in zip(of.names, of.children, strict=True)
        ]
        return StructType(*fields)
    if of.name == "array":
        return ListType(fresh(), iceberg_type(of.children[0], fresh), element_required=False)
    if of.name == "map":
        key, value = fresh(), fresh()
        return MapType(key, iceberg_type(of.children[0], fresh), value, iceberg_type(of.children[1], fresh), False)
    if of.name == "decimal":
        return DecimalType(*of.numbers)
    return _ICEBERG[of.name]()


def catalog_type(of: Type) -> str:
    """The type as the Glue catalog names it, which knows fewer."""
    if of.name == "struct":
        fields = (f"{name}:{catalog_type(child)}" for name, child in zip(of.names, of.children, strict=True))
        return f"struct<{','.join(fields)}>"
    if of.children:
        return f"{of.name}<{','.join(map(catalog_type, of.children))}>"
    return _CATALOG.get(of.name) or str(of)


def field_ids(of: IcebergType) -> Any:
    """The ids of the fields inside a type, as DuckDB's COPY wants them: by name, nested; None where there are none."""
    if isinstance(of, StructType):
        return {each.name: with_id(each.field_id, each.field_type) for each in of.fields}
    if isinstance(of, ListType):
        return {"element": with_id(of.element_id, of.element_type)}
    if isinstance(of, MapType):
        return {"key": with_id(of.key_id, of.key_type), "value": with_id(of.value_id, of.value_type)}
    return None


def with_id(number: int, of: IcebergType) -> Any:
    """The id of a field, with those inside it, as DuckDB's COPY wants them."""
    inside = field_ids(of)
    return number if inside is None else {"__duckdb_field_id": number} | inside


def _names(of: StructType) -> tuple[str, ...]:
    return tuple(each.name for each in of.fields)
