"""What is told of Iceberg tables: DESCRIBE, SHOW CREATE TABLE, SHOW TBLPROPERTIES, SHOW COLUMNS."""

from collections.abc import Iterator, Sequence

from pyiceberg.partitioning import PartitionField

from clary.lake.iceberg.access import ObjectIO
from clary.lake.iceberg.tables import IcebergTable, opened
from clary.lake.iceberg.types import catalog_type, lake_type
from clary.systems.athena.contract import Outcome, Running
from clary.systems.athena.language.statements import Describe, ShowColumns, ShowCreateTable, ShowTableProperties
from clary.systems.athena.language.tokens import hive_text
from clary.systems.athena.planning.iceberg import failing
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import semantic
from clary.systems.athena.statements.describing import padded
from clary.systems.athena.statements.iceberg_properties import athena_properties

_BLANK = "\t \t "


def describe(running: Running, statement: Describe) -> Outcome:
    """The columns of a table, then what it is partitioned by."""
    table = _table(running, statement)
    if statement.partition is not None:
        raise semantic(f"{table.database}.{table.name} is an Iceberg table: DESCRIBE it without PARTITION")
    fields = [field for field in table.schema.fields if statement.column in (None, field.name.lower())]
    if not fields:
        raise semantic(f"[Error 10002]: Invalid column reference {statement.column} in {table.database}.{table.name}")
    lines = [_line(field.name.lower(), catalog_type(lake_type(field.field_type)), field.doc or "") for field in fields]
    if statement.column is None:
        lines = [_head("Table schema:"), f"# {_line('col_name', 'data_type', 'comment')}", *lines, _BLANK]
        lines += [_head("Partition spec:"), f"# {_line('field_name', 'field_transform', 'column_name')}"]
        lines += [_line(part.name, _shown(part), _source(table, part)) for part in table.metadata.spec().fields]
        if statement.extended or statement.formatted:
            lines += [_BLANK, _head("Table properties:")]
            lines += [_line("location", table.metadata.location, "")]
            lines += [_line(name, value, "") for name, value in sorted(table.metadata.properties.items())]
    columns = catalog.text_columns("col_name", "data_type", "comment")
    return Outcome(statement.kind, statement.substatement, columns, rows=[(line,) for line in lines])


def show_columns(running: Running, statement: ShowColumns) -> Outcome:
    table = _table(running, statement)
    rows = [(padded(field.name.lower()),) for field in table.schema.fields]
    return Outcome(statement.kind, statement.substatement, catalog.text_columns("field"), rows=rows)


def show_create_table(running: Running, statement: ShowCreateTable) -> Outcome:
    """The statement that makes the same table again, line by line."""
    rows = [(line,) for line in _definition(_table(running, statement))]
    return Outcome(statement.kind, statement.substatement, catalog.text_columns("createtab_stmt"), rows=rows)


def show_properties(running: Running, statement: ShowTableProperties) -> Outcome:
    """What the catalog says of a table, and the table of itself."""
    table = _table(running, statement)
    found = {**(table.document.get("Parameters") or {}), **table.metadata.properties}
    columns = catalog.text_columns("prpt_name", "prpt_value")
    rows: Sequence[Sequence[str]] = sorted(found.items())
    if statement.property is not None:
        missing = f"Table {table.database}.{table.name} does not have property: {statement.property}"
        rows = [(found.get(statement.property, missing),)]
    return Outcome(statement.kind, statement.substatement, columns, rows=rows)


def _table(running: Running, statement: Describe | ShowColumns | ShowCreateTable | ShowTableProperties) -> IcebergTable:
    document = catalog.table(running, catalog.named(running, statement.name))
    with failing(document["DatabaseName"], document["Name"]):
        return opened(document, ObjectIO(running))


def _definition(table: IcebergTable) -> Iterator[str]:
    yield f"CREATE TABLE {table.database}.{table.name} ("
    for place, field in enumerate(table.schema.fields):
        comment = f" COMMENT {hive_text(field.doc)}" if field.doc else ""
        end = ")" if place == len(table.schema.fields) - 1 else ","
        yield f"  {field.name.lower()} {catalog_type(lake_type(field.field_type))}{comment}{end}"
    if table.document.get("Description"):
        yield f"COMMENT {hive_text(table.document['Description'])}"
    parts = [_written(table, part) for part in table.metadata.spec().fields]
    if parts:
        yield f"PARTITIONED BY ({', '.join(parts)})"
    yield f"LOCATION {hive_text(table.metadata.location)}"
    yield "TBLPROPERTIES ("
    properties = {"table_type": "iceberg", **athena_properties(table.metadata.properties)}
    lines = [f"  {hive_text(name)}={hive_text(value)}" for name, value in properties.items()]
    yield from (f"{line}," for line in lines[:-1])
    yield lines[-1]
    yield ")"


def _written(table: IcebergTable, part: PartitionField) -> str:
    source, shown = f"`{_source(table, part)}`", _shown(part)
    name, _, width = shown.rstrip("]").partition("[")
    if name == "identity":
        return source
    return f"{name}({width}, {source})" if width else f"{name}({source})"


def _shown(part: PartitionField) -> str:
    return str(part.transform)


def _source(table: IcebergTable, part: PartitionField) -> str:
    return (table.schema.find_column_name(part.source_id) or "").lower()


def _line(*parts: str) -> str:
    return "\t".join(padded(part) for part in parts)


def _head(text: str) -> str:
    return f"# {text}{_BLANK}"
