"""Executions of queries: start, show, list, stop. The carrier runs them."""

import importlib.util
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from clary.kernel.auth.deferred import kept
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.objects import parse_s3_uri
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.store import AlreadyExists, Conflict
from clary.kernel.wire import page_asked, page_output
from clary.systems.athena.catalogs import completed_context
from clary.systems.athena.configurations import check_results
from clary.systems.athena.contract import DDL, DML, UTILITY
from clary.systems.athena.endings import cancelled
from clary.systems.athena.executions import execution_resource, find_execution
from clary.systems.athena.records import CANCELLED, QUEUED, TOPIC, UNFINISHED, QueryExecution
from clary.systems.athena.refusals import invalid
from clary.systems.athena.running.told import tell
from clary.systems.athena.shown import show_execution
from clary.systems.athena.work_groups import enabled_work_group, find_work_group, group_resource, result_configuration

_IDS = uuid.UUID("5e7f9d3a-62f5-4d0e-9a31-6f6d0b0c7b43")
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)
_WORDS = re.compile(r"[(\s]*([A-Za-z]+)")
_KINDS = {
    **dict.fromkeys(("SELECT", "WITH", "VALUES", "TABLE", "INSERT", "DELETE", "UPDATE", "MERGE", "UNLOAD"), DML),
    **dict.fromkeys(("EXECUTE", "OPTIMIZE", "VACUUM"), DML),
    **dict.fromkeys(("SHOW", "DESCRIBE", "DESC", "EXPLAIN"), UTILITY),
}
_WITH_ROWS = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "EXECUTE"})

# Kept so that the events of EventBridge know the records.
QUERY_EXECUTIONS = Resource("athena", "query", QueryExecution)


@operation("athena", "StartQueryExecution", resource=group_resource)
def start_query_execution(
    ctx: Context,
    QueryString: str,
    ClientRequestToken: str | None = None,
    QueryExecutionContext: Mapping[str, str] | None = None,
    ResultConfiguration: Mapping[str, Any] | None = None,
    WorkGroup: str | None = None,
    ExecutionParameters: Sequence[str] | None = None,
    ResultReuseConfiguration: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Record the query and wake who runs it. What only shows when it runs, such as bad SQL, fails the query."""
    _check_installed()
    group = enabled_work_group(ctx, WorkGroup)
    request = {
        "QueryString": QueryString,
        "QueryExecutionContext": completed_context(ctx, QueryExecutionContext),
        "ExecutionParameters": list(ExecutionParameters or ()),
        "ResultReuseConfiguration": dict(ResultReuseConfiguration or {}),
        "ResultConfiguration": dict(ResultConfiguration or {}),
    }
    results = check_results(ctx, result_configuration(group.value, ResultConfiguration))
    name = new_uuid() if ClientRequestToken is None else _id_of(ctx, ClientRequestToken)
    output = _output(ctx, results, name)
    kind, ending = _guessed(QueryString)
    execution = QueryExecution(
        request=request,
        settings={**group.value.configuration, **results, "EngineVersion": group.value.engine},
        caller=kept(ctx.principal),
        output=output,
        location=output + ending,
        kind=kind,
    )
    try:
        ctx.records(QueryExecution).create(name, execution, status=QUEUED, parent=group.name)
    except AlreadyExists:
        _check_same(ctx, name, group.name, request)
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{name}")
    return {"QueryExecutionId": name}


@operation("athena", "GetQueryExecution", resource=execution_resource)
def get_query_execution(ctx: Context, QueryExecutionId: str) -> dict[str, Any]:
    """One execution, as it is now."""
    return {"QueryExecution": show_execution(find_execution(ctx, QueryExecutionId))}


@operation("athena", "BatchGetQueryExecution")
def batch_get_query_execution(ctx: Context, QueryExecutionIds: Sequence[str]) -> dict[str, Any]:
    """Several executions; those that are not there are told."""
    shown, missing = [], []
    for name in QueryExecutionIds:
        try:
            shown.append(show_execution(find_execution(ctx, name)))
        except AwsError as error:
            missing.append(
                {"QueryExecutionId": name, "ErrorCode": "INVALID_QUERY_EXECUTION_ID", "ErrorMessage": error.message}
            )
    return {"QueryExecutions": shown, "UnprocessedQueryExecutionIds": missing}


@operation("athena", "ListQueryExecutions", resource=group_resource)
def list_query_executions(
    ctx: Context, NextToken: str | None = None, MaxResults: int | None = None, WorkGroup: str | None = None
) -> dict[str, Any]:
    """The ids of a work group's executions, the newest first."""
    group = find_work_group(ctx, WorkGroup)
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults or 50})
    page = ctx.records(QueryExecution).page(limit, position, sort="created_at", descending=True, parent=group.name)
    return page_output(ctx.operation, [entry.name for entry in page], page.next_token)


@operation("athena", "StopQueryExecution", resource=execution_resource)
def stop_query_execution(ctx: Context, QueryExecutionId: str) -> None:
    """Ask a query to stop, and answer at once; one that waits is cancelled, one that has ended stays as it is."""
    table = ctx.records(QueryExecution)
    while True:
        entry = find_execution(ctx, QueryExecutionId)
        if entry.status not in UNFINISHED:
            return
        try:
            if entry.status == QUEUED:
                ended = table.replace(entry, cancelled(entry, ctx.platform.clock.now()), status=CANCELLED)
                tell(ctx.platform, ended)
                return
            table.replace(entry, replace(entry.value, stop=True))
        except Conflict:
            continue
        ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{QueryExecutionId}")
        return


@cache
def _check_installed() -> None:
    """Raise InvalidRequestException where there is nothing to run queries with."""
    missing = [name for name in ("duckdb", "pyarrow", "sqlglot") if importlib.util.find_spec(name) is None]
    if missing:
        raise invalid(f"Queries need {', '.join(missing)}, which is not installed: pip install 'clary[data]'.")


def _id_of(ctx: Context, token: str) -> str:
    """The same id for the same token: asking again finds what asking first has made."""
    return str(uuid.uuid5(_IDS, f"{ctx.account} {ctx.region} {token}"))


def _check_same(ctx: Context, name: str, group: str, request: Mapping[str, Any]) -> None:
    entry = find_execution(ctx, name)
    if entry.parent != group or entry.value.request != request:
        raise invalid("Idempotent parameters do not match: this ClientRequestToken started another query before")


def _output(ctx: Context, results: Mapping[str, Any], name: str) -> str:
    """Where results go, less the ending. Raises InvalidRequestException where nothing can go there."""
    location = results["OutputLocation"]
    try:
        bucket, _ = parse_s3_uri(location)
        ctx.platform.objects.buckets.get(bucket, ctx.account)
    except AwsError as error:
        raise invalid(f"Unable to verify/create output bucket of {location}: {error.message}") from None
    return f"{location.rstrip('/')}/{name}"


def _guessed(text: str) -> tuple[str, str]:
    """The kind of a statement and the ending of its result by its first word, until it is parsed."""
    found = _WORDS.match(_COMMENTS.sub("", text))
    word = found[1].upper() if found else ""
    return _KINDS.get(word, DDL), ".csv" if word in _WITH_ROWS else "" if _KINDS.get(word) == DML else ".txt"
