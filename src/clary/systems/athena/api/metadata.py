"""Databases and tables, as Athena shows them of the Glue catalog."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.systems.athena.catalogs import check_catalog
from clary.systems.athena.refusals import invalid, metadata

_CATALOG = "datacatalog/{CatalogName}"


@operation("athena", "GetDatabase", resource=_CATALOG)
def get_database(ctx: Context, CatalogName: str, DatabaseName: str, WorkGroup: str | None = None) -> dict[str, Any]:
    """One database. The work group matters where IAM Identity Center gives permissions, which Clary has not."""
    check_catalog(ctx, CatalogName)
    return {"Database": _database(_asked(ctx, "GetDatabase", Name=DatabaseName)["Database"])}


@operation("athena", "ListDatabases", resource=_CATALOG)
def list_databases(
    ctx: Context,
    CatalogName: str,
    NextToken: str | None = None,
    MaxResults: int | None = None,
    WorkGroup: str | None = None,
    AttributesToGet: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The databases by name."""
    check_catalog(ctx, CatalogName)
    found = _asked(ctx, "GetDatabases", NextToken=NextToken, MaxResults=MaxResults or 50)
    shown = [_database(each) for each in found["DatabaseList"]]
    if AttributesToGet:
        shown = [{"Name": each["Name"]} for each in shown]
    return {"DatabaseList": shown, **_more(found)}


@operation("athena", "GetTableMetadata", resource=_CATALOG)
def get_table_metadata(
    ctx: Context, CatalogName: str, DatabaseName: str, TableName: str, WorkGroup: str | None = None
) -> dict[str, Any]:
    """One table."""
    check_catalog(ctx, CatalogName)
    return {"TableMetadata": _table(_asked(ctx, "GetTable", DatabaseName=DatabaseName, Name=TableName)["Table"])}


@operation("athena", "ListTableMetadata", resource=_CATALOG)
def list_table_metadata(
    ctx: Context,
    CatalogName: str,
    DatabaseName: str,
    Expression: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
    WorkGroup: str | None = None,
    AttributesToGet: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The tables of a database by name, those alone whose whole name the regular expression describes."""
    check_catalog(ctx, CatalogName)
    limit = MaxResults or 50
    wanted = _pattern(Expression)
    shown: list[dict[str, Any]] = []
    while True:
        # As many as there is room for, so that the page of the catalog ends where ours does.
        found = _asked(ctx, "GetTables", DatabaseName=DatabaseName, NextToken=NextToken, MaxResults=limit - len(shown))
        shown += [_table(each) for each in found["TableList"] if wanted is None or wanted.fullmatch(each["Name"])]
        NextToken = found.get("NextToken")
        if NextToken is None or len(shown) >= limit:
            break
    if AttributesToGet:
        kept = {"Name", *(["TableType"] if "TABLE_TYPE" in AttributesToGet else [])}
        shown = [{name: value for name, value in each.items() if name in kept} for each in shown]
    return {"TableMetadataList": shown, **_more(found)}


def _asked(ctx: Context, operation: str, **params: Any) -> dict[str, Any]:
    """The Glue catalog's answer to the caller. Raises MetadataException for what is not there."""
    try:
        return ctx.call("glue", operation, {name: value for name, value in params.items() if value is not None})
    except AwsError as error:
        if error.code == "EntityNotFoundException":
            # In AWS's very form: SQLAlchemy's dialect learns from the code in it that there is no such table.
            raise metadata(
                f"{error.message} (Service: AmazonDataCatalog; Status Code: 400; Error Code: {error.code}; "
                f"Request ID: {ctx.request_id}; Proxy: null)"
            ) from None
        raise


def _more(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"NextToken": found["NextToken"]} if found.get("NextToken") else {}


def _pattern(expression: str | None) -> re.Pattern[str] | None:
    if not expression:
        return None
    if expression == "*":
        return None
    try:
        return re.compile(expression, re.IGNORECASE)
    except re.error as error:
        raise invalid(f"Expression {expression!r} is not a regular expression: {error}") from None


def _database(given: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"Name": given["Name"]}
    if given.get("Description"):
        shown["Description"] = given["Description"]
    if given.get("Parameters"):
        shown["Parameters"] = given["Parameters"]
    return shown


def _table(given: Mapping[str, Any]) -> dict[str, Any]:
    """A table with its parameters, and those that say where and how its data lie."""
    descriptor = given.get("StorageDescriptor") or {}
    serde = descriptor.get("SerdeInfo") or {}
    said = {
        "location": descriptor.get("Location"),
        "inputformat": descriptor.get("InputFormat"),
        "outputformat": descriptor.get("OutputFormat"),
        "serde.serialization.lib": serde.get("SerializationLibrary"),
        **{f"serde.param.{name}": value for name, value in (serde.get("Parameters") or {}).items()},
    }
    shown = {
        "Name": given["Name"],
        "TableType": given.get("TableType") or "",
        "CreateTime": given.get("CreateTime"),
        "LastAccessTime": given.get("LastAccessTime"),
        "Columns": [_column(each) for each in descriptor.get("Columns") or ()],
        "PartitionKeys": [_column(each) for each in given.get("PartitionKeys") or ()],
        "Parameters": {**(given.get("Parameters") or {}), **{name: value for name, value in said.items() if value}},
    }
    return {name: value for name, value in shown.items() if value is not None}


def _column(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("Name", "Type", "Comment") if given.get(name)}
