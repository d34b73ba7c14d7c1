"""Hive's DDL, as far as Athena has it: databases, tables, their partitions and columns, and what is told of them."""

from collections.abc import Callable, Mapping
from typing import Any

from clary.systems.athena.language import hive_alter
from clary.systems.athena.language.hive_types import (
    column_list,
    identifier,
    key_list,
    properties,
    specification,
)
from clary.systems.athena.language.statements import (
    AlterDatabaseProperties,
    CreateDatabase,
    CreateTable,
    DatabaseName,
    Describe,
    DescribeDatabase,
    DropDatabase,
    DropTable,
    MsckRepair,
    Name,
    RowFormat,
    ShowColumns,
    ShowCreateTable,
    ShowDatabases,
    ShowFunctions,
    ShowPartitions,
    ShowTableProperties,
    ShowTables,
    ShowViews,
    Statement,
    StoredAs,
)
from clary.systems.athena.language.tokens import END, TEXT, Cursor

_ITEMS_DELIMITER = "colelction.delim"  # Hive's own spelling, which its tables have had ever since


def hive_statement(cursor: Cursor, text: str) -> Statement:
    """The statement of DDL that the cursor stands before. Raises StatementFailed with Hive's ParseException."""
    for words, read in _STATEMENTS.items():
        if cursor.is_word(*words):
            cursor.words(*words)
            statement = read(cursor, text)
            cursor.end()
            return statement
    rule = {"create": "create statement", "drop": "drop statement", "alter": "alter statement"}
    cursor.not_recognized(rule.get(cursor.next.text.lower(), "ddl statement"))


def table_name(cursor: Cursor) -> Name:
    parts = [identifier(cursor)]
    while len(parts) < 3 and cursor.sign("."):
        parts.append(identifier(cursor))
    return Name(*reversed(parts))


def database_name(cursor: Cursor) -> DatabaseName:
    parts = [identifier(cursor)]
    if cursor.sign("."):
        parts.append(identifier(cursor))
    return DatabaseName(*reversed(parts))


def _create_database(cursor: Cursor, text: str) -> Statement:
    if_not_exists = cursor.words("if", "not", "exists")
    name = database_name(cursor)
    comment = cursor.literal() if cursor.words("comment") else None
    location = cursor.literal() if cursor.words("location") else None
    given = properties(cursor) if cursor.words("with", "dbproperties") else {}
    return CreateDatabase(
        text=text, name=name, if_not_exists=if_not_exists, comment=comment, location=location, properties=given
    )


def _drop_database(cursor: Cursor, text: str) -> Statement:
    if_exists = cursor.words("if", "exists")
    name = database_name(cursor)
    cascade = cursor.words("cascade")
    if not cascade:
        cursor.words("restrict")
    return DropDatabase(text=text, name=name, if_exists=if_exists, cascade=cascade)


def _alter_database(cursor: Cursor, text: str) -> Statement:
    name = database_name(cursor)
    cursor.expect("set", "dbproperties")
    return AlterDatabaseProperties(text=text, name=name, properties=properties(cursor))


def _create_table(cursor: Cursor, text: str, *, external: bool = False) -> Statement:
    parts: dict[str, Any] = {"external": external, "if_not_exists": cursor.words("if", "not", "exists")}
    parts["name"] = table_name(cursor)
    if cursor.next.text == "(":
        parts["columns"] = column_list(cursor)
    if cursor.words("comment"):
        parts["comment"] = cursor.literal()
    if cursor.words("partitioned", "by"):
        parts["keys"], parts["partitioned_by"] = key_list(cursor)
    if cursor.words("clustered", "by"):
        parts.update(_buckets(cursor))
    if cursor.words("row", "format"):
        parts["row_format"] = _row_format(cursor)
    if cursor.words("stored", "as"):
        parts["stored_as"] = _stored_as(cursor)
    if cursor.words("with", "serdeproperties"):
        parts["serde_properties"] = properties(cursor)
    if cursor.words("location"):
        parts["location"] = cursor.literal()
    if cursor.words("tblproperties"):
        parts["properties"] = properties(cursor)
    return CreateTable(text=text, **parts)


def _buckets(cursor: Cursor) -> Mapping[str, Any]:
    clustered = _names(cursor)
    order: list[tuple[str, str]] = []
    if cursor.words("sorted", "by"):
        cursor.expect_sign("(")
        while True:
            name = identifier(cursor)
            descending = cursor.words("desc")
            if not descending:
                cursor.words("asc")
            order.append((name, "DESC" if descending else "ASC"))
            if not cursor.sign(","):
                break
        cursor.expect_sign(")")
    cursor.expect("into")
    buckets = cursor.number()
    cursor.expect("buckets")
    return {"clustered_by": clustered, "sorted_by": tuple(order), "buckets": buckets}


def _names(cursor: Cursor) -> tuple[str, ...]:
    cursor.expect_sign("(")
    names = [identifier(cursor)]
    while cursor.sign(","):
        names.append(identifier(cursor))
    cursor.expect_sign(")")
    return tuple(names)


