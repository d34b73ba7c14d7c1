"""Iceberg tables: create, drop, rename, and what ALTER TABLE sets of a whole table."""

import re
from collections.abc import Mapping, Sequence

from clary.kernel.core.errors import AwsError
from clary.lake.iceberg.access import ObjectIO
from clary.lake.iceberg.commits import commit, set_properties
from clary.lake.iceberg.creating import PartitionBy, create, new_metadata, schema_of, spec_of
from clary.lake.iceberg.evolving import is_alike
from clary.lake.iceberg.expiring import all_files
from clary.lake.iceberg.tables import BadMetadata, IcebergTable, described, opened
from clary.lake.tables import Column
from clary.lake.types import parse_type
from clary.systems.athena.contract import Outcome, Own, Running, StatementFailed, TableName
from clary.systems.athena.language.statements import (
    ColumnDefinition,
    CreateTable,
    DropTable,
    PartitionField,
    RenameTable,
    SetTableProperties,
    UnsetTableProperties,
)
from clary.systems.athena.planning.iceberg import failing
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import semantic
from clary.systems.athena.statements.iceberg_properties import created_properties, iceberg_properties, kept_name
from clary.systems.athena.statements.storage import checked_location

OWNER = "hadoop"
_TRANSFORM = re.compile(r"(bucket|truncate)\[(\d+)\]|identity|years?|months?|days?|hours?")

_METADATA, _HELD = "metadata_location", "clary.athena.held"
_MOST_TRIES = 100

_UNKNOWN = re.compile(r"\b(tinyint|smallint|char)\b")


def create_table(running: Running, statement: CreateTable) -> Outcome:
    """Make a table without rows at its LOCATION, partitioned by what its columns are transformed to."""
    name = catalog.named(running, statement.name)
    _check(statement)
    catalog.database(running, name.database)
    columns = columns_of(statement.columns)
    added = new_table(
        running,
        name,
        columns,
        [partition_by(each) for each in statement.partitioned_by],
        checked_location(statement.location or ""),
        created_properties(statement.properties),
        comment=statement.comment or "",
    )
    if added is None and not statement.if_not_exists and not (running.resumed and _is_made(running, name, columns)):
        raise already_there(name)
    return Outcome(statement.kind, statement.substatement, rows=())


def new_table(
    running: Running,
    name: TableName,
    columns: Sequence[Column],
    keys: Sequence[PartitionBy],
    location: str,
    properties: dict[str, str],
    *,
    comment: str = "",
) -> IcebergTable | None:
    """Add a table to the catalog; None where there is one of that name. Raises StatementFailed."""
    if catalog.find_table(running, name) is not None:
        return None
    with failing(name.database, name.name):
        schema = schema_of(columns)
        metadata = new_metadata(schema, spec_of(schema, keys), location, properties)
        try:
            return create(running, name.database, name.name, metadata, owner=OWNER, description=comment)
        except AwsError as error:
            if error.code == "AlreadyExistsException":
                return None
            raise


def drop_table(running: Running, statement: DropTable) -> Outcome:
    """Forget a table, and remove all the files that it consists of."""
    name = catalog.named(running, statement.name)
    document = catalog.table(running, name)
    files: Sequence[str] = ()
    try:
        files = all_files(running, opened(document, ObjectIO(running)))
    except BadMetadata:
        pass  # nothing tells what its files are: what can be forgotten is its entry
    running.check_delete(files)
    try:
        running.call("DeleteTable", DatabaseName=name.database, Name=name.name)
    except AwsError as error:
        if error.code != "EntityNotFoundException":
            raise
    running.delete(files)
    return Outcome(statement.kind, statement.substatement, rows=())


def rename_table(running: Running, statement: RenameTable) -> Outcome:
    """Give a table another name, in its database or another one. Its files stay where they are.

    What others commit meanwhile is not lost: the old name goes only while the table is as it was copied.
    """
    name, to = catalog.named(running, statement.name), catalog.named(running, statement.to)
    if not statement.to.database:
        to = to._replace(database=name.database)
    catalog.database(running, to.database)
    for _ in range(_MOST_TRIES):
        document = catalog.table(running, name)
        held = (document.get("Parameters") or {}).get(_HELD)
        if held not in (None, running.execution_id):
            raise _conflict(name, "another statement is about to rename it")
        if held is None:
            _copy(running, document, to)
        if _let_go(running, document, to, is_held=held is not None):
            return Outcome(statement.kind, statement.substatement, rows=())
    raise _conflict(name, "others kept committing to it")


def _copy(running: Running, document: catalog.Document, to: TableName) -> None:
    """Have the table under its new name too."""
    given = {member: document[member] for member in _INPUT if document.get(member) is not None} | {"Name": to.name}
    try:
        running.call("CreateTable", DatabaseName=to.database, TableInput=given)
    except AwsError as error:
        if error.code != "AlreadyExistsException":
            raise
        there = catalog.find_table(running, to)
        # A try that was cut off between the two names has come so far already.
        if there is None or there.get("Parameters") != document.get("Parameters"):
            raise already_there(to) from None


