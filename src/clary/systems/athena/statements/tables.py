"""Tables of Hive: create, drop, rename, and what ALTER TABLE sets of a whole table or of one partition."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.systems.athena.contract import Outcome, Running, StatementFailed, TableName
from clary.systems.athena.language.statements import (
    ColumnDefinition,
    CreateTable,
    DropTable,
    RenameTable,
    SetLocation,
    SetSerDe,
    SetTableProperties,
    UnsetTableProperties,
)
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import Document, semantic
from clary.systems.athena.statements.iceberg import iceberg_performer, or_iceberg
from clary.systems.athena.statements.partitions import find_partition, put_partition
from clary.systems.athena.statements.storage import check_serde, checked_location, descriptor, storage_of

OWNER = "hadoop"
DDL_TIME = "transient_lastDdlTime"
_ESSENCE = ("TableType", "StorageDescriptor", "PartitionKeys")


@or_iceberg
def create_table(running: Running, statement: CreateTable) -> Outcome:
    """Describe a table in the catalog. Its data is wherever LOCATION says, and stays as it is."""
    name = catalog.named(running, statement.name)
    _check(statement)
    catalog.database(running, name.database)
    parameters = {"EXTERNAL": "TRUE", **statement.properties, DDL_TIME: str(catalog.now_seconds(running))}
    given: Document = {
        "Name": name.name,
        "Owner": OWNER,
        "Retention": 0,
        "StorageDescriptor": _descriptor(statement),
        "PartitionKeys": columns(statement.keys),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
    }
    if statement.comment is not None:
        # Hive keeps the comment of a table among its properties.
        given["Parameters"] = {"comment": statement.comment, **parameters}
    create(running, name.database, given, if_not_exists=statement.if_not_exists)
    return Outcome(statement.kind, statement.substatement, rows=())


def create(running: Running, database: str, given: Document, *, if_not_exists: bool = False) -> bool:
    """Add a table to the catalog; whether it was not there. Raises StatementFailed when it was, unless that is fine."""
    try:
        running.call("CreateTable", DatabaseName=database, TableInput=given)
    except AwsError as error:
        if error.code == "AlreadyExistsException":
            if if_not_exists or (running.resumed and _is_there(running, database, given)):
                return False
            raise catalog.execution(f"AlreadyExistsException(message:Table {given['Name']} already exists)") from None
        if error.code == "InvalidInputException":
            raise catalog.execution(f"MetaException(message:{error.message})") from None
        raise
    return True


def _is_there(running: Running, database: str, given: Document) -> bool:
    """Whether a table is as it was to be made, but for the time."""
    found = catalog.find_table(running, TableName(catalog.AWS_CATALOG, database, given["Name"])) or {}

    def essence(table: Document) -> Document:
        parameters = {name: value for name, value in (table.get("Parameters") or {}).items() if name != DDL_TIME}
        return {**{member: table.get(member) for member in _ESSENCE}, "Parameters": parameters}

    return essence(found) == essence(given)


def drop_table(running: Running, statement: DropTable) -> Outcome:
    """Forget a table. The data of a table of Hive stays; that of an Iceberg table goes, as in Athena."""
    name = catalog.named(running, statement.name)
    found = catalog.find_table(running, name)
    if found is None:
        if not statement.if_exists and not running.resumed:
            raise catalog.no_table(name)
        return Outcome(statement.kind, statement.substatement, rows=())
    if catalog.is_view(found):
        raise semantic(f"[Error 10132]: Cannot drop a view with DROP TABLE: {name.database}.{name.name}. Use DROP VIEW")
    if catalog.is_iceberg(found):
        return iceberg_performer(statement)(running, statement)
    try:
        running.call("DeleteTable", DatabaseName=name.database, Name=name.name)
    except AwsError as error:
        if error.code != "EntityNotFoundException":
            raise
    return Outcome(statement.kind, statement.substatement, rows=())


@or_iceberg
def rename_table(running: Running, statement: RenameTable) -> Outcome:
    """Athena renames Iceberg tables alone: the catalog would have to move a table of Hive with its partitions."""
    name = catalog.named(running, statement.name)
    if running.resumed and catalog.find_table(running, name) is None:
        # An Iceberg table that has its new name already.
        return Outcome(statement.kind, statement.substatement, rows=())
    catalog.hive_table(running, name)
    raise StatementFailed("NOT_SUPPORTED", "ALTER TABLE RENAME TO is for Iceberg tables")


@or_iceberg
def set_properties(running: Running, statement: SetTableProperties) -> Outcome:
    found = catalog.hive_table(running, catalog.named(running, statement.name))
    parameters = {**(found.get("Parameters") or {}), **statement.properties, **_modified(running)}
    catalog.update_table(running, found, Parameters=parameters)
    return Outcome(statement.kind, statement.substatement, rows=())


@or_iceberg
def unset_properties(running: Running, statement: UnsetTableProperties) -> Outcome:
    found = catalog.hive_table(running, catalog.named(running, statement.name))
    parameters = dict(found.get("Parameters") or {})
    for name in statement.properties:
        if parameters.pop(name, None) is None and not statement.if_exists:
            raise semantic(f"[Error 10215]: there is no property {name}; say UNSET TBLPROPERTIES IF EXISTS (...)")
    catalog.update_table(running, found, Parameters={**parameters, **_modified(running)})
    return Outcome(statement.kind, statement.substatement, rows=())


@or_iceberg
def set_location(running: Running, statement: SetLocation) -> Outcome:
    location = checked_location(statement.location)
    return _change_storage(running, statement, statement.partition, {"Location": location})


@or_iceberg
def set_serde(running: Running, statement: SetSerDe) -> Outcome:
    found = catalog.hive_table(running, catalog.named(running, statement.name))
    owner = found if statement.partition is None else find_partition(running, found, statement.partition)
    info = dict(owner["StorageDescriptor"].get("SerdeInfo") or {})
    if statement.serde:
        check_serde(statement.serde)
        info = {**info, "SerializationLibrary": statement.serde}
    info["Parameters"] = {**(info.get("Parameters") or {}), **statement.properties}
    return _change_storage(running, statement, statement.partition, {"SerdeInfo": info})


def columns(definitions: Sequence[ColumnDefinition]) -> list[Document]:
    """Columns as the catalog has them. Raises StatementFailed where a name is there twice."""
    seen: set[str] = set()
    for each in definitions:
        if each.name in seen:
            raise semantic(f"[Error 10036]: Duplicate column name: {each.name}")
        seen.add(each.name)
    return [
        {"Name": each.name, "Type": each.type, **({} if each.comment is None else {"Comment": each.comment})}
        for each in definitions
    ]


def _check(statement: CreateTable) -> None:
    if not statement.external:
        raise semantic(
            "Only external table creation is supported. Use CREATE EXTERNAL TABLE, or TBLPROPERTIES "
            "('table_type'='ICEBERG') for an Iceberg table"
        )
    if statement.location is None:
        raise semantic("No location was specified for table. An S3 location must be specified")
    if statement.partitioned_by:
        shown = ", ".join(each.column for each in statement.partitioned_by)
        raise semantic(f"PARTITIONED BY ({shown}): a partition key of a table that is not Iceberg's has a type")
    if not statement.columns:
        raise semantic(f"[Error 10035]: the table {statement.name} has no columns")
    names = [each.name for each in statement.columns]
    for key in statement.keys:
        if key.name in names:
            raise semantic(f"[Error 10035]: Column repeated in partitioning columns: {key.name}")
    for column in (*statement.clustered_by, *(each for each, _ in statement.sorted_by)):
        if column not in names:
            raise semantic(f"[Error 10002]: Invalid column reference {column}")
    if statement.clustered_by and statement.buckets < 1:
        raise semantic("[Error 10026]: Bucketized tables should have one or more buckets")


def _descriptor(statement: CreateTable) -> Document:
    storage = storage_of(statement)
    serde = {"serialization.format": "1"}
    if statement.row_format is not None:
        serde.update(statement.row_format.properties)
    serde.update(statement.serde_properties)
    more: Document = {"SerdeInfo": {"SerializationLibrary": storage.serde, "Parameters": serde}}
    if statement.clustered_by:
        more["BucketColumns"] = list(statement.clustered_by)
        more["NumberOfBuckets"] = statement.buckets
        more["SortColumns"] = [
            {"Column": name, "SortOrder": int(order == "ASC")} for name, order in statement.sorted_by
        ]
    location = checked_location(statement.location or "")
    return descriptor(storage, columns(statement.columns), location, **more)


def _change_storage(
    running: Running, statement: Any, partition: Mapping[str, str] | None, changed: Mapping[str, Any]
) -> Outcome:
    """Change the StorageDescriptor of a table, or of one partition."""
    found = catalog.hive_table(running, catalog.named(running, statement.name))
    if partition is None:
        parameters = {**(found.get("Parameters") or {}), **_modified(running)}
        catalog.update_table(
            running, found, StorageDescriptor={**found["StorageDescriptor"], **changed}, Parameters=parameters
        )
    else:
        owner = find_partition(running, found, partition)
        put_partition(running, found, owner, StorageDescriptor={**owner["StorageDescriptor"], **changed})
    return Outcome(statement.kind, statement.substatement, rows=())


def _modified(running: Running) -> dict[str, str]:
    return {"last_modified_by": OWNER, "last_modified_time": str(catalog.now_seconds(running))}
