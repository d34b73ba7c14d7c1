"""Changes of a table's columns, as Iceberg allows them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyiceberg.exceptions import ValidationError
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.types import DecimalType, DoubleType, FloatType, IcebergType, IntegerType, LongType

from clary.lake.iceberg.commits import Prepare, Update
from clary.lake.iceberg.tables import IcebergTable, Refused
from clary.lake.iceberg.types import iceberg_type, lake_type
from clary.lake.tables import Column
from clary.lake.types import Type

_PROMOTIONS: Mapping[type[IcebergType], type[IcebergType]] = {IntegerType: LongType, FloatType: DoubleType}


def add_columns(columns: Sequence[Column]) -> Prepare:
    """Adds columns behind the others."""

    def how(table: IcebergTable, update: UpdateSchema) -> None:
        there = {field.name.lower() for field in table.schema.fields}
        for column in columns:
            if column.name.lower() in there:
                raise Refused(f"Column already exists: {column.name}")
            # Its own numbers are given to what is inside.
            update.add_column(column.name, iceberg_type(column.type, lambda: 1), column.comment or None)

    return _changed(how)


def drop_column(name: str) -> Prepare:
    """Drops a column, unless the table is partitioned by it, or was."""

    def how(table: IcebergTable, update: UpdateSchema) -> None:
        found = _column(table, name)
        number = table.schema.find_field(found).field_id
        if any(part.source_id == number for spec in table.metadata.partition_specs for part in spec.fields):
            raise Refused(f"Cannot drop partition field: {name}")
        if len(table.schema.fields) == 1:
            raise Refused("Cannot drop the only column in a table")
        update.delete_column(found)

    return _changed(how)


def change_column(
    old: str, column: Column, *, comment: bool = False, first: bool = False, after: str | None = None
) -> Prepare:
    """Renames a column, makes its type wider, moves it, and writes its comment if `comment`.

    An int may become a bigint, a float a double, a decimal one of more digits.
    """

    def how(table: IcebergTable, update: UpdateSchema) -> None:
        found = _column(table, old)
        field = table.schema.find_field(found)
        wanted = _wider(field.field_type, column.type)
        if wanted is not None or comment:
            update.update_column(found, field_type=wanted, doc=column.comment if comment else None)
        if first:
            update.move_first(found)
        elif after is not None:
            update.move_after(found, _column(table, after))
        if column.name.lower() != found.lower():
            if any(each.name.lower() == column.name.lower() for each in table.schema.fields):
                raise Refused(f"Column already exists: {column.name}")
            update.rename_column(found, column.name)

    return _changed(how)


def replace_columns(columns: Sequence[Column]) -> Prepare:
    """Has a table's columns be these, by their names: drops others, adds new ones, makes types wider."""

    def how(table: IcebergTable, update: UpdateSchema) -> None:
        wanted = {column.name.lower(): column for column in columns}
        for field in table.schema.fields:
            column = wanted.pop(field.name.lower(), None)
            if column is None:
                update.delete_column(field.name)
                continue
            wider = _wider(field.field_type, column.type)
            if wider is not None:
                update.update_column(field.name, field_type=wider)
        for column in wanted.values():
            update.add_column(column.name, iceberg_type(column.type, lambda: 1), column.comment or None)

    return _changed(how)


def is_alike(one: Type, other: Type) -> bool:
    """Whether two types are one in Iceberg: the catalog's words say less of a timestamp, and more of a text."""
    return _plain(one) == _plain(other)


def _changed(how: Callable[[IcebergTable, UpdateSchema], None]) -> Prepare:
    def prepare(table: IcebergTable) -> Update:
        made: Any = Table
        transaction = Transaction(made((table.database, table.name), table.metadata, table.location, table.io, None))
        try:
            with transaction.update_schema() as update:
                how(table, update)
        except (ValueError, ValidationError) as error:
            raise Refused(str(error)) from error
        return Update(transaction._updates)

    return prepare


def _column(table: IcebergTable, name: str) -> str:
    found = _named(table.schema, name)
    if found is None:
        raise Refused(f"Column does not exist: {name}")
    return found


def _named(schema: Schema, name: str) -> str | None:
    return next((field.name for field in schema.fields if field.name.lower() == name.lower()), None)


def _wider(of: IcebergType, wanted: Type) -> Any:
    """The type that a column is to have where it is another one. Raises Refused for one that it cannot have."""
    if is_alike(lake_type(of), wanted):
        return None
    target = iceberg_type(wanted, lambda: 1)
    fits = (
        isinstance(of, DecimalType)
        and isinstance(target, DecimalType)
        and of.scale == target.scale
        and of.precision <= target.precision
    )
    if fits or _PROMOTIONS.get(type(of)) is type(target):
        return target
    raise Refused(f"Cannot change column type: {of} -> {target}")


def _plain(of: Type) -> str:
    return re.sub(r"\bvarchar\(\d+\)", "string", str(of).replace("timestamp(6)", "timestamp"))
