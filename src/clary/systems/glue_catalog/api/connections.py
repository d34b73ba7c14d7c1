"""Connections: where databases are, and how to get in."""
# ruff: noqa: PT028 - test_connection is an operation, and no test

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.store import Entry
from clary.kernel.wire import paginate
from clary.systems.glue_catalog.connections import checked_input, properties_of, show_connection
from clary.systems.glue_catalog.databases import Unreachable, connected
from clary.systems.glue_catalog.inputs import check_tags
from clary.systems.glue_catalog.lookup import CATALOG, allow, check_catalog, invalid
from clary.systems.glue_catalog.records import Connection

CONNECTIONS = Resource(
    "glue",
    "connection",
    Connection,
    missing=("EntityNotFoundException", "Connection {name} not found."),
    taken=("AlreadyExistsException", "Connection {name} already exists."),
)


@operation("glue", "CreateConnection", resource=CATALOG)
def create_connection(
    ctx: Context,
    ConnectionInput: Mapping[str, Any],
    CatalogId: str | None = None,
    Tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Add a connection; whether it leads anywhere is for TestConnection to say."""
    check_catalog(ctx, CatalogId)
    given = checked_input(ConnectionInput)
    allow(ctx, f"connection/{given['Name']}")
    now = ctx.platform.clock.now()
    value = Connection(given, now, ctx.principal.arn)
    CONNECTIONS.create(ctx, given["Name"], value, tags=check_tags(Tags or {}))
    return {"CreateConnectionStatus": "READY"}


@operation("glue", "GetConnection", resource=CATALOG)
def get_connection(
    ctx: Context, Name: str, CatalogId: str | None = None, HidePassword: bool | None = None
) -> dict[str, Any]:
    """One connection; without its password with `HidePassword`."""
    entry = _find(ctx, CatalogId, Name)
    return {"Connection": show_connection(entry, hidden=bool(HidePassword))}


@operation("glue", "GetConnections", resource=CATALOG)
def get_connections(
    ctx: Context,
    CatalogId: str | None = None,
    Filter: Mapping[str, Any] | None = None,
    HidePassword: bool | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
) -> dict[str, Any]:
    """The connections by name that are of a type, and have all words to be matched by."""
    check_catalog(ctx, CatalogId)
    allow(ctx, "connection/*")
    wanted = Filter or {}
    found = [entry for entry in ctx.records(Connection).all() if _matches(entry, wanted)]
    params = {"NextToken": NextToken, "MaxResults": MaxResults}
    shown = [show_connection(entry, hidden=bool(HidePassword)) for entry in found]
    return paginate(ctx.operation, params, shown, key=lambda connection: connection["Name"])


@operation("glue", "UpdateConnection", resource=CATALOG)
def update_connection(
    ctx: Context, Name: str, ConnectionInput: Mapping[str, Any], CatalogId: str | None = None
) -> None:
    """Write over a connection; its name stays."""
    entry = _find(ctx, CatalogId, Name)
    given = checked_input(ConnectionInput)
    if given["Name"] != Name:
        raise invalid(f"The name of a connection cannot be changed: {Name} is to be {given['Name']}")
    value = Connection(given, ctx.platform.clock.now(), ctx.principal.arn)
    if ctx.records(Connection).update(entry.name, lambda _: value) is None:
        raise CONNECTIONS.not_found(ctx, Name)


@operation("glue", "DeleteConnection", resource=CATALOG)
def delete_connection(ctx: Context, ConnectionName: str, CatalogId: str | None = None) -> None:
    """Remove a connection; crawlers that name it fail from now on."""
    _find(ctx, CatalogId, ConnectionName)
    CONNECTIONS.delete(ctx, ConnectionName)


@operation("glue", "BatchDeleteConnection", resource=CATALOG)
def batch_delete_connection(
    ctx: Context, ConnectionNameList: Sequence[str], CatalogId: str | None = None
) -> dict[str, Any]:
    """Remove connections; those that cannot be are told, and do not hold up the others."""
    check_catalog(ctx, CatalogId)
    succeeded, errors = [], {}
    for name in ConnectionNameList:
        try:
            delete_connection(ctx, name, CatalogId)
            succeeded.append(name)
        except AwsError as error:
            errors[name] = {"ErrorCode": error.code, "ErrorMessage": error.message}
    return {"Succeeded": succeeded, "Errors": errors}


@operation("glue", "TestConnection", resource=CATALOG)
def test_connection(
    ctx: Context,
    ConnectionName: str | None = None,
    CatalogId: str | None = None,
    TestConnectionInput: Mapping[str, Any] | None = None,
) -> None:
    """Connect to the database of a connection, and ask it something."""
    check_catalog(ctx, CatalogId)
    if (ConnectionName is None) == (TestConnectionInput is None):
        raise invalid("Give either ConnectionName or TestConnectionInput")
    if ConnectionName is not None:
        given = _find(ctx, CatalogId, ConnectionName).value.input
    else:
        given = checked_input({"Name": "test", **(TestConnectionInput or {})})
    if given["ConnectionType"] != "JDBC":
        raise invalid(f"A connection of type {given['ConnectionType']} leads to nothing that could be tested")
    try:
        with connected(properties_of(given)) as connection:
            connection.execute("select 1").fetchone()
    except Unreachable as error:
        raise invalid(f"The connection failed: {error}") from None


def _find(ctx: Context, catalog_id: str | None, name: str) -> Entry[Connection]:
    check_catalog(ctx, catalog_id)
    allow(ctx, f"connection/{name}")
    return CONNECTIONS.get(ctx, name)


def _matches(entry: Entry[Connection], wanted: Mapping[str, Any]) -> bool:
    given = entry.value.input
    criteria = given.get("MatchCriteria") or ()
    return (
        wanted.get("ConnectionType") in (None, given["ConnectionType"])
        and wanted.get("ConnectionSchemaVersion") in (None, 1)
        and all(each in criteria for each in wanted.get("MatchCriteria") or ())
    )