def _row_format(cursor: Cursor) -> RowFormat:
    if cursor.words("serde"):
        serde = cursor.literal()
        return RowFormat(serde, properties(cursor) if cursor.words("with", "serdeproperties") else {})
    cursor.expect("delimited")
    found: dict[str, str] = {}
    if cursor.words("fields", "terminated", "by"):
        found["field.delim"] = found["serialization.format"] = cursor.literal()
        if cursor.words("escaped", "by"):
            found["escape.delim"] = cursor.literal()
    for words, name in (
        (("collection", "items", "terminated", "by"), _ITEMS_DELIMITER),
        (("map", "keys", "terminated", "by"), "mapkey.delim"),
        (("lines", "terminated", "by"), "line.delim"),
        (("null", "defined", "as"), "serialization.null.format"),
    ):
        if cursor.words(*words):
            found[name] = cursor.literal()
    return RowFormat("", found)


def _stored_as(cursor: Cursor) -> StoredAs:
    if cursor.words("inputformat"):
        reader = cursor.literal()
        cursor.expect("outputformat")
        return StoredAs(input_format=reader, output_format=cursor.literal())
    return StoredAs(identifier(cursor).upper())


def _drop_table(cursor: Cursor, text: str) -> Statement:
    if_exists = cursor.words("if", "exists")
    name = table_name(cursor)
    cursor.words("purge")
    return DropTable(text=text, name=name, if_exists=if_exists)


def _repair(cursor: Cursor, text: str) -> Statement:
    return MsckRepair(text=text, name=table_name(cursor))


def _describe(cursor: Cursor, text: str) -> Statement:
    extended = cursor.words("extended")
    formatted = not extended and cursor.words("formatted")
    name = table_name(cursor)
    partition = specification(cursor) if cursor.is_word("partition") else None
    column = None
    if cursor.next.kind != END:
        column = identifier(cursor)
        while cursor.sign("."):
            column += "." + (cursor.take().text.lower() if cursor.next.text.startswith("$") else identifier(cursor))
    if partition is None and cursor.is_word("partition"):
        partition = specification(cursor)
    return Describe(
        text=text, name=name, extended=extended, formatted=formatted, partition=partition, column=column
    )  # fmt: skip


def _describe_database(cursor: Cursor, text: str) -> Statement:
    extended = cursor.words("extended")
    return DescribeDatabase(text=text, name=database_name(cursor), extended=extended)


def _pattern(cursor: Cursor) -> str | None:
    if cursor.words("like") or cursor.next.kind == TEXT:
        return cursor.literal()
    return None


def _in_database(cursor: Cursor) -> DatabaseName | None:
    return database_name(cursor) if cursor.words("in") or cursor.words("from") else None


def _show_databases(cursor: Cursor, text: str) -> Statement:
    return ShowDatabases(text=text, pattern=_pattern(cursor))


def _show_tables(cursor: Cursor, text: str) -> Statement:
    database = _in_database(cursor)
    return ShowTables(text=text, database=database, pattern=_pattern(cursor))


def _show_views(cursor: Cursor, text: str) -> Statement:
    database = _in_database(cursor)
    return ShowViews(text=text, database=database, pattern=_pattern(cursor))


def _show_columns(cursor: Cursor, text: str) -> Statement:
    if not cursor.words("in") and not cursor.words("from"):
        cursor.fail_at_next("FROM", "IN", rule="show columns")
    name = table_name(cursor)
    if cursor.words("in") or cursor.words("from"):
        database = database_name(cursor)
        name = Name(name.name, database.name, database.catalog)
    return ShowColumns(text=text, name=name)


def _show_partitions(cursor: Cursor, text: str) -> Statement:
    name = table_name(cursor)
    return ShowPartitions(
        text=text, name=name, partition=specification(cursor) if cursor.is_word("partition") else None
    )


def _show_properties(cursor: Cursor, text: str) -> Statement:
    name = table_name(cursor)
    wanted = None
    if cursor.sign("("):
        wanted = cursor.literal()
        cursor.expect_sign(")")
    return ShowTableProperties(text=text, name=name, property=wanted)


def _show_create_table(cursor: Cursor, text: str) -> Statement:
    return ShowCreateTable(text=text, name=table_name(cursor))


def _show_functions(cursor: Cursor, text: str) -> Statement:
    return ShowFunctions(text=text, pattern=_pattern(cursor))


def _create_external(cursor: Cursor, text: str) -> Statement:
    return _create_table(cursor, text, external=True)


def _alter_table(cursor: Cursor, text: str) -> Statement:
    return hive_alter.alter_table(cursor, text, table_name(cursor), table_name)


_STATEMENTS: Mapping[tuple[str, ...], Callable[[Cursor, str], Statement]] = {
    ("create", "database"): _create_database,
    ("create", "schema"): _create_database,
    ("create", "external", "table"): _create_external,
    ("create", "table"): _create_table,
    ("drop", "database"): _drop_database,
    ("drop", "schema"): _drop_database,
    ("drop", "table"): _drop_table,
    ("alter", "database"): _alter_database,
    ("alter", "schema"): _alter_database,
    ("alter", "table"): _alter_table,
    ("msck", "repair", "table"): _repair,
    ("describe", "database"): _describe_database,
    ("describe", "schema"): _describe_database,
    ("desc", "database"): _describe_database,
    ("describe",): _describe,
    ("desc",): _describe,
    ("show", "databases"): _show_databases,
    ("show", "schemas"): _show_databases,
    ("show", "tables"): _show_tables,
    ("show", "views"): _show_views,
    ("show", "columns"): _show_columns,
    ("show", "partitions"): _show_partitions,
    ("show", "tblproperties"): _show_properties,
    ("show", "create", "table"): _show_create_table,
    ("show", "functions"): _show_functions,
}
