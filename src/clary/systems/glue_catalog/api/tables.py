"""Tables: create, show, change, delete."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Context, operation
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.systems.glue_catalog import patterns
from clary.systems.glue_catalog.inputs import table_input
from clary.systems.glue_catalog.lookup import (
    CATALOG,
    allow_tables,
    already_exists,
    check_catalog,
    database_of,
    find_entry,
    folded,
    invalid,
    linked_table,
    modified_meanwhile,
)
from clary.systems.glue_catalog.pages import scan_page
from clary.systems.glue_catalog.partition_indexes import index_keys
from clary.systems.glue_catalog.records import Table, table_key, table_name
from clary.systems.glue_catalog.shown import show_link, show_table
from clary.systems.glue_catalog.tables import forget_table, has_partitions, write_version

_MAX_TRIES = 20


@operation("glue", "CreateTable", resource=CATALOG)
def create_table(
    ctx: Context,
    DatabaseName: str,
    TableInput: Mapping[str, Any] | None = None,
    CatalogId: str | None = None,
    PartitionIndexes: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Add a table, its name in lower case, as version 0."""
    check_catalog(ctx, CatalogId)
    given = _required(ctx, TableInput)
    allow_tables(ctx, DatabaseName, [given["Name"]])
    database = database_of(ctx, DatabaseName)
    table = Table(new_id(), database.name, given, created_by=ctx.principal.arn)
    indexes: dict[str, list[str]] = {}
    for index in PartitionIndexes or ():
        indexes[index["IndexName"]] = index_keys(given, indexes, index)
    table.indexes.update(indexes)
    name = table_key(database.value.uid, given["Name"])
    try:
        ctx.records(Table).create(name, table, parent=database.value.uid)
    except AlreadyExists:
        raise already_exists(f"Table already exists: {given['Name']}") from None


@operation("glue", "GetTable", resource=CATALOG)
def get_table(
    ctx: Context,
    DatabaseName: str,
    Name: str,
    CatalogId: str | None = None,
    IncludeStatusDetails: bool | None = None,
    AttributesToGet: Sequence[str] | None = None,
) -> dict[str, Any]:
    """One table as it is now; a resource link is shown as the table it links to. No table has a Status: changes are
    done when they are answered."""
    entry = find_entry(ctx, CatalogId, DatabaseName, Name)
    return {"Table": _attributes(show_link(entry, linked_table(ctx, entry)), AttributesToGet)}


@operation("glue", "GetTables", resource=CATALOG)
def get_tables(
    ctx: Context,
    DatabaseName: str,
    CatalogId: str | None = None,
    Expression: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
    ResourceShareType: str | None = None,
    IncludeStatusDetails: bool | None = None,
    AttributesToGet: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The tables of a database by name, those alone whose name `Expression` describes."""
    check_catalog(ctx, CatalogId)
    allow_tables(ctx, DatabaseName, ["*"])
    database = database_of(ctx, DatabaseName)
    if ResourceShareType == "FEDERATED":
        return {"TableList": []}
    matching = _name_filter(Expression)
    return scan_page(
        ctx,
        Table,
        {"NextToken": NextToken, "MaxResults": MaxResults},
        lambda entry: _attributes(_listed(ctx, entry), AttributesToGet),
        parent=database.value.uid,
        wanted=None if matching is None else lambda key: matching(table_name(key)),
    )


@operation("glue", "UpdateTable", resource=CATALOG)
def update_table(
    ctx: Context,
    DatabaseName: str,
    TableInput: Mapping[str, Any] | None = None,
    CatalogId: str | None = None,
    SkipArchive: bool | None = None,
    VersionId: str | None = None,
) -> None:
    """Write the next version of a table; with `VersionId`, only if that is still its version.

    The version that was is kept, unless `SkipArchive`.
    """
    given = _required(ctx, TableInput)
    for _ in range(_MAX_TRIES):
        entry = find_entry(ctx, CatalogId, DatabaseName, given["Name"])
        if VersionId is not None and VersionId != str(entry.value.number):
            break
        _keep_partition_keys(ctx, entry, given)
        try:
            write_version(ctx, entry, given, archived=not SkipArchive)
        except Conflict:
            continue
        return
    raise modified_meanwhile("Update table")


@operation("glue", "DeleteTable", resource=CATALOG)
def delete_table(ctx: Context, DatabaseName: str, Name: str, CatalogId: str | None = None) -> None:
    """Remove a table with its versions and partitions; the data it describes stays."""
    forget_table(ctx, lambda: find_entry(ctx, CatalogId, DatabaseName, Name))


@operation("glue", "BatchDeleteTable", resource=CATALOG)
def batch_delete_table(
    ctx: Context, DatabaseName: str, TablesToDelete: Sequence[str], CatalogId: str | None = None
) -> dict[str, Any]:
    """Remove tables; those that cannot be are told, and do not hold up the others."""
    check_catalog(ctx, CatalogId)
    allow_tables(ctx, DatabaseName, TablesToDelete)
    database_of(ctx, DatabaseName)
    errors = []
    for name in TablesToDelete:
        try:
            delete_table(ctx, DatabaseName, name, CatalogId)
        except AwsError as error:
            detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
            errors.append({"TableName": name, "ErrorDetail": detail})
    return {"Errors": errors}


def _listed(ctx: Context, entry: Entry[Table]) -> dict[str, Any]:
    """A table in a list: a link that leads nowhere, or where the caller may not go, is shown as it is."""
    try:
        return show_link(entry, linked_table(ctx, entry))
    except AwsError:
        return show_table(entry)


def _required(ctx: Context, given: Mapping[str, Any] | None) -> dict[str, Any]:
    if given is None:
        raise invalid("TableInput is required: Clary makes and changes tables by it alone")
    return table_input(given, ctx.account, ctx.region)


def _keep_partition_keys(ctx: Context, entry: Entry[Table], given: Mapping[str, Any]) -> None:
    """Refuse an update that would leave the partitions and indexes of a table without their keys."""
    ours = [key["Name"] for key in entry.value.input.get("PartitionKeys") or ()]
    theirs = [key["Name"] for key in given.get("PartitionKeys") or ()]
    if len(ours) == len(theirs) and not entry.value.indexes:
        return
    if ours != theirs and (entry.value.indexes or has_partitions(ctx, entry)):
        raise invalid(
            f"The partition keys of {folded(given['Name'])} are {', '.join(ours) or 'none'} and cannot become "
            f"{', '.join(theirs) or 'none'} while it has partitions or partition indexes"
        )


def _attributes(shown: dict[str, Any], wanted: Sequence[str] | None) -> dict[str, Any]:
    if not wanted or "DEFAULT" in wanted:
        return shown
    if "LATEST_ICEBERG_METADATA" in wanted:
        raise invalid(
            "AttributesToGet LATEST_ICEBERG_METADATA is not supported by Clary: read the file that the table's "
            "parameter metadata_location names"
        )
    members = {"Name", *(["TableType"] if "TABLE_TYPE" in wanted else [])}
    return {member: value for member, value in shown.items() if member in members}


def _name_filter(expression: str | None) -> Callable[[str], bool] | None:
    if not expression:
        return None
    try:
        wanted = patterns.names(expression.lower())
    except ValueError as error:
        raise invalid(f"Expression {expression!r} is not a pattern of names: {error}") from None
    return lambda name: any(patterns.matches(pattern, name) for pattern in wanted)
