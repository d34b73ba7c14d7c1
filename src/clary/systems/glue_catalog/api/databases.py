"""Databases: create, show, change, delete."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.rooms.tags import tags_without
from clary.kernel.store import Conflict
from clary.kernel.wire import page_asked, page_output
from clary.systems.glue_catalog.inputs import check_tags, database_input
from clary.systems.glue_catalog.lookup import (
    CATALOG,
    allow,
    check_catalog,
    database_of,
    find_database,
    folded,
    invalid,
    modified_meanwhile,
)
from clary.systems.glue_catalog.records import Database, Forgotten
from clary.systems.glue_catalog.shown import show_database

DATABASES = Resource(
    "glue",
    "database",
    Database,
    missing=("EntityNotFoundException", "Database {name} not found."),
    taken=("AlreadyExistsException", "Database already exists: {name}"),
)


@operation("glue", "CreateDatabase", resource=CATALOG)
def create_database(
    ctx: Context,
    DatabaseInput: Mapping[str, Any],
    CatalogId: str | None = None,
    Tags: Mapping[str, str] | None = None,
) -> None:
    """Add a database, its name in lower case."""
    check_catalog(ctx, CatalogId)
    given = database_input(DatabaseInput, ctx.account, ctx.region)
    allow(ctx, f"database/{given['Name']}")
    DATABASES.create(ctx, given["Name"], Database(new_id(), given), tags=check_tags(Tags or {}))


@operation("glue", "GetDatabase", resource=CATALOG)
def get_database(ctx: Context, Name: str, CatalogId: str | None = None) -> dict[str, Any]:
    """One database; one that is a resource link has the properties of what it links to."""
    check_catalog(ctx, CatalogId)
    allow(ctx, f"database/{folded(Name)}")
    shown = show_database(find_database(ctx, Name))
    if "TargetDatabase" in shown:
        shown = {**show_database(database_of(ctx, Name)), **shown}
    return {"Database": shown}


@operation("glue", "GetDatabases", resource=CATALOG)
def get_databases(
    ctx: Context,
    CatalogId: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
    ResourceShareType: str | None = None,
    AttributesToGet: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The databases by name. None are shared by other accounts, nor federated."""
    check_catalog(ctx, CatalogId)
    allow(ctx, "database/*")
    if ResourceShareType in ("FOREIGN", "FEDERATED"):
        return {"DatabaseList": []}
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults})
    page = ctx.records(Database).page(limit, position)
    shown = [show_database(entry) for entry in page]
    if AttributesToGet:
        shown = [{"Name": database["Name"]} for database in shown]
    return page_output(ctx.operation, shown, page.next_token)


@operation("glue", "UpdateDatabase", resource=CATALOG)
def update_database(ctx: Context, Name: str, DatabaseInput: Mapping[str, Any], CatalogId: str | None = None) -> None:
    """Write over a database's definition; its name stays."""
    check_catalog(ctx, CatalogId)
    name = folded(Name)
    allow(ctx, f"database/{name}")
    given = database_input(DatabaseInput, ctx.account, ctx.region)
    if given["Name"] != name:
        raise invalid(f"The name of a database cannot be changed: {name} is to be {given['Name']}")
    if ctx.records(Database).update(name, lambda kept: Database(kept.uid, given)) is None:
        raise DATABASES.not_found(ctx, name)


@operation("glue", "DeleteDatabase", resource=CATALOG)
def delete_database(ctx: Context, Name: str, CatalogId: str | None = None) -> None:
    """Remove a database and all that is in it, which is gone at once and cleared away soon after."""
    check_catalog(ctx, CatalogId)
    name = folded(Name)
    allow(ctx, f"database/{name}", f"table/{name}/*")
    entry = find_database(ctx, name)
    forgotten = ctx.records(Forgotten).insertion(entry.value.uid, Forgotten(ctx.platform.clock.now()))
    gone = tags_without(ctx.platform, DATABASES.arn(ctx, name))
    try:
        ctx.records(Database).delete(name, version=entry.version, also=[forgotten, *gone])
    except Conflict:
        raise modified_meanwhile(f"Delete of database {name}") from None
    ctx.platform.wake("glue_catalog")
