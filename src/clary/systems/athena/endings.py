"""How a query ends that never ran."""

from dataclasses import replace

from clary.kernel.store import Entry
from clary.systems.athena.records import QueryExecution

BY_USER = "Query cancelled by user"


def cancelled(entry: Entry[QueryExecution], now: float) -> QueryExecution:
    """The query as cancelled while it waited."""
    waited = round((now - entry.created_at) * 1000)
    statistics = {
        "DataScannedInBytes": 0,
        "EngineExecutionTimeInMillis": 0,
        "QueryQueueTimeInMillis": waited,
        "TotalExecutionTimeInMillis": waited,
        "QueryPlanningTimeInMillis": 0,
        "ServicePreProcessingTimeInMillis": 0,
        "ServiceProcessingTimeInMillis": 0,
    }
    return replace(entry.value, completed=now, reason=BY_USER, statistics=statistics)
