"""Versions of tables: those that are past, and the one that is."""

from collections.abc import Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import page_asked, page_output
from clary.kernel.wire.pagination import bad_token
from clary.systems.glue_catalog.lookup import CATALOG, find_table, invalid, not_found
from clary.systems.glue_catalog.records import Table, TableVersion, version_key
from clary.systems.glue_catalog.shown import show_version


@operation("glue", "GetTableVersion", resource=CATALOG)
def get_table_version(
    ctx: Context, DatabaseName: str, TableName: str, CatalogId: str | None = None, VersionId: str | None = None
) -> dict[str, Any]:
    """One version of a table; the current one without `VersionId`."""
    entry = find_table(ctx, CatalogId, DatabaseName, TableName)
    if VersionId is None or VersionId == str(entry.value.number):
        return {"TableVersion": show_version(entry)}
    return {"TableVersion": show_version(entry, _past(ctx, entry, VersionId))}


@operation("glue", "GetTableVersions", resource=CATALOG)
def get_table_versions(
    ctx: Context,
    DatabaseName: str,
    TableName: str,
    CatalogId: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
) -> dict[str, Any]:
    """The versions of a table that are kept, the current one first."""
    entry = find_table(ctx, CatalogId, DatabaseName, TableName)
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults})
    if position is not None and not isinstance(position, str):
        raise bad_token(ctx.operation)
    shown = [show_version(entry)] if position is None else []
    last = position or entry.value.uid
    for past in ctx.records(TableVersion).scan(after=last, parent=entry.value.uid):
        if len(shown) == limit:
            return page_output(ctx.operation, shown, last)
        shown.append(show_version(entry, past.value))
        last = past.name
    return page_output(ctx.operation, shown, None)


@operation("glue", "DeleteTableVersion", resource=CATALOG)
def delete_table_version(
    ctx: Context, DatabaseName: str, TableName: str, VersionId: str, CatalogId: str | None = None
) -> None:
    """Forget a past version of a table."""
    entry = find_table(ctx, CatalogId, DatabaseName, TableName)
    if VersionId == str(entry.value.number):
        raise invalid(f"Version {VersionId} is the current one of table {TableName}, which cannot be deleted alone")
    past = _past(ctx, entry, VersionId)
    ctx.records(TableVersion).delete(version_key(entry.value.uid, past.number))


@operation("glue", "BatchDeleteTableVersion", resource=CATALOG)
def batch_delete_table_version(
    ctx: Context, DatabaseName: str, TableName: str, VersionIds: Sequence[str], CatalogId: str | None = None
) -> dict[str, Any]:
    """Forget past versions; those that cannot be are told, and do not hold up the others."""
    find_table(ctx, CatalogId, DatabaseName, TableName)
    errors = []
    for version in VersionIds:
        try:
            delete_table_version(ctx, DatabaseName, TableName, version, CatalogId)
        except AwsError as error:
            detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
            errors.append({"TableName": TableName, "VersionId": version, "ErrorDetail": detail})
    return {"Errors": errors}


def _past(ctx: Context, entry: Entry[Table], version: str) -> TableVersion:
    if not (version.isascii() and version.isdigit() and len(version) < 11):
        raise invalid(f"VersionId {version!r} is not the number of a version")
    found = ctx.records(TableVersion).get(version_key(entry.value.uid, int(version)))
    if found is None:
        raise not_found(f"Version {version} of table {entry.value.input['Name']} not found.")
    return found.value
