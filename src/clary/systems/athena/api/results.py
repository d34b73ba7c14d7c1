"""What came of queries: their rows, page by page, and how they ran."""

from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.objects import parse_s3_uri
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire.pagination import bad_token, decode_token, encode_token
from clary.systems.athena.executions import execution_resource, find_execution
from clary.systems.athena.pages import Row, csv_page, text_page
from clary.systems.athena.permissions import require
from clary.systems.athena.records import CANCELLED, FAILED, SUCCEEDED, QueryExecution
from clary.systems.athena.refusals import invalid
from clary.systems.athena.result_types import column_info

_MOST_ROWS = 1000


@operation("athena", "GetQueryResults", resource=execution_resource)
def get_query_results(
    ctx: Context,
    QueryExecutionId: str,
    NextToken: str | None = None,
    MaxResults: int | None = None,
    QueryResultType: str | None = None,
) -> dict[str, Any]:
    """A page of rows, read from the object that they were stored in. The first row of a query is its header."""
    entry = find_execution(ctx, QueryExecutionId)
    _check_succeeded(entry)
    execution = entry.value
    start = decode_token(ctx.operation, NextToken) if NextToken else 0
    if not isinstance(start, int) or start < 0:
        raise bad_token(ctx.operation)
    uri = execution.manifest if QueryResultType == "DATA_MANIFEST" else execution.location
    if QueryResultType == "DATA_MANIFEST" and not execution.manifest:
        raise invalid(f"QueryExecution {entry.name} has no manifest: it wrote no table")
    rows: list[Row] = []
    next_at = None
    if execution.manifest and uri != execution.manifest:
        columns: list[list[str]] = []  # it wrote a table, and answers no rows
    else:
        columns = execution.columns or []
        rows, next_at = _page(ctx, uri, start, MaxResults or _MOST_ROWS)
    output: dict[str, Any] = {
        "ResultSet": {
            "Rows": [{"Data": [_datum(value) for value in row]} for row in rows],
            "ResultSetMetadata": {"ColumnInfo": [column_info(name, type_) for name, type_ in columns]},
        },
        "UpdateCount": execution.update_count or 0,
    }
    if next_at is not None:
        output["NextToken"] = encode_token(ctx.operation, next_at)
    return output


@operation("athena", "GetQueryRuntimeStatistics", resource=execution_resource)
def get_query_runtime_statistics(ctx: Context, QueryExecutionId: str) -> dict[str, Any]:
    """How long the parts of a query took, and what it read and answered; the engine does all in one stage."""
    entry = find_execution(ctx, QueryExecutionId)
    execution = entry.value
    timeline = {name: value for name, value in execution.statistics.items() if name.endswith("InMillis")}
    statistics: dict[str, Any] = {"Timeline": timeline}
    if execution.rows:
        statistics["Rows"] = execution.rows
        statistics["OutputStage"] = {
            "StageId": 0,
            "State": "FINISHED" if entry.status == SUCCEEDED else entry.status,
            **execution.rows,
            "ExecutionTime": timeline.get("EngineExecutionTimeInMillis", 0),
        }
    return {"QueryRuntimeStatistics": statistics}


def _check_succeeded(entry: Entry[QueryExecution]) -> None:
    if entry.status == SUCCEEDED:
        return
    if entry.status in (FAILED, CANCELLED):
        raise invalid(
            f"Query did not finish successfully. Final query state: {entry.status}", "INVALID_QUERY_EXECUTION_STATUS"
        )
    raise invalid(f"Query has not yet finished. Current state: {entry.status}", "QUERY_NOT_FINISHED")


def _page(ctx: Context, uri: str, start: int, limit: int) -> tuple[list[Row], int | None]:
    """Rows of a result, as the caller may read it. Raises InvalidRequestException where it is gone."""
    require(ctx, "s3:GetObject", uri)
    try:
        bucket, key = parse_s3_uri(uri)
        path = ctx.platform.objects.local_path(bucket, key, account=ctx.account)
    except AwsError as error:
        raise invalid(f"Could not find results: {error.message}", "RESULTS_NOT_FOUND") from None
    with path.open("rb") as file:
        page = text_page(file, start, limit) if uri.endswith(".txt") else csv_page(file, start, limit)
    return page.rows, page.next_at


def _datum(value: str | None) -> dict[str, str]:
    return {} if value is None else {"VarCharValue": value}
