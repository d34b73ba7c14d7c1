"""Event source mappings: have a function fed from a stream or a queue."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import epoch_seconds
from clary.kernel.store import Entry
from clary.kernel.wire import paginate
from clary.support.lambda_ import progress
from clary.support.lambda_.lookup import find, version_of
from clary.support.lambda_.mappings import TOPIC, check_source, checked, document, source_of
from clary.support.lambda_.names import Named, conflict, invalid, missing, read_name
from clary.support.lambda_.records import EventSourceMapping


def _function_of_mapping(ctx: Context, params: Mapping[str, Any]) -> str:
    return ctx.arn(f"event-source-mapping:{params.get('UUID', '*')}")


@operation("lambda", "CreateEventSourceMapping", resource="event-source-mapping:*")
async def create_event_source_mapping(
    ctx: Context,
    *,
    FunctionName: str,
    EventSourceArn: str | None = None,
    Enabled: bool | None = None,
    BatchSize: int | None = None,
    FilterCriteria: Mapping[str, Any] | None = None,
    MaximumBatchingWindowInSeconds: int | None = None,
    ParallelizationFactor: int | None = None,
    StartingPosition: str | None = None,
    StartingPositionTimestamp: Any = None,
    DestinationConfig: Mapping[str, Any] | None = None,
    MaximumRecordAgeInSeconds: int | None = None,
    BisectBatchOnFunctionError: bool | None = None,
    MaximumRetryAttempts: int | None = None,
    TumblingWindowInSeconds: int | None = None,
    FunctionResponseTypes: Sequence[str] | None = None,
    ScalingConfig: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Have a function called for what comes into a stream or a queue."""
    source = source_of(EventSourceArn)
    given = {
        "BatchSize": BatchSize,
        "FilterCriteria": FilterCriteria,
        "MaximumBatchingWindowInSeconds": MaximumBatchingWindowInSeconds,
        "ParallelizationFactor": ParallelizationFactor,
        "StartingPosition": StartingPosition,
        "StartingPositionTimestamp": None
        if StartingPositionTimestamp is None
        else epoch_seconds(StartingPositionTimestamp),
        "DestinationConfig": DestinationConfig,
        "MaximumRecordAgeInSeconds": MaximumRecordAgeInSeconds,
        "BisectBatchOnFunctionError": BisectBatchOnFunctionError,
        "MaximumRetryAttempts": MaximumRetryAttempts,
        "TumblingWindowInSeconds": TumblingWindowInSeconds,
        "FunctionResponseTypes": FunctionResponseTypes,
        "ScalingConfig": ScalingConfig,
    }
    members = checked(source, given)
    named, seconds = await asyncio.to_thread(_function, ctx, FunctionName)
    await check_source(ctx, source, seconds)
    now = ctx.platform.clock.now()
    start_at = {"LATEST": now, "AT_TIMESTAMP": members.get("StartingPositionTimestamp", 0.0)}
    mapping = EventSourceMapping(
        members, named.arn, Enabled is not False, now, new_uuid(), start_at.get(StartingPosition or "", 0.0)
    )
    entry = await asyncio.to_thread(_create, ctx, str(source), mapping)
    ctx.platform.wake(TOPIC)
    return document(ctx, entry, entry.status, None)


@operation("lambda", "GetEventSourceMapping", resource=_function_of_mapping)
def get_event_source_mapping(ctx: Context, UUID: str) -> dict[str, Any]:
    """A mapping, its state, and how its last batch went."""
    return _shown(ctx, _find(ctx, UUID))


