"""Put events, and try patterns on them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import epoch_seconds
from clary.support.eventbridge.names import Bus, admits, find_bus, read_bus
from clary.support.eventbridge.patterns import compiled
from clary.support.eventbridge.publishing import event_of, publish
from clary.support.eventbridge.resources import buses_put_to

LARGEST_BYTES = 1_048_576
_TIME_BYTES = 14
_NEEDED = ("id", "account", "source", "time", "region", "resources", "detail-type")
_MOST_LEVELS = 200


@operation("events", "PutEvents", resource=buses_put_to)
def put_events(ctx: Context, Entries: Sequence[Mapping[str, Any]], EndpointId: str | None = None) -> dict[str, Any]:
    """Send up to ten events; each is on disk for all targets of the rules that match when this answers.

    Entries that are wrong do not hold up the others. As on AWS, an event for a bus that is not there is taken, and
    goes nowhere.
    """
    if EndpointId is not None:
        raise not_supported("EndpointId", "it has no global endpoints")
    if sum(map(_size, Entries)) > LARGEST_BYTES:
        raise validation(f"Total size of the entries in the request is over the limit of {LARGEST_BYTES} bytes.")
    results: list[dict[str, Any]] = []
    accepted: dict[Bus, list[dict[str, Any]]] = {}
    now = ctx.platform.clock.now()
    for entry in Entries:
        bus = read_bus(ctx, entry.get("EventBusName"))
        try:
            event = _event(ctx, bus, entry, now)
        except AwsError as error:
            results.append({"ErrorCode": error.code, "ErrorMessage": error.message})
            continue
        accepted.setdefault(bus, []).append(event)
        results.append({"EventId": event["id"]})
    for bus, events in accepted.items():
        if find_bus(ctx.platform, bus) is not None:
            publish(ctx.platform, bus, events)
    return {"FailedEntryCount": sum("ErrorCode" in each for each in results), "Entries": results}


@operation("events", "TestEventPattern")
def test_event_pattern(ctx: Context, EventPattern: str, Event: str) -> dict[str, Any]:
    """Whether a pattern matches an event."""
    matches = compiled(EventPattern)
    try:
        event = orjson.loads(Event)
    except orjson.JSONDecodeError as error:
        raise validation(f"Parameter Event is not valid. Reason: it is not JSON: {error}") from None
    if not isinstance(event, dict):
        raise validation("Parameter Event is not valid. Reason: it is not a JSON object.")
    for name in _NEEDED:
        if name not in event:
            raise validation(f"Parameter Event is not valid. Reason: it lacks {name}.")
    return {"Result": matches(event)}


def _size(entry: Mapping[str, Any]) -> int:
    """The bytes that an entry counts, as AWS counts them."""
    return (
        (_TIME_BYTES if entry.get("Time") is not None else 0)
        + sum(len((entry.get(name) or "").encode()) for name in ("Source", "DetailType", "Detail"))
        + sum(len(resource.encode()) for resource in entry.get("Resources") or ())
    )


def _event(ctx: Context, bus: Bus, entry: Mapping[str, Any], now: float) -> dict[str, Any]:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            raise AwsError("InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument.")
    if entry["Source"].lower().startswith("aws."):
        raise AwsError("NotAuthorizedForSourceException", "Not authorized for the source.")
    found = find_bus(ctx.platform, bus)
    if found is not None and not admits(ctx, bus, found, "events:PutEvents"):
        raise AwsError(
            "AccessDeniedException",
            f"User: {ctx.principal.arn} is not authorized to perform: events:PutEvents on resource: {bus.arn} because "
            "no resource-based policy allows the events:PutEvents action",
        )
    try:
        detail = orjson.loads(entry["Detail"])
    except orjson.JSONDecodeError:
        raise AwsError("MalformedDetail", "Detail is malformed.") from None
    if not isinstance(detail, dict) or _is_deep(detail):
        raise AwsError("MalformedDetail", "Detail is malformed: it is a JSON object, nested at most 200 levels deep.")
    return {
        **event_of(
            bus,
            id=new_uuid(),
            source=entry["Source"],
            detail_type=entry["DetailType"],
            time=now if entry.get("Time") is None else epoch_seconds(entry["Time"]),
            resources=entry.get("Resources") or (),
            detail=detail,
        ),
        "account": ctx.account,
        **({"trace-header": entry["TraceHeader"]} if entry.get("TraceHeader") else {}),
    }


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MOST_LEVELS):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
