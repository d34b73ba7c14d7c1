"""Executions by the ids that requests give."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.systems.athena.records import QueryExecution
from clary.systems.athena.refusals import invalid


def execution_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """The work group of an execution, which is what policies speak of."""
    found = ctx.records(QueryExecution).get(params["QueryExecutionId"])
    return "workgroup/*" if found is None else f"workgroup/{found.parent}"


def find_execution(ctx: Context, name: str) -> Entry[QueryExecution]:
    """The execution. Raises InvalidRequestException."""
    found = ctx.records(QueryExecution).get(name)
    if found is None:
        raise invalid(f"QueryExecution {name} was not found", "INVALID_QUERY_EXECUTION_ID")
    return found
