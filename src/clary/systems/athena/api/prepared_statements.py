"""Prepared statements of work groups: queries with `?` for what is given when they are executed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import AlreadyExists, Entry
from clary.kernel.wire import page_asked, page_output
from clary.systems.athena.records import PreparedStatement, prepared_key, prepared_name
from clary.systems.athena.refusals import invalid, missing
from clary.systems.athena.work_groups import find_work_group

_GROUP = "workgroup/{WorkGroup}"


@operation("athena", "CreatePreparedStatement", resource=_GROUP)
def create_prepared_statement(
    ctx: Context, StatementName: str, WorkGroup: str, QueryStatement: str, Description: str = ""
) -> None:
    group = find_work_group(ctx, WorkGroup)
    try:
        ctx.records(PreparedStatement).create(
            prepared_key(group.name, StatementName), PreparedStatement(QueryStatement, Description), parent=group.name
        )
    except AlreadyExists:
        raise invalid(
            f"Prepared statement {StatementName} already exists in WorkGroup {group.name}: update or delete it"
        ) from None


@operation("athena", "GetPreparedStatement", resource=_GROUP)
def get_prepared_statement(ctx: Context, StatementName: str, WorkGroup: str) -> dict[str, Any]:
    return {"PreparedStatement": _shown(_find(ctx, WorkGroup, StatementName))}


@operation("athena", "BatchGetPreparedStatement", resource=_GROUP)
def batch_get_prepared_statement(ctx: Context, PreparedStatementNames: Sequence[str], WorkGroup: str) -> dict[str, Any]:
    """Several prepared statements; those that are not there are told."""
    shown, unknown = [], []
    find_work_group(ctx, WorkGroup)
    for name in PreparedStatementNames:
        try:
            shown.append(_shown(_find(ctx, WorkGroup, name)))
        except AwsError as error:
            unknown.append({"StatementName": name, "ErrorCode": "STATEMENT_NOT_FOUND", "ErrorMessage": error.message})
    return {"PreparedStatements": shown, "UnprocessedPreparedStatementNames": unknown}


@operation("athena", "ListPreparedStatements", resource=_GROUP)
def list_prepared_statements(
    ctx: Context, WorkGroup: str, NextToken: str | None = None, MaxResults: int | None = None
) -> dict[str, Any]:
    """The prepared statements of a work group by name."""
    group = find_work_group(ctx, WorkGroup)
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults or 50})
    page = ctx.records(PreparedStatement).page(limit, position, parent=group.name)
    shown = [{"StatementName": prepared_name(entry.name), "LastModifiedTime": entry.updated_at} for entry in page]
    return page_output(ctx.operation, shown, page.next_token)


@operation("athena", "UpdatePreparedStatement", resource=_GROUP)
def update_prepared_statement(
    ctx: Context, StatementName: str, WorkGroup: str, QueryStatement: str, Description: str | None = None
) -> None:
    def change(statement: PreparedStatement) -> PreparedStatement:
        said = statement.description if Description is None else Description
        return replace(statement, query=QueryStatement, description=said)

    group = find_work_group(ctx, WorkGroup)
    if ctx.records(PreparedStatement).update(prepared_key(group.name, StatementName), change) is None:
        raise _missing(ctx, group.name, StatementName)


@operation("athena", "DeletePreparedStatement", resource=_GROUP)
def delete_prepared_statement(ctx: Context, StatementName: str, WorkGroup: str) -> None:
    group = find_work_group(ctx, WorkGroup)
    if not ctx.records(PreparedStatement).delete(prepared_key(group.name, StatementName)):
        raise _missing(ctx, group.name, StatementName)


def _find(ctx: Context, work_group: str, name: str) -> Entry[PreparedStatement]:
    group = find_work_group(ctx, work_group)
    found = ctx.records(PreparedStatement).get(prepared_key(group.name, name))
    if found is None:
        raise _missing(ctx, group.name, name)
    return found


def _missing(ctx: Context, work_group: str, name: str) -> AwsError:
    return missing(
        f"PreparedStatement {name} was not found in workGroup {work_group}", ctx.arn(f"workgroup/{work_group}")
    )


def _shown(entry: Entry[PreparedStatement]) -> dict[str, Any]:
    statement = entry.value
    shown = {
        "StatementName": prepared_name(entry.name),
        "QueryStatement": statement.query,
        "WorkGroupName": entry.parent,
        "LastModifiedTime": entry.updated_at,
    }
    return shown | ({"Description": statement.description} if statement.description else {})
