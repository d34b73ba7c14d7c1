"""What is told of a query's end in the metrics of its work group.

Source: "Monitor Athena queries with CloudWatch metrics" of the user guide.
"""

from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.kernel.telemetry.metric_records import Datum
from clary.systems.athena.records import CANCELLED, QueryExecution

NAMESPACE = "AWS/Athena"
_STATES = {CANCELLED: "CANCELED"}
_TIMES = {
    "EngineExecutionTime": "EngineExecutionTimeInMillis",
    "QueryPlanningTime": "QueryPlanningTimeInMillis",
    "QueryQueueTime": "QueryQueueTimeInMillis",
    "ServicePreProcessingTime": "ServicePreProcessingTimeInMillis",
    "ServiceProcessingTime": "ServiceProcessingTimeInMillis",
    "TotalExecutionTime": "TotalExecutionTimeInMillis",
}


def tell(platform: Platform, entry: Entry[QueryExecution]) -> None:
    """Publish the metrics of a query that has ended, where its work group publishes any."""
    execution = entry.value
    if not execution.settings.get("PublishCloudWatchMetricsEnabled") or not execution.statistics:
        return
    dimensions = {
        "QueryState": _STATES.get(entry.status, entry.status),
        "QueryType": execution.kind,
        "WorkGroup": entry.parent,
    }
    data = [
        Datum(name, dimensions, execution.statistics[member], unit="Milliseconds", timestamp=execution.completed)
        for name, member in _TIMES.items()
    ]
    scanned = execution.statistics["DataScannedInBytes"]
    data.append(Datum("ProcessedBytes", dimensions, scanned, unit="Bytes", timestamp=execution.completed))
    platform.metrics.put(entry.account, entry.region, NAMESPACE, data)
