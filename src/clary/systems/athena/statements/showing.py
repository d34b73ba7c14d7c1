"""What there is: tables, views, columns, properties of tables."""

from clary.systems.athena.contract import Outcome, OutputColumn, Running
from clary.systems.athena.language.statements import (
    ShowColumns,
    ShowCreateTable,
    ShowFunctions,
    ShowTableProperties,
    ShowTables,
    ShowViews,
)
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import Document, semantic
from clary.systems.athena.statements.definition import definition
from clary.systems.athena.statements.describing import padded
from clary.systems.athena.statements.iceberg import or_iceberg_if_it_can
from clary.systems.athena.statements.patterns import matcher

_FUNCTIONS = (OutputColumn("Function", "varchar"), OutputColumn("Function Type", "varchar"))


def show_tables(running: Running, statement: ShowTables) -> Outcome:
    """The names of a database's tables and views."""
    wanted = matcher(statement.pattern)
    found = _tables(running, catalog.database_named(running, statement.database))
    rows = [(each["Name"],) for each in found if wanted(each["Name"])]
    return Outcome(statement.kind, statement.substatement, catalog.text_columns("tab_name"), rows=rows)


def show_views(running: Running, statement: ShowViews) -> Outcome:
    wanted = matcher(statement.pattern)
    found = _tables(running, catalog.database_named(running, statement.database))
    rows = [(each["Name"],) for each in found if catalog.is_view(each) and wanted(each["Name"])]
    return Outcome(statement.kind, statement.substatement, catalog.text_columns("views"), rows=rows)


@or_iceberg_if_it_can
def show_columns(running: Running, statement: ShowColumns) -> Outcome:
    """The names of a table's columns, its keys last, as wide as Hive writes them."""
    found = catalog.table(running, catalog.named(running, statement.name))
    columns = [*(found["StorageDescriptor"].get("Columns") or ()), *catalog.keys_of(found)]
    rows = [(padded(each["Name"]),) for each in columns]
    return Outcome(statement.kind, statement.substatement, catalog.text_columns("field"), rows=rows)


def show_functions(running: Running, statement: ShowFunctions) -> Outcome:
    """The functions that queries can call, each with its kind."""
    from clary.systems.athena.select.functions.calls import kinds

    wanted = matcher(None if statement.pattern is None else statement.pattern.replace("%", "*"))
    rows = [(name, kind) for name, kind in kinds().items() if wanted(name)]
    return Outcome(statement.kind, statement.substatement, _FUNCTIONS, rows=rows)


@or_iceberg_if_it_can
def show_properties(running: Running, statement: ShowTableProperties) -> Outcome:
    found = catalog.table(running, catalog.named(running, statement.name))
    properties = found.get("Parameters") or {}
    rows: list[tuple[str, ...]] = sorted(properties.items())
    if statement.property is not None:
        missing = f"Table {found['DatabaseName']}.{found['Name']} does not have property: {statement.property}"
        rows = [(properties.get(statement.property, missing),)]
    columns = catalog.text_columns("prpt_name", "prpt_value")
    return Outcome(statement.kind, statement.substatement, columns, rows=rows)


@or_iceberg_if_it_can
def show_create_table(running: Running, statement: ShowCreateTable) -> Outcome:
    """The statement that makes the same table again, line by line."""
    name = catalog.named(running, statement.name)
    found = catalog.table(running, name)
    if catalog.is_view(found):
        raise semantic(f"{name.database}.{name.name} is a view: use SHOW CREATE VIEW")
    rows = [(line,) for line in definition(found)]
    return Outcome(statement.kind, statement.substatement, catalog.text_columns("createtab_stmt"), rows=rows)


def _tables(running: Running, database: str) -> list[Document]:
    catalog.database(running, database)
    return list(catalog.listed(
        running, "GetTables", "TableList", DatabaseName=database, AttributesToGet=["NAME", "TABLE_TYPE"]
    ))  # fmt: skip
