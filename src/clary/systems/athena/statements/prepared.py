"""Prepared statements of the query's work group: kept, filled in and run, forgotten."""

from clary.kernel.core.errors import AwsError
from clary.systems.athena.contract import Outcome, Running, StatementFailed
from clary.systems.athena.language.parsing import parse
from clary.systems.athena.language.statements import Deallocate, Execute, Prepare

_MISSING = ("ResourceNotFoundException",)


def prepare(running: Running, statement: Prepare) -> Outcome:
    """Keep a statement under a name, over one that was kept there before."""
    kept = {"StatementName": statement.name, "WorkGroup": running.work_group, "QueryStatement": statement.body}
    try:
        running.call("UpdatePreparedStatement", service="athena", **kept)
    except AwsError as error:
        if error.code not in _MISSING:
            raise
        running.call("CreatePreparedStatement", service="athena", **kept)
    return Outcome(statement.kind, statement.substatement, rows=())


def execute(running: Running, statement: Execute) -> Outcome:
    """Run the statement that was prepared, with the parameters in the places of its `?`."""
    from clary.systems.athena.performers import performer

    named = {"StatementName": statement.name, "WorkGroup": running.work_group}
    try:
        found = running.call("GetPreparedStatement", service="athena", **named)
    except AwsError as error:
        if error.code not in _MISSING:
            raise
        raise _missing(statement.name) from None
    prepared = parse(found["PreparedStatement"]["QueryStatement"], statement.parameters)
    if isinstance(prepared, Execute | Prepare | Deallocate):
        raise StatementFailed("NOT_SUPPORTED", f"the prepared statement {statement.name} is no query")
    running.check_results(prepared)
    return performer(prepared)(running, prepared)


def deallocate(running: Running, statement: Deallocate) -> Outcome:
    named = {"StatementName": statement.name, "WorkGroup": running.work_group}
    try:
        running.call("DeletePreparedStatement", service="athena", **named)
    except AwsError as error:
        if error.code not in _MISSING:
            raise
        if not running.resumed:
            raise _missing(statement.name) from None
    return Outcome(statement.kind, statement.substatement, rows=())


def _missing(name: str) -> StatementFailed:
    return StatementFailed("NOT_FOUND", f"line 1:1: Prepared statement not found: {name}")
