"""INSERT INTO and CREATE TABLE AS of Iceberg tables: rows of a query become files, and one commit adds them."""

import re
from collections.abc import Sequence

from pyiceberg.manifest import DataFile
from pyiceberg.table.update import update_table_metadata

from clary.kernel.core.errors import AwsError
from clary.lake.engine.tasks import Task
from clary.lake.iceberg.access import ObjectIO
from clary.lake.iceberg.commits import APPEND, Change, Update, change, snapshot_of
from clary.lake.iceberg.creating import PartitionBy, create, new_metadata, schema_of, spec_of
from clary.lake.iceberg.files import output_of, stored_data
from clary.lake.iceberg.tables import IcebergTable, described
from clary.lake.tables import Column
from clary.systems.athena.contract import Outcome, Running, StatementFailed, TableName
from clary.systems.athena.language.statements import CreateTableAs, InsertInto, PartitionField, Value
from clary.systems.athena.planning.iceberg import failing
from clary.systems.athena.running.plans import Plan, planned
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.iceberg_notes import ToStore, committed, summary_of
from clary.systems.athena.statements.iceberg_properties import created_properties
from clary.systems.athena.statements.iceberg_tables import OWNER, partition_by
from clary.systems.athena.statements.iceberg_upkeep import named_iceberg
from clary.systems.athena.statements.iceberg_values import checked, new_columns, stored_sql
from clary.systems.athena.statements.storage import checked_location
from clary.systems.athena.statements.writing import inserted_columns, outcome_of

MOST_PARTITIONS = 100
"""How many partitions a statement may write, as in Athena."""

_SIZED = re.compile(r"(bucket|truncate)\(\s*\"?([^\",]+?)\"?\s*,\s*(\d+)\s*\)", re.IGNORECASE)
_TIMED = re.compile(r"(years?|months?|days?|hours?)\(\s*\"?([^\"]+?)\"?\s*\)", re.IGNORECASE)


def insert_into(running: Running, statement: InsertInto) -> Outcome:
    """Add the rows of a query."""
    name, table = named_iceberg(running, statement)
    done = committed(running)
    if done is not None:
        return outcome_of(statement, [uri for uri, _ in done.files], done.rows)
    plan = planned(running, statement.query)
    columns = described(table).columns
    sql = _in_order(statement, plan, columns)
    with failing(name.database, name.name):
        output = output_of(table, running.execution_id)
        result = running.run(Task(sql=sql, scans=plan.scans, output=output))
        check_partitions(len({file.values for file in result.files}))
        rows = result.rows
        files = ToStore(running)
        added = Change(APPEND, stored_data(files.access, table, result.files), summary=summary_of(running, rows))
        uris = tuple(file.file_path for file in added.added)
        if uris:
            files.store(statement, name, rows)
            change(running, name.database, name.name, added)
    return outcome_of(statement, uris, rows)


