"""Named queries: texts that were saved."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, operation
from clary.kernel.store import AlreadyExists, Entry
from clary.kernel.wire import page_asked, page_output
from clary.systems.athena.records import NamedQuery
from clary.systems.athena.refusals import invalid
from clary.systems.athena.work_groups import find_work_group, group_resource

_IDS = uuid.UUID("0a3e9a4c-7a55-4d5c-9c25-0c4cb0a3b1f2")


def _resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """The work group of a named query, which is what policies speak of."""
    found = ctx.records(NamedQuery).get(params["NamedQueryId"])
    return "workgroup/*" if found is None else f"workgroup/{found.parent}"


@operation("athena", "CreateNamedQuery", resource=group_resource)
def create_named_query(
    ctx: Context,
    Name: str,
    Database: str,
    QueryString: str,
    Description: str = "",
    ClientRequestToken: str | None = None,
    WorkGroup: str | None = None,
) -> dict[str, Any]:
    """Save a query; the same token saves it once."""
    group = find_work_group(ctx, WorkGroup)
    query = NamedQuery(Name, Database, QueryString, Description)
    token = ClientRequestToken
    name = new_uuid() if token is None else str(uuid.uuid5(_IDS, f"{ctx.account} {ctx.region} {token}"))
    try:
        ctx.records(NamedQuery).create(name, query, parent=group.name)
    except AlreadyExists:
        entry = _find(ctx, name)
        if (entry.value, entry.parent) != (query, group.name):
            raise invalid("Idempotent parameters do not match: this ClientRequestToken saved another query") from None
    return {"NamedQueryId": name}


@operation("athena", "GetNamedQuery", resource=_resource)
def get_named_query(ctx: Context, NamedQueryId: str) -> dict[str, Any]:
    return {"NamedQuery": _shown(_find(ctx, NamedQueryId))}


@operation("athena", "BatchGetNamedQuery")
def batch_get_named_query(ctx: Context, NamedQueryIds: Sequence[str]) -> dict[str, Any]:
    """Several saved queries; those that are not there are told."""
    shown, missing = [], []
    for name in NamedQueryIds:
        try:
            shown.append(_shown(_find(ctx, name)))
        except AwsError as error:
            missing.append({"NamedQueryId": name, "ErrorCode": "INVALID_INPUT", "ErrorMessage": error.message})
    return {"NamedQueries": shown, "UnprocessedNamedQueryIds": missing}


@operation("athena", "ListNamedQueries", resource=group_resource)
def list_named_queries(
    ctx: Context, NextToken: str | None = None, MaxResults: int | None = None, WorkGroup: str | None = None
) -> dict[str, Any]:
    """The ids of a work group's saved queries, the oldest first."""
    group = find_work_group(ctx, WorkGroup)
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults or 50})
    page = ctx.records(NamedQuery).page(limit, position, sort="created_at", parent=group.name)
    return page_output(ctx.operation, [entry.name for entry in page], page.next_token)


@operation("athena", "UpdateNamedQuery", resource=_resource)
def update_named_query(
    ctx: Context, NamedQueryId: str, Name: str, QueryString: str, Description: str | None = None
) -> None:
    """Change a saved query; its database and work group stay."""

    def change(query: NamedQuery) -> NamedQuery:
        said = query.description if Description is None else Description
        return replace(query, name=Name, query=QueryString, description=said)

    if ctx.records(NamedQuery).update(NamedQueryId, change) is None:
        raise _missing(NamedQueryId)


@operation("athena", "DeleteNamedQuery", resource=_resource)
def delete_named_query(ctx: Context, NamedQueryId: str) -> None:
    if not ctx.records(NamedQuery).delete(NamedQueryId):
        raise _missing(NamedQueryId)


def _find(ctx: Context, name: str) -> Entry[NamedQuery]:
    found = ctx.records(NamedQuery).get(name)
    if found is None:
        raise _missing(name)
    return found


def _missing(name: str) -> AwsError:
    return invalid(f"NamedQuery {name} was not found")


def _shown(entry: Entry[NamedQuery]) -> dict[str, Any]:
    query = entry.value
    shown = {
        "NamedQueryId": entry.name,
        "Name": query.name,
        "Database": query.database,
        "QueryString": query.query,
        "WorkGroup": entry.parent,
    }
    return shown | ({"Description": query.description} if query.description else {})