def _let_go(running: Running, document: catalog.Document, to: TableName, *, is_held: bool) -> bool:
    """Remove the table under its old name; or False, and the new one is gone, where it has changed since."""
    own, parameters = running.own, document.get("Parameters") or {}
    if not is_held:
        # Nobody can commit to what names no metadata.
        nameless = {each: value for each, value in parameters.items() if each != _METADATA}
        try:
            _update(own, document, nameless | {_HELD: own.execution_id}, VersionId=document["VersionId"])
        except AwsError as error:
            own.call("DeleteTable", DatabaseName=to.database, Name=to.name)
            if error.code == "ConcurrentModificationException":
                return False
            raise
    try:
        running.call("DeleteTable", DatabaseName=document["DatabaseName"], Name=document["Name"])
    except AwsError as error:
        if error.code == "EntityNotFoundException":  # somebody dropped what was left of it
            return True
        there = catalog.table(running, to)
        kept = {each: value for each, value in parameters.items() if each != _HELD}
        _update(own, document, kept | {_METADATA: there["Parameters"][_METADATA]})
        own.call("DeleteTable", DatabaseName=to.database, Name=to.name)
        raise
    return True


def _update(own: Own, document: catalog.Document, parameters: Mapping[str, str], **more: str) -> None:
    given = {member: document[member] for member in _INPUT if document.get(member) is not None}
    given |= {"Name": document["Name"], "Parameters": dict(parameters)}
    own.call("UpdateTable", DatabaseName=document["DatabaseName"], TableInput=given, SkipArchive=True, **more)


def _conflict(name: TableName, why: str) -> StatementFailed:
    return StatementFailed("ICEBERG_COMMIT_ERROR", f"Failed to rename table: {name.database}.{name.name}. {why}")


def set_table_properties(running: Running, statement: SetTableProperties) -> Outcome:
    name = catalog.named(running, statement.name)
    with failing(name.database, name.name):
        commit(running, name.database, name.name, set_properties(iceberg_properties(statement.properties)))
    return Outcome(statement.kind, statement.substatement, rows=())


def unset_table_properties(running: Running, statement: UnsetTableProperties) -> Outcome:
    name = catalog.named(running, statement.name)
    with failing(name.database, name.name):
        names = [kept_name(each) for each in statement.properties]
        commit(running, name.database, name.name, set_properties({}, names))
    return Outcome(statement.kind, statement.substatement, rows=())


def columns_of(definitions: Sequence[ColumnDefinition]) -> list[Column]:
    """Columns as Iceberg has them. Raises StatementFailed where a name is there twice or a type cannot be."""
    seen: set[str] = set()
    found = []
    for each in definitions:
        if each.name in seen:
            raise semantic(f"[Error 10036]: Duplicate column name: {each.name}")
        seen.add(each.name)
        try:
            of = parse_type(each.type)
        except ValueError as error:
            raise semantic(f"column {each.name}: {error}") from None
        if _UNKNOWN.search(str(of)):
            raise StatementFailed("NOT_SUPPORTED", f"Unsupported Hive type: {of} of {each.name} in an Iceberg table")
        found.append(Column(each.name, of, each.comment or ""))
    return found


def partition_by(field: PartitionField) -> PartitionBy:
    """What a field of PARTITIONED BY is. Raises StatementFailed for a transform that there is not."""
    found = _TRANSFORM.fullmatch(field.transform)
    if found is None or (found[2] is not None and not 0 < int(found[2]) < 1 << 31):
        raise StatementFailed("NOT_SUPPORTED", f"Unsupported partition transform: {field.transform} of {field.column}")
    if found[1]:
        return PartitionBy(field.column, found[1], int(found[2]))
    return PartitionBy(field.column, field.transform.removesuffix("s"))


def already_there(name: TableName) -> StatementFailed:
    return catalog.execution(f"AlreadyExistsException(message:Table {name.name} already exists)")


def _is_made(running: Running, name: TableName, columns: Sequence[Column]) -> bool:
    """Whether the table is there as it was to be made."""
    document = catalog.find_table(running, name)
    if document is None or not catalog.is_iceberg(document):
        return False
    there = described(opened(document, ObjectIO(running))).columns
    pairs = zip(there, columns, strict=False)
    return len(there) == len(columns) and all(a.name == b.name and is_alike(a.type, b.type) for a, b in pairs)


def _check(statement: CreateTable) -> None:
    if statement.external:
        raise semantic("Iceberg tables are not external: leave EXTERNAL out")
    if statement.location is None:
        raise semantic("Table location can not be null for Iceberg table")
    if not statement.columns:
        raise semantic(f"[Error 10035]: the table {statement.name} has no columns")
    unknown = {
        "a partition key with a type": statement.keys,
        "CLUSTERED BY": statement.clustered_by,
        "ROW FORMAT": statement.row_format,
        "STORED AS": statement.stored_as,
        "SERDEPROPERTIES": statement.serde_properties,
    }
    for what, given in unknown.items():
        if given:
            raise semantic(f"{what} is not for Iceberg tables")


_INPUT: Sequence[str] = (
    "Description", "Owner", "Retention", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters",
)  # fmt: skip