def create_table_as(running: Running, statement: CreateTableAs) -> Outcome:
    """Make a table of the rows of a query: it is in the catalog once all of them are there."""
    name = catalog.named(running, statement.name)
    done = committed(running)
    if done is not None:
        return outcome_of(statement, [uri for uri, _ in done.files], done.rows)
    if catalog.find_table(running, name) is not None:
        if statement.if_not_exists:
            return outcome_of(statement, (), 0)
        raise _exists(name)
    if catalog.find_database(running, name.database) is None:
        raise StatementFailed("SCHEMA_NOT_FOUND", f"line 1:1: Schema '{name.database}' does not exist")
    location = _location(statement)
    plan = planned(running, statement.query)
    columns = new_columns(plan.columns, statement.columns)
    with failing(name.database, name.name):
        schema = schema_of(columns)
        metadata = new_metadata(
            schema, spec_of(schema, _partitioning(statement)), location, created_properties(statement.properties)
        )
        table = IcebergTable(name.database, name.name, metadata, "", "", {}, ObjectIO(running))
        rows = 0
        files, manifests = ToStore(running), Update()
        data: list[DataFile] = []
        if statement.with_data:
            items = ", ".join(stored_sql(f"c{place}", each.type) for place, each in enumerate(plan.columns))
            sql = f"SELECT {items} FROM ({plan.sql}) AS given({_aliases(len(columns))})"
            result = running.run(Task(sql=sql, scans=plan.scans, output=output_of(table, running.execution_id)))
            check_partitions(len({file.values for file in result.files}))
            rows = result.rows
            data = stored_data(files.access, table, result.files)
        files.store(statement, name, rows, made=metadata)
        if statement.with_data:
            manifests = snapshot_of(table, Change(APPEND, data, summary=summary_of(running, rows)))
            metadata = update_table_metadata(metadata, tuple(manifests.updates))
        try:
            create(running, name.database, name.name, metadata, owner=OWNER, description=statement.comment or "")
        except AwsError as error:
            table.io.discard(manifests.written)
            if error.code != "AlreadyExistsException":
                raise
            raise _exists(name) from None
    return outcome_of(statement, [file.file_path for file in data], rows)


def check_partitions(count: int) -> None:
    """Raise StatementFailed for more partitions than a statement may write."""
    if count > MOST_PARTITIONS:
        raise StatementFailed(
            "ICEBERG_TOO_MANY_OPEN_PARTITIONS",
            f"Exceeded limit of {MOST_PARTITIONS} open writers for partitions: the query has rows of {count}",
        )


def _in_order(statement: InsertInto, plan: Plan, columns: Sequence[Column]) -> str:
    """SQL of the rows with all columns of the table in its order: those that the statement does not name are NULL."""
    by_name = {column.name: column for column in columns}
    names = inserted_columns(statement, by_name)
    given = [each.type for each in plan.columns]
    wanted = [by_name[name].type for name in names]
    checked("Insert query has mismatched column types", given, wanted, ("Table", "Query"))
    places = {name: place for place, name in enumerate(names)}
    items = [stored_sql(f"c{places[name]}", given[places[name]]) if name in places else "NULL" for name in by_name]
    return f"SELECT {', '.join(items)} FROM ({plan.sql}) AS given({_aliases(len(names))})"


def _location(statement: CreateTableAs) -> str:
    if str(statement.properties.get("is_external", True)).lower() != "false":
        raise StatementFailed(
            "INVALID_TABLE_PROPERTY", "is_external must be false for an Iceberg table: say is_external = false"
        )
    location = statement.properties.get("location")
    if not isinstance(location, str) or not location:
        raise StatementFailed(
            "INVALID_TABLE_PROPERTY", "Table location can not be null for Iceberg table: give location"
        )
    return checked_location(location)


def _partitioning(statement: CreateTableAs) -> list[PartitionBy]:
    given: Value = statement.properties.get("partitioning") or ()
    if not isinstance(given, tuple) or not all(isinstance(each, str) for each in given):
        raise StatementFailed("INVALID_TABLE_PROPERTY", "partitioning is a list of texts: ARRAY['day(at)', 'kind']")
    found = []
    for each in map(str, given):
        sized, timed = _SIZED.fullmatch(each.strip()), _TIMED.fullmatch(each.strip())
        if sized:
            field = PartitionField(sized[2].lower(), f"{sized[1].lower()}[{sized[3]}]")
        elif timed:
            field = PartitionField(timed[2].lower(), timed[1].lower())
        elif "(" in each:
            raise StatementFailed("INVALID_TABLE_PROPERTY", f"Invalid partition field declaration: {each}")
        else:
            field = PartitionField(each.strip().strip('"').lower())
        found.append(partition_by(field))
    return found


def _aliases(count: int) -> str:
    return ", ".join(f"c{place}" for place in range(count))


def _exists(name: TableName) -> StatementFailed:
    return StatementFailed("TABLE_ALREADY_EXISTS", f"line 1:1: Table '{'.'.join(name)}' already exists")
