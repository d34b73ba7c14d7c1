"""Executions as Athena shows them."""

from typing import Any

from clary.kernel.store import Entry
from clary.systems.athena.catalogs import DEFAULT_DATABASE
from clary.systems.athena.records import AWS_CATALOG, QueryExecution
from clary.systems.athena.work_groups import engine_version

_STORED = ("EncryptionConfiguration", "ExpectedBucketOwner", "AclConfiguration")


def show_execution(entry: Entry[QueryExecution]) -> dict[str, Any]:
    """An execution as GetQueryExecution answers it."""
    execution, request = entry.value, entry.value.request
    shown: dict[str, Any] = {
        "QueryExecutionId": entry.name,
        "Query": request["QueryString"],
        "StatementType": execution.kind,
        "ResultConfiguration": {
            "OutputLocation": execution.location,
            **{name: execution.settings[name] for name in _STORED if execution.settings.get(name)},
        },
        "ResultReuseConfiguration": request["ResultReuseConfiguration"]
        or {"ResultReuseByAgeConfiguration": {"Enabled": False}},
        "QueryExecutionContext": _context(request["QueryExecutionContext"]),
        "Status": _status(entry),
        "Statistics": {**execution.statistics, "ResultReuseInformation": {"ReusedPreviousResult": execution.reused}},
        "WorkGroup": entry.parent,
        "EngineVersion": engine_version(execution.settings["EngineVersion"]),
    }
    if execution.manifest:
        shown["Statistics"]["DataManifestLocation"] = execution.manifest
    if request["ExecutionParameters"]:
        shown["ExecutionParameters"] = request["ExecutionParameters"]
    if execution.substatement:
        shown["SubstatementType"] = execution.substatement
    return shown


def _context(context: dict[str, str]) -> dict[str, str]:
    """What the client said: the names that stand for nothing said are left out."""
    default = {"Catalog": AWS_CATALOG, "Database": DEFAULT_DATABASE}
    return {
        name: value.lower() if name == "Catalog" else value for name, value in context.items() if value != default[name]
    }


def _status(entry: Entry[QueryExecution]) -> dict[str, Any]:
    execution = entry.value
    status: dict[str, Any] = {"State": entry.status, "SubmissionDateTime": entry.created_at}
    if execution.completed:
        status["CompletionDateTime"] = execution.completed
    if execution.reason:
        status["StateChangeReason"] = execution.reason
    if execution.error:
        status["AthenaError"] = execution.error
    return status
