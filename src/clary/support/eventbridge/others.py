"""The events of S3, CloudWatch and Athena: objects that come and go in buckets that ask for it, alarms and queries that
change their state.

Source: "Using EventBridge" of the S3 user guide, "Alarm events and EventBridge" of the CloudWatch user guide, and
"Monitor Athena query events with EventBridge" of the Athena user guide.
"""

import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.core.arns import partition_of
from clary.kernel.core.clock import iso
from clary.kernel.objects import events as objects_events
from clary.kernel.rooms import OnePerPlatform, Platform
from clary.kernel.store import Change
from clary.support.eventbridge.book import book_of
from clary.support.eventbridge.names import Bus
from clary.support.eventbridge.publishing import event_of, publish
from clary.support.eventbridge.records import DEFAULT_BUS

S3, CLOUDWATCH, ATHENA = "aws.s3", "aws.cloudwatch", "aws.athena"
ALARM, QUERY = "cloudwatch_alarm", "query_execution"
_IDS = uuid.UUID("b0f0a7a3-4a8d-4a7c-8f43-8a3f0a1e2d11")
_AT_ONCE = 200
_REASONS = {
    objects_events.PUT: "PutObject",
    objects_events.COPY: "CopyObject",
    objects_events.COMPLETE: "CompleteMultipartUpload",
    objects_events.DELETE: "DeleteObject",
    objects_events.DELETE_MARKER: "DeleteObject",
    objects_events.EXPIRE: "Lifecycle Expiration",
    objects_events.EXPIRE_MARKER: "Lifecycle Expiration",
}
_MARKERS = (objects_events.DELETE_MARKER, objects_events.EXPIRE_MARKER)


class _Seen:
    """The last event about objects that was looked at: those before it wait for others."""

    def __init__(self, platform: Platform) -> None:
        self.id = b""


_seen: OnePerPlatform[_Seen] = OnePerPlatform(_Seen)


def tell_of_objects(platform: Platform) -> None:
    """Publish what happened to objects, for buckets that send it to EventBridge, and have it taken."""
    seen = _seen(platform)
    while happened := list(platform.objects.events.waiting(_AT_ONCE, seen.id)):
        bridged = [(id, each) for id, each in happened if each["event_bridge"]]
        by_bus: dict[Bus, list[dict[str, Any]]] = {}
        for id, each in bridged:
            bus = Bus(each["account"], each["region"], DEFAULT_BUS)
            if book_of(platform).rules(bus).hear(S3):
                by_bus.setdefault(bus, []).append(_of_object(bus, id, each))
        for bus, events in by_bus.items():
            publish(platform, bus, events)
        if bridged:
            platform.objects.events.bridged([id for id, _ in bridged])
        seen.id = happened[-1][0]


def _of_object(bus: Bus, id: bytes, happened: Mapping[str, Any]) -> dict[str, Any]:
    kind = happened["event"]
    deleted = not kind.startswith("s3:ObjectCreated:")
    shown: dict[str, Any] = {"key": happened["key"]}
    if not deleted:
        shown |= {"size": happened["size"], "etag": happened["etag"].strip('"')}
    if happened["version_id"]:
        shown["version-id"] = happened["version_id"]
    detail: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": happened["bucket"]},
        "object": {**shown, "sequencer": id[1:].hex().upper()},
        "requester": bus.account,
        "reason": _REASONS[kind],
    }
    if deleted:
        detail["deletion-type"] = "Delete Marker Created" if kind in _MARKERS else "Permanently Deleted"
    return event_of(
        bus,
        id=str(uuid.uuid5(_IDS, id.hex())),
        source=S3,
        detail_type="Object Deleted" if deleted else "Object Created",
        time=happened["time"],
        resources=[f"arn:{partition_of(bus.region)}:s3:::{happened['bucket']}"],
        detail=detail,
    )


def of_alarm(bus: Bus, change: Change) -> dict[str, Any]:
    """The event of an alarm whose state has changed; `change` holds its record."""
    alarm = change.document
    state = {"value": change.status, "reason": alarm["reason"], "timestamp": iso(alarm["transitioned_at"])}
    if alarm["reason_data"]:
        state["reasonData"] = alarm["reason_data"]
    settings = alarm["settings"]
    return event_of(
        bus,
        id=change.uid,
        source=CLOUDWATCH,
        detail_type="CloudWatch Alarm State Change",
        time=change.updated_at,
        resources=[f"arn:{partition_of(bus.region)}:cloudwatch:{bus.region}:{bus.account}:alarm:{change.name}"],
        detail={
            "alarmName": change.name,
            "state": state,
            "previousState": {"value": change.was or "INSUFFICIENT_DATA"},
            "configuration": {
                "description": settings.get("AlarmDescription") or "",
                "metrics": _metrics(settings),
            },
        },
    )


def of_query(bus: Bus, change: Change) -> dict[str, Any]:
    """The event of a query whose state has changed; `change` holds its record."""
    query = change.document
    detail: dict[str, Any] = {
        "versionId": "0",
        "currentState": change.status,
        "statementType": query["kind"],
        "queryExecutionId": change.name,
        "workgroupName": change.parent,
        "sequenceNumber": str(change.version),
    }
    if change.was is not None:
        detail["previousState"] = change.was
    if query["error"]:
        error = query["error"]
        detail["athenaError"] = {
            "errorCategory": float(error["ErrorCategory"]),
            "errorType": float(error["ErrorType"]),
            "errorMessage": error["ErrorMessage"],
            "retryable": error["Retryable"],
        }
    return event_of(
        bus,
        id=change.uid,
        source=ATHENA,
        detail_type="Athena Query State Change",
        time=change.updated_at,
        resources=[],
        detail=detail,
    )


def _metrics(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    if settings.get("Metrics"):
        return [orjson.loads(orjson.dumps(each)) for each in settings["Metrics"]]
    metric = {
        "namespace": settings.get("Namespace"),
        "name": settings.get("MetricName"),
        "dimensions": {each["Name"]: each["Value"] for each in settings.get("Dimensions") or ()},
    }
    stat = settings.get("Statistic") or settings.get("ExtendedStatistic")
    return [
        {
            "id": "m1",
            "metricStat": {"metric": metric, "period": settings.get("Period"), "stat": stat},
            "returnData": True,
        }
    ]
