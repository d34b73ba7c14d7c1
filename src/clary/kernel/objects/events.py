"""What happened to objects, recorded in the same commit for those whom the bucket's notification rules name.

Delivery is another part's work: it reads the events in order and forgets those it delivered.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.kv import KeyValue, Transaction
from clary.kernel.objects.index import Removal
from clary.kernel.objects.keys import document_key, event_key, span
from clary.kernel.objects.records import Bucket, ObjectVersion

NOTIFICATION = "notification"

PUT = "s3:ObjectCreated:Put"
COPY = "s3:ObjectCreated:Copy"
COMPLETE = "s3:ObjectCreated:CompleteMultipartUpload"
DELETE = "s3:ObjectRemoved:Delete"
DELETE_MARKER = "s3:ObjectRemoved:DeleteMarkerCreated"
EXPIRE = "s3:LifecycleExpiration:Delete"
EXPIRE_MARKER = "s3:LifecycleExpiration:DeleteMarkerCreated"

# Lists of rules in the notification document, and the member of each rule that names its target.
TARGETS = {
    "TopicConfigurations": "TopicArn",
    "QueueConfigurations": "QueueArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
}


def record(tx: Transaction, bucket: Bucket, event: str, key: str, version: ObjectVersion, now: float) -> None:
    """Record `event` when a rule of the bucket asks for it."""
    if not bucket.notifies:
        return
    document = tx.get(document_key(bucket.name, NOTIFICATION))
    if document is None:
        return
    rules = orjson.loads(document)
    targets = [
        {"id": rule.get("Id", ""), "arn": rule[member]}
        for name, member in TARGETS.items()
        for rule in rules.get(name, ())
        if _asks(rule, event, key)
    ]
    bridged = "EventBridgeConfiguration" in rules
    if not targets and not bridged:
        return
    happened = {
        "event": event,
        "time": now,
        "account": bucket.account,
        "region": bucket.region,
        "bucket": bucket.name,
        "key": key,
        "size": version.size,
        "etag": version.etag,
        "version_id": version.version_id if version.versioned else "",
        "targets": targets,
        "event_bridge": bridged,
    }
    number = int(now * 1_000_000)
    for last, _ in tx.scan(*span(b"e"), limit=1, reverse=True):
        number = max(number, int.from_bytes(last[1:], "big") + 1)
    tx.put(event_key(number), orjson.dumps(happened))


def record_removal(tx: Transaction, bucket: Bucket, key: str, removal: Removal, now: float, *, expired: bool) -> None:
    """Record what a delete did."""
    if removal.marker is not None:
        record(tx, bucket, EXPIRE_MARKER if expired else DELETE_MARKER, key, removal.marker, now)
    elif removal.gone is not None:
        record(tx, bucket, EXPIRE if expired else DELETE, key, removal.gone, now)


class Events:
    """The events that wait to be delivered."""

    def __init__(self, kv: KeyValue) -> None:
        self._kv = kv

    def waiting(self, limit: int | None = None, after: bytes = b"") -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        """Yield (id, event) in the order in which they were recorded, from behind the id `after` on."""
        start, end = span(b"e")
        for key, data in self._kv.scan(max(start, after + b"\0" if after else b""), end, limit=limit):
            yield key, orjson.loads(data)

    def bridged(self, ids: Sequence[bytes]) -> None:
        """Note that EventBridge has taken events; those that have no other target are dropped."""

        def write(tx: Transaction) -> None:
            for event_id in ids:
                data = tx.get(event_id)
                event = None if data is None else orjson.loads(data)
                if event is not None and event["targets"]:
                    tx.put(event_id, orjson.dumps({**event, "event_bridge": False}))
                else:
                    tx.delete(event_id)

        self._kv.write(write)

    def forget(self, ids: Sequence[bytes]) -> None:
        """Drop events that were delivered, or that nobody will deliver."""
        self._kv.write(lambda tx: [tx.delete(event_id) for event_id in ids])


def _asks(rule: Mapping[str, Any], event: str, key: str) -> bool:
    wanted = any(event == name or (name.endswith("*") and event.startswith(name[:-1])) for name in rule["Events"])
    filters = rule.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    return wanted and all(
        key.startswith(part["Value"]) if part["Name"].lower() == "prefix" else key.endswith(part["Value"])
        for part in filters
    )
