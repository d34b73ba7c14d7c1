"""CREATE TABLE AS: a table of the rows of a query."""

from collections.abc import Sequence

from clary.lake.engine.tasks import TableFiles
from clary.lake.hive_paths import partition_path
from clary.lake.tables import Column
from clary.systems.athena.contract import Outcome, OutputColumn, Running, StatementFailed, TableName
from clary.systems.athena.language.statements import CreateTableAs
from clary.systems.athena.records import TableWrite
from clary.systems.athena.running.plans import planned
from clary.systems.athena.statements import catalog, written_properties
from clary.systems.athena.statements.catalog import Document
from clary.systems.athena.statements.iceberg import or_iceberg
from clary.systems.athena.statements.partitions import register_partitions
from clary.systems.athena.statements.storage import checked_location, descriptor
from clary.systems.athena.statements.tables import DDL_TIME, OWNER, create
from clary.systems.athena.statements.undoing import QUERY
from clary.systems.athena.statements.writing import (
    Places,
    Stored,
    check_empty,
    finished,
    keep,
    named_columns,
    outcome_of,
    store,
)
from clary.systems.athena.statements.written_properties import Written


@or_iceberg
def create_table_as(running: Running, statement: CreateTableAs) -> Outcome:
    """Store a query's rows, and describe them in the catalog once all of them are there."""
    name = catalog.named(running, statement.name)
    written = written_properties.of_table(statement.properties)
    if written.location and running.enforced:
        raise StatementFailed(
            "NOT_SUPPORTED",
            f"external_location cannot be chosen in the work group {running.work_group}, which enforces its settings",
        )
    location = checked_location(written.location) if written.location else _default_location(running)
    stored = finished(running)
    if stored is None:
        there = catalog.find_table(running, name)
        if there is not None:
            if statement.if_not_exists or _is_ours(running, there):
                return Outcome(statement.kind, statement.substatement, manifest=(), update_count=0)
            raise _exists(name)
        if catalog.find_database(running, name.database) is None:
            raise StatementFailed("SCHEMA_NOT_FOUND", f"line 1:1: Schema '{name.database}' does not exist")
        stored = _store(running, statement, name, written, location)
    _register(running, name, stored)
    return outcome_of(statement, stored.uris, stored.rows)


def _store(running: Running, statement: CreateTableAs, name: TableName, written: Written, location: str) -> Stored:
    """Store the rows, unless the table is to have none."""
    plan = planned(running, statement.query)
    columns = _columns(statement, plan.columns)
    written_properties.check_keys(columns, written)
    there = (
        f"Target directory for table '{name.database}.{name.name}' already exists: {location}. You may need to "
        f"manually clean the data at location '{location}' before retrying. Athena will not delete data in your "
        "account."
    )
    check_empty(running, location, there)
    table = _table(running, statement, columns, written, location)
    if not statement.with_data:
        keep(running, statement, TableWrite([], 0, table=table), (), name)
        return Stored((), 0, (), table)
    output = TableFiles(written.format, columns, written.keys, written.bucketed_by, written.buckets, written.properties)
    places = Places(lambda values: _folder(location, written, values))
    stored = store(running, statement, plan, output, lambda _: places, name, table)
    check_empty(running, location, there, stored.uris)
    return stored


def _register(running: Running, name: TableName, stored: Stored) -> None:
    """Tell the catalog: the table first, which an earlier run may have done, and then all partitions in one call."""
    given = dict(stored.table)
    if not create(running, name.database, given, if_not_exists=True):
        there = catalog.find_table(running, name)
        if there is None or not _is_ours(running, there):
            raise _exists(name)
    register_partitions(running, {**given, "DatabaseName": name.database}, stored.values)


def _is_ours(running: Running, table: Document) -> bool:
    """Whether an earlier run of this statement made a table."""
    return bool((table.get("Parameters") or {}).get(QUERY) == running.execution_id)


def _columns(statement: CreateTableAs, found: Sequence[OutputColumn]) -> tuple[Column, ...]:
    """The columns of the table, by the names that the statement lists, else by those of the query."""
    if statement.columns and len(statement.columns) != len(found):
        raise StatementFailed(
            "MISMATCHED_COLUMN_ALIASES",
            f"line 1:1: Column alias list has {len(statement.columns)} entries but relation has {len(found)} columns",
        )
    names = statement.columns or tuple(each.name for each in found)
    return named_columns([each._replace(name=name) for name, each in zip(names, found, strict=True)])


def _table(
    running: Running, statement: CreateTableAs, columns: tuple[Column, ...], written: Written, location: str
) -> Document:
    """The table's document, as Athena writes it for CREATE TABLE AS."""
    documents = [{"Name": each.name, "Type": str(each.type)} for each in columns]
    data = documents[: len(documents) - len(written.keys)]
    more: Document = {
        "SerdeInfo": {"SerializationLibrary": written.storage.serde, "Parameters": dict(written.serde)},
        "BucketColumns": list(written.bucketed_by),
        "NumberOfBuckets": written.buckets or -1,
    }
    compression = written.compression.upper()
    parameters = {
        "EXTERNAL": "TRUE",
        "auto.purge": "false",
        "has_encrypted_data": "false",
        "numFiles": "-1",
        "totalSize": "-1",
        "transactional": "false",
        QUERY: running.execution_id,
        "write.compression": compression,
        "classification": "csv" if written.format == "csv" else written.format,
        DDL_TIME: str(catalog.now_seconds(running)),
    }
    if statement.comment is not None:
        parameters["comment"] = statement.comment
    if written.buckets:
        parameters["bucketing_format"] = "hive"
    return {
        "Name": statement.name.name,
        "Owner": OWNER,
        "Retention": 0,
        "StorageDescriptor": descriptor(written.storage, data, location, **more),
        "PartitionKeys": documents[len(data) :],
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
    }


def _default_location(running: Running) -> str:
    """Where a table goes of which nothing is said: below the results, in a folder of its own."""
    folder, _, name = running.output.rpartition("/")
    return f"{folder}/tables/{name}"


def _folder(location: str, written: Written, values: tuple[str, ...]) -> str:
    return f"{location.rstrip('/')}/{partition_path(written.keys, values)}" if values else location.rstrip("/")


def _exists(name: TableName) -> StatementFailed:
    return StatementFailed("TABLE_ALREADY_EXISTS", f"line 1:1: Destination table '{'.'.join(name)}' already exists")
