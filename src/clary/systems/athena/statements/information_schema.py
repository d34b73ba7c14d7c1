"""`information_schema` of the session's catalog: what it has, as relations that queries read like any other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clary.lake.types import parse_type, trino_type
from clary.systems.athena.contract import Running, StatementFailed, TableName
from clary.systems.athena.language.trees import query_tree
from clary.systems.athena.statements import catalog

if TYPE_CHECKING:
    from sqlglot import exp

NAME = "information_schema"
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "schemata": {"catalog_name": "varchar", "schema_name": "varchar"},
    "tables": {
        "table_catalog": "varchar", "table_schema": "varchar", "table_name": "varchar", "table_type": "varchar",
    },
    "views": {
        "table_catalog": "varchar", "table_schema": "varchar", "table_name": "varchar", "view_definition": "varchar",
    },
    "columns": {
        "table_catalog": "varchar", "table_schema": "varchar", "table_name": "varchar", "column_name": "varchar",
        "ordinal_position": "bigint", "column_default": "varchar", "is_nullable": "varchar", "data_type": "varchar",
        "comment": "varchar", "extra_info": "varchar",
    },
}  # fmt: skip

Row = Sequence[str | int | None]


def relation(running: Running, node: "exp.Table") -> "exp.Expression":
    """The subquery that stands for a table of `information_schema`. Raises StatementFailed where there is no such."""
    name = node.name.lower()
    if name not in _COLUMNS:
        raise StatementFailed("TABLE_NOT_FOUND", f"Table '{catalog.AWS_CATALOG}.{NAME}.{name}' does not exist")
    wanted = _equalities(node)
    rows = list(_rows(running, name, wanted))
    columns = _COLUMNS[name]
    aliases = [f"c{place}" for place in range(len(columns))]
    items = ", ".join(
        f'CAST({alias} AS {kind}) AS "{column}"' for alias, (column, kind) in zip(aliases, columns.items(), strict=True)
    )
    values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows or [[None] * len(columns)])
    none = "" if rows else " WHERE false"
    text = f"SELECT {items} FROM (VALUES {values}) AS t({', '.join(aliases)}){none}"
    return query_tree(text, 0, len(text))


def _rows(running: Running, name: str, wanted: Mapping[str, str]) -> Iterator[Row]:
    schema = wanted.get("schema_name" if name == "schemata" else "table_schema")
    for database in _databases(running, schema):
        if name == "schemata":
            yield catalog.AWS_CATALOG, database
            continue
        for table in _tables(running, database, wanted.get("table_name")):
            yield from _of_table(name, database, table)


def _of_table(name: str, database: str, table: Mapping[str, Any]) -> Iterator[Row]:
    place = (catalog.AWS_CATALOG, database, table["Name"])
    if name == "tables":
        yield *place, "VIEW" if catalog.is_view(table) else "BASE TABLE"
    elif name == "views":
        if catalog.is_view(table):
            yield *place, _definition(table)
    else:
        keys = catalog.keys_of(table)
        columns = [*((table.get("StorageDescriptor") or {}).get("Columns") or ()), *keys]
        for number, column in enumerate(columns, 1):
            extra = "partition key" if number > len(columns) - len(keys) else None
            kind = _type(column.get("Type") or "string")
            yield *place, column["Name"].lower(), number, None, "YES", kind, column.get("Comment"), extra


def _databases(running: Running, wanted: str | None) -> Iterator[str]:
    if wanted is None:
        yield from (each["Name"] for each in catalog.listed(running, "GetDatabases", "DatabaseList"))
    elif catalog.find_database(running, wanted) is not None:
        yield wanted


def _tables(running: Running, database: str, wanted: str | None) -> Iterator[Mapping[str, Any]]:
    if wanted is None:
        yield from catalog.listed(running, "GetTables", "TableList", DatabaseName=database)
        return
    table = catalog.find_table(running, TableName(catalog.AWS_CATALOG, database, wanted))
    if table is not None:
        yield table


def _equalities(node: "exp.Table") -> dict[str, str]:
    """What the query that reads the relation says its columns are equal to, so that no more is looked up."""
    from sqlglot import exp

    select = node.find_ancestor(exp.Select)
    if select is None:
        return {}
    where, source = select.args.get("where"), select.args.get("from_")
    if where is None or source is None or source.this is not node or select.args.get("joins"):
        return {}
    found = {}
    conditions = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    for condition in conditions:
        each = condition.unnest()
        if not isinstance(each, exp.EQ) or not isinstance(each.this, exp.Column):
            continue
        if isinstance(each.expression, exp.Literal) and each.expression.is_string:
            found[each.this.name.lower()] = each.expression.this
    return found


def _definition(table: Mapping[str, Any]) -> str | None:
    from clary.systems.athena.statements.views import stored_view

    try:
        return str(stored_view(TableName(catalog.AWS_CATALOG, "", table["Name"]), dict(table))["originalSql"])
    except StatementFailed:
        return None


def _type(text: str) -> str:
    try:
        return trino_type(parse_type(text))
    except ValueError:
        return text


def _literal(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
