"""ALTER TABLE, in all its forms."""

from collections.abc import Callable

from clary.systems.athena.language.hive_types import (
    column,
    column_list,
    comparisons,
    identifier,
    properties,
    specification,
)
from clary.systems.athena.language.statements import (
    AddColumns,
    AddPartitions,
    ChangeColumn,
    DropColumn,
    DropPartitions,
    Name,
    NewPartition,
    RenamePartition,
    RenameTable,
    ReplaceColumns,
    SetLocation,
    SetSerDe,
    SetTableProperties,
    Specification,
    Statement,
    UnsetTableProperties,
)
from clary.systems.athena.language.tokens import Cursor

_RULE = "alter table statement"


def alter_table(cursor: Cursor, text: str, name: Name, table_name: Callable[[Cursor], Name]) -> Statement:
    """What follows ALTER TABLE and its name."""
    if cursor.is_word("partition"):
        return _of_partition(cursor, text, name, specification(cursor))
    if cursor.is_word("add", "columns"):
        return _columns(cursor, text, name, None)
    if cursor.words("add"):
        return _add_partitions(cursor, text, name)
    if cursor.words("drop", "column"):
        return DropColumn(text=text, name=name, column=identifier(cursor))
    if cursor.words("drop"):
        return _drop_partitions(cursor, text, name)
    if cursor.words("rename", "to"):
        return RenameTable(text=text, name=name, to=table_name(cursor))
    if cursor.words("set", "tblproperties"):
        return SetTableProperties(text=text, name=name, properties=properties(cursor))
    if cursor.words("unset", "tblproperties"):
        return _unset(cursor, text, name)
    return _either(cursor, text, name, None)


def _of_partition(cursor: Cursor, text: str, name: Name, partition: Specification) -> Statement:
    if cursor.words("rename", "to"):
        return RenamePartition(text=text, name=name, partition=partition, to=specification(cursor))
    return _either(cursor, text, name, partition)


def _either(cursor: Cursor, text: str, name: Name, partition: Specification | None) -> Statement:
    """What a table and a partition of it may both be told."""
    if cursor.is_word("add", "columns") or cursor.is_word("replace", "columns"):
        return _columns(cursor, text, name, partition)
    if cursor.words("change"):
        return _change(cursor, text, name, partition)
    if cursor.words("set", "location"):
        return SetLocation(text=text, name=name, location=cursor.literal(), partition=partition)
    if cursor.words("set", "serdeproperties"):
        return SetSerDe(text=text, name=name, properties=properties(cursor), partition=partition)
    if cursor.words("set", "serde"):
        serde = cursor.literal()
        given = properties(cursor) if cursor.words("with", "serdeproperties") else {}
        return SetSerDe(text=text, name=name, serde=serde, properties=given, partition=partition)
    cursor.not_recognized(_RULE)


def _columns(cursor: Cursor, text: str, name: Name, partition: Specification | None) -> Statement:
    kind = AddColumns if cursor.words("add") else ReplaceColumns
    if kind is ReplaceColumns:
        cursor.expect("replace")
    cursor.expect("columns")
    return kind(text=text, name=name, columns=column_list(cursor), partition=partition)


def _change(cursor: Cursor, text: str, name: Name, partition: Specification | None) -> Statement:
    cursor.words("column")
    old = identifier(cursor)
    changed = column(cursor)
    first = cursor.words("first")
    after = identifier(cursor) if not first and cursor.words("after") else None
    return ChangeColumn(
        text=text, name=name, old=old, column=changed, first=first, after=after, partition=partition
    )  # fmt: skip


def _add_partitions(cursor: Cursor, text: str, name: Name) -> Statement:
    if_not_exists = cursor.words("if", "not", "exists")
    if not cursor.is_word("partition"):
        cursor.fail_at_next("PARTITION", "COLUMNS", rule=_RULE)
    partitions: list[NewPartition] = []
    while cursor.is_word("partition"):
        values = specification(cursor)
        partitions.append(NewPartition(values, cursor.literal() if cursor.words("location") else None))
    return AddPartitions(text=text, name=name, partitions=tuple(partitions), if_not_exists=if_not_exists)


def _drop_partitions(cursor: Cursor, text: str, name: Name) -> Statement:
    if_exists = cursor.words("if", "exists")
    if not cursor.is_word("partition"):
        cursor.fail_at_next("PARTITION", "COLUMN", rule=_RULE)
    partitions = [comparisons(cursor)]
    while cursor.sign(","):
        partitions.append(comparisons(cursor))
    cursor.words("purge")
    return DropPartitions(text=text, name=name, partitions=tuple(partitions), if_exists=if_exists)


def _unset(cursor: Cursor, text: str, name: Name) -> Statement:
    if_exists = cursor.words("if", "exists")
    cursor.expect_sign("(")
    names = [cursor.literal()]
    while cursor.sign(","):
        names.append(cursor.literal())
    cursor.expect_sign(")")
    return UnsetTableProperties(text=text, name=name, properties=tuple(names), if_exists=if_exists)