@operation("lambda", "ListEventSourceMappings")
def list_event_source_mappings(
    ctx: Context,
    EventSourceArn: str | None = None,
    FunctionName: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    """The mappings of the account, of a source, or of a function."""
    wanted = read_name(ctx, FunctionName).arn if FunctionName else None
    entries = ctx.records(EventSourceMapping).all(**({"parent": EventSourceArn} if EventSourceArn else {}))
    shown = [_shown(ctx, entry) for entry in entries if wanted is None or _is_of(entry, wanted)]
    return paginate(ctx.operation, {"Marker": Marker, "MaxItems": MaxItems}, shown, key=lambda one: one["UUID"])


@operation("lambda", "UpdateEventSourceMapping", resource=_function_of_mapping)
def update_event_source_mapping(
    ctx: Context,
    *,
    UUID: str,
    FunctionName: str | None = None,
    Enabled: bool | None = None,
    BatchSize: int | None = None,
    FilterCriteria: Mapping[str, Any] | None = None,
    MaximumBatchingWindowInSeconds: int | None = None,
    ParallelizationFactor: int | None = None,
    DestinationConfig: Mapping[str, Any] | None = None,
    MaximumRecordAgeInSeconds: int | None = None,
    BisectBatchOnFunctionError: bool | None = None,
    MaximumRetryAttempts: int | None = None,
    TumblingWindowInSeconds: int | None = None,
    FunctionResponseTypes: Sequence[str] | None = None,
    ScalingConfig: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Change a mapping; what is not given stays, and it goes on where it was."""
    entry = _find(ctx, UUID)
    if entry.status == "Deleting":
        raise conflict("Cannot update the event source mapping because it is being deleted.")
    given = {
        "BatchSize": BatchSize,
        "FilterCriteria": FilterCriteria,
        "MaximumBatchingWindowInSeconds": MaximumBatchingWindowInSeconds,
        "ParallelizationFactor": ParallelizationFactor,
        "DestinationConfig": DestinationConfig,
        "MaximumRecordAgeInSeconds": MaximumRecordAgeInSeconds,
        "BisectBatchOnFunctionError": BisectBatchOnFunctionError,
        "MaximumRetryAttempts": MaximumRetryAttempts,
        "TumblingWindowInSeconds": TumblingWindowInSeconds,
        "FunctionResponseTypes": FunctionResponseTypes,
        "ScalingConfig": ScalingConfig,
    }
    members = checked(parse_arn(entry.parent), given, entry.value.members)
    function = entry.value.function if FunctionName is None else _function(ctx, FunctionName)[0].arn
    enabled = entry.value.enabled if Enabled is None else Enabled
    status = "Updating" if enabled == entry.value.enabled else "Enabling" if enabled else "Disabling"
    after = replace(
        entry.value,
        members=members,
        function=function,
        enabled=enabled,
        modified_at=ctx.platform.clock.now(),
        revision=new_uuid(),
        reason="User action",
    )
    changed = ctx.records(EventSourceMapping).update(UUID, lambda _: after, status=lambda _: status)
    if changed is None:
        raise _not_there()
    ctx.platform.wake(TOPIC)
    return _shown(ctx, changed)


@operation("lambda", "DeleteEventSourceMapping", resource=_function_of_mapping)
def delete_event_source_mapping(ctx: Context, UUID: str) -> dict[str, Any]:
    """Stop a mapping, and forget how far it was."""
    _find(ctx, UUID)
    changed = ctx.records(EventSourceMapping).update(
        UUID, lambda value: replace(value, enabled=False, revision=new_uuid()), status=lambda _: "Deleting"
    )
    if changed is None:
        raise _not_there()
    ctx.platform.wake(TOPIC)
    return _shown(ctx, changed)


def _function(ctx: Context, name: str) -> tuple[Named, float]:
    named, entry = find(ctx, name)
    if named.account != ctx.account:
        raise invalid(f"The function {named.arn} belongs to another account.")
    _, value = version_of(ctx, named, entry)
    return named, value.configuration["Timeout"]


def _create(ctx: Context, source: str, mapping: EventSourceMapping) -> Entry[EventSourceMapping]:
    table = ctx.records(EventSourceMapping)
    for other in table.all(parent=source):
        if other.value.function == mapping.function and other.status != "Deleting":
            raise conflict(
                f'An event source mapping with event source ("{source}") and function ("{mapping.function}") already '
                f"exists. Please update or delete the existing mapping with UUID {other.name}"
            )
    return table.create(new_uuid(), mapping, status="Creating", parent=source)


def _find(ctx: Context, identity: str) -> Entry[EventSourceMapping]:
    entry = ctx.records(EventSourceMapping).get(identity)
    if entry is None:
        raise _not_there()
    return entry


def _not_there() -> Exception:
    return missing("The resource you requested does not exist.")


def _is_of(entry: Entry[EventSourceMapping], arn: str) -> bool:
    return entry.value.function == arn or entry.value.function.startswith(f"{arn}:")


def _shown(ctx: Context, entry: Entry[EventSourceMapping]) -> dict[str, Any]:
    return document(ctx, entry, entry.status, progress.result_of(ctx.platform, entry.name))
