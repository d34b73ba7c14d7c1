"""User-defined functions: what classes an engine may call by a name. The catalog keeps them; it runs none."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import epoch_seconds
from clary.kernel.store import AlreadyExists, Entry
from clary.kernel.wire import paginate
from clary.systems.glue_catalog import patterns
from clary.systems.glue_catalog.lookup import (
    CATALOG,
    allow,
    already_exists,
    check_catalog,
    database_of,
    folded,
    invalid,
    not_found,
)
from clary.systems.glue_catalog.records import Database, Function, table_key, table_name


@operation("glue", "CreateUserDefinedFunction", resource=CATALOG)
def create_user_defined_function(
    ctx: Context, DatabaseName: str, FunctionInput: Mapping[str, Any], CatalogId: str | None = None
) -> None:
    """Add a function to a database, its name in lower case."""
    given = _checked(FunctionInput)
    database = _database(ctx, CatalogId, DatabaseName, given["FunctionName"])
    try:
        ctx.records(Function).create(
            table_key(database.value.uid, given["FunctionName"]),
            Function(database.name, given),
            parent=database.value.uid,
        )
    except AlreadyExists:
        raise already_exists(f"Function already exists: {given['FunctionName']}") from None


@operation("glue", "GetUserDefinedFunction", resource=CATALOG)
def get_user_defined_function(
    ctx: Context, DatabaseName: str, FunctionName: str, CatalogId: str | None = None
) -> dict[str, Any]:
    """One function."""
    return {"UserDefinedFunction": _show(_find(ctx, CatalogId, DatabaseName, FunctionName))}


@operation("glue", "GetUserDefinedFunctions", resource=CATALOG)
def get_user_defined_functions(
    ctx: Context,
    Pattern: str,
    DatabaseName: str | None = None,
    FunctionType: str | None = None,
    CatalogId: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
) -> dict[str, Any]:
    """The functions whose name a pattern describes, of one database or of all."""
    check_catalog(ctx, CatalogId)
    allow(ctx, f"database/{folded(DatabaseName or '*')}", f"userDefinedFunction/{folded(DatabaseName or '*')}/*")
    try:
        wanted = patterns.names(Pattern.lower())
    except ValueError as error:
        raise invalid(f"Pattern {Pattern!r} is not a pattern of names: {error}") from None
    databases = [database_of(ctx, DatabaseName)] if DatabaseName else ctx.records(Database).all()
    found = [
        entry
        for database in databases
        for entry in ctx.records(Function).all(parent=database.value.uid)
        if any(patterns.matches(pattern, table_name(entry.name)) for pattern in wanted)
        and FunctionType in (None, entry.value.input["FunctionType"])
    ]
    by_name = {f"{entry.value.database}\n{table_name(entry.name)}": entry for entry in found}
    params = {"NextToken": NextToken, "MaxResults": MaxResults}
    page = paginate(ctx.operation, params, sorted(by_name), key=str)
    return {**page, "UserDefinedFunctions": [_show(by_name[name]) for name in page["UserDefinedFunctions"]]}


@operation("glue", "UpdateUserDefinedFunction", resource=CATALOG)
def update_user_defined_function(
    ctx: Context,
    DatabaseName: str,
    FunctionName: str,
    FunctionInput: Mapping[str, Any],
    CatalogId: str | None = None,
) -> None:
    """Write over a function; its name stays."""
    entry = _find(ctx, CatalogId, DatabaseName, FunctionName)
    given = _checked({"FunctionName": FunctionName, **FunctionInput})
    if given["FunctionName"] != folded(FunctionName):
        raise invalid(f"The name of a function cannot be changed: {FunctionName} is to be {given['FunctionName']}")
    if ctx.records(Function).update(entry.name, lambda kept: Function(kept.database, given)) is None:
        raise _missing(FunctionName)


@operation("glue", "DeleteUserDefinedFunction", resource=CATALOG)
def delete_user_defined_function(
    ctx: Context, DatabaseName: str, FunctionName: str, CatalogId: str | None = None
) -> None:
    """Remove a function."""
    if not ctx.records(Function).delete(_find(ctx, CatalogId, DatabaseName, FunctionName).name):
        raise _missing(FunctionName)


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """A UserDefinedFunctionInput to store. Raises InvalidInputException for what is not honoured."""
    if not given.get("FunctionName"):
        raise invalid("FunctionName of FunctionInput is missing")
    if given.get("GovernanceMode") == "LAKE_FORMATION":
        raise invalid("GovernanceMode LAKE_FORMATION is not supported by Clary, which has no Lake Formation")
    if given.get("ArtifactLocation"):
        raise invalid("ArtifactLocation is not supported by Clary: name the function's files as ResourceUris")
    uris = [
        {**each, "LastModified": epoch_seconds(each["LastModified"])} if each.get("LastModified") else dict(each)
        for each in given.get("ResourceUris") or ()
    ]
    return {
        "FunctionType": "REGULAR_FUNCTION",
        **given,
        "FunctionName": folded(given["FunctionName"]),
        "ResourceUris": uris,
    }


def _database(ctx: Context, catalog_id: str | None, database: str, function: str) -> Entry[Database]:
    check_catalog(ctx, catalog_id)
    name = folded(database)
    allow(ctx, f"database/{name}", f"userDefinedFunction/{name}/{folded(function)}")
    return database_of(ctx, database)


def _find(ctx: Context, catalog_id: str | None, database: str, function: str) -> Entry[Function]:
    uid = _database(ctx, catalog_id, database, function).value.uid
    entry = ctx.records(Function).get(table_key(uid, folded(function)))
    if entry is None:
        raise _missing(function)
    return entry


def _show(entry: Entry[Function]) -> dict[str, Any]:
    value = entry.value
    return {
        **value.input,
        "DatabaseName": value.database,
        "CreateTime": entry.created_at,
        "CatalogId": entry.account,
    }


def _missing(name: str) -> Exception:
    return not_found(f"Function {folded(name)} not found.")
