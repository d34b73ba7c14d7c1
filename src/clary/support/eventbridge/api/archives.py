"""Archives of a bus's events, and replays of what they keep."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import epoch_seconds
from clary.kernel.store import AlreadyExists, Entry
from clary.kernel.wire import page_asked, page_output
from clary.support.eventbridge.archives import Archives
from clary.support.eventbridge.book import note_change
from clary.support.eventbridge.names import Bus, bus_named, missing
from clary.support.eventbridge.patterns import compiled
from clary.support.eventbridge.records import Archive, Replay
from clary.support.eventbridge.replaying import ACTIVE, CANCELLING, STARTING, TOPIC

_ENABLED = "ENABLED"


@operation("events", "CreateArchive", resource="archive/{ArchiveName}")
def create_archive(
    ctx: Context,
    ArchiveName: str,
    EventSourceArn: str,
    Description: str | None = None,
    EventPattern: str | None = None,
    RetentionDays: int = 0,
    KmsKeyIdentifier: str | None = None,
) -> dict[str, Any]:
    """Keep a bus's events from now on, those that a pattern matches where there is one."""
    _check(EventPattern, KmsKeyIdentifier)
    bus = bus_named(ctx, EventSourceArn)
    made = Archive(new_id(), bus.name, EventPattern or "", Description or "", RetentionDays)
    try:
        entry = ctx.records(Archive).create(ArchiveName, made, parent=bus.name)
    except AlreadyExists:
        raise AwsError("ResourceAlreadyExistsException", f"Archive {ArchiveName} already exists.") from None
    note_change(ctx.platform, bus)
    return _answer(ctx, entry)


@operation("events", "DescribeArchive", resource="archive/{ArchiveName}")
def describe_archive(ctx: Context, ArchiveName: str) -> dict[str, Any]:
    """An archive as it is, and how much it keeps."""
    entry = _archive(ctx, ArchiveName)
    archive = entry.value
    return {
        **_listed(ctx, entry),
        "ArchiveArn": _arn(ctx, ArchiveName),
        "Description": archive.description or None,
        "EventPattern": archive.pattern or None,
    }


@operation("events", "ListArchives", resource="archive/*")
def list_archives(
    ctx: Context,
    NamePrefix: str | None = None,
    EventSourceArn: str | None = None,
    State: str | None = None,
    NextToken: str | None = None,
    Limit: int | None = None,
) -> dict[str, Any]:
    """The archives by name, of one bus where one is named. Each is enabled."""
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "Limit": Limit})
    if State not in {None, _ENABLED}:
        return page_output(ctx.operation, [], None)
    bus = None if EventSourceArn is None else bus_named(ctx, EventSourceArn).name
    page = ctx.records(Archive).page(limit, position, parent=bus, name_prefix=NamePrefix)
    return page_output(ctx.operation, [_listed(ctx, entry) for entry in page], page.next_token)


@operation("events", "UpdateArchive", resource="archive/{ArchiveName}")
def update_archive(
    ctx: Context,
    ArchiveName: str,
    Description: str | None = None,
    EventPattern: str | None = None,
    RetentionDays: int | None = None,
    KmsKeyIdentifier: str | None = None,
) -> dict[str, Any]:
    """Change what an archive keeps from now on; what is left out stays."""
    _check(EventPattern, KmsKeyIdentifier)
    given = {"description": Description, "pattern": EventPattern, "retention_days": RetentionDays}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    entry = ctx.records(Archive).update(ArchiveName, lambda kept: replace(kept, **changes))
    if entry is None:
        raise missing(f"Archive {ArchiveName}")
    note_change(ctx.platform, Bus(ctx.account, ctx.region, entry.value.bus))
    return _answer(ctx, entry)


@operation("events", "DeleteArchive", resource="archive/{ArchiveName}")
def delete_archive(ctx: Context, ArchiveName: str) -> None:
    """Remove an archive with all that it keeps."""
    entry = _archive(ctx, ArchiveName)
    ctx.records(Archive).delete(ArchiveName)
    note_change(ctx.platform, Bus(ctx.account, ctx.region, entry.value.bus))
    Archives(ctx.platform).drop(entry.value.uid)


@operation("events", "StartReplay", resource="replay/{ReplayName}")
def start_replay(
    ctx: Context,
    ReplayName: str,
    EventSourceArn: str,
    EventStartTime: float | datetime,
    EventEndTime: float | datetime,
    Destination: Mapping[str, Any],
    Description: str | None = None,
) -> dict[str, Any]:
    """Have what an archive kept in a span of time come to its bus again."""
    start, end = epoch_seconds(EventStartTime), epoch_seconds(EventEndTime)
    if end <= start:
        raise validation("Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.")
    entry = _archive(ctx, parse_arn(EventSourceArn).resource_name)
    bus = bus_named(ctx, Destination["Arn"])
    if bus.name != entry.value.bus:
        raise validation(
            "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted; it must be the "
            "bus of the archive."
        )
    only = list(Destination.get("FilterArns") or ())
    made = Replay(entry.name, entry.value.uid, bus.name, start, end, Description or "", only)
    try:
        replay = ctx.records(Replay).create(ReplayName, made, status=STARTING, parent=entry.name)
    except AlreadyExists:
        raise AwsError("ResourceAlreadyExistsException", f"Replay {ReplayName} already exists.") from None
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{ReplayName}")
    return {
        "ReplayArn": ctx.arn(f"replay/{ReplayName}"),
        "State": STARTING,
        "StateReason": None,
        "ReplayStartTime": replay.created_at,
    }


@operation("events", "DescribeReplay", resource="replay/{ReplayName}")
def describe_replay(ctx: Context, ReplayName: str) -> dict[str, Any]:
    """A replay, and how far it is."""
    entry = _replay(ctx, ReplayName)
    replay = entry.value
    bus = Bus(ctx.account, ctx.region, replay.bus)
    return {
        **_replay_listed(ctx, entry),
        "ReplayArn": ctx.arn(f"replay/{ReplayName}"),
        "Description": replay.description or None,
        "Destination": {"Arn": bus.arn, **({"FilterArns": replay.only} if replay.only else {})},
    }


@operation("events", "ListReplays", resource="replay/*")
def list_replays(
    ctx: Context,
    NamePrefix: str | None = None,
    State: str | None = None,
    EventSourceArn: str | None = None,
    NextToken: str | None = None,
    Limit: int | None = None,
) -> dict[str, Any]:
    """The replays by name, of one archive where one is named."""
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "Limit": Limit})
    archive = None if EventSourceArn is None else parse_arn(EventSourceArn).resource_name
    page = ctx.records(Replay).page(limit, position, parent=archive, status=State, name_prefix=NamePrefix)
    return page_output(ctx.operation, [_replay_listed(ctx, entry) for entry in page], page.next_token)


@operation("events", "CancelReplay", resource="replay/{ReplayName}")
def cancel_replay(ctx: Context, ReplayName: str) -> dict[str, Any]:
    """Ask a replay to end where it is."""
    if _replay(ctx, ReplayName).status not in ACTIVE:
        raise AwsError("IllegalStatusException", f"Replay {ReplayName} is not in a valid state for this operation.")
    ctx.records(Replay).update(ReplayName, lambda kept: kept, status=lambda _: CANCELLING)
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{ReplayName}")
    return {"ReplayArn": ctx.arn(f"replay/{ReplayName}"), "State": CANCELLING, "StateReason": None}


def _check(pattern: str | None, key: str | None) -> None:
    if pattern:
        compiled(pattern)
    if key:
        raise not_supported("KmsKeyIdentifier", "it does not encrypt events at rest: leave it out")


def _arn(ctx: Context, name: str) -> str:
    return ctx.arn(f"archive/{name}")


def _archive(ctx: Context, name: str) -> Entry[Archive]:
    entry = ctx.records(Archive).get(name)
    if entry is None:
        raise missing(f"Archive {name}")
    return entry


def _replay(ctx: Context, name: str) -> Entry[Replay]:
    entry = ctx.records(Replay).get(name)
    if entry is None:
        raise missing(f"Replay {name}")
    return entry


def _answer(ctx: Context, entry: Entry[Archive]) -> dict[str, Any]:
    return {"ArchiveArn": _arn(ctx, entry.name), "State": _ENABLED, "CreationTime": entry.created_at}


def _listed(ctx: Context, entry: Entry[Archive]) -> dict[str, Any]:
    count, size = Archives(ctx.platform).size(entry.value.uid)
    return {
        "ArchiveName": entry.name,
        "EventSourceArn": Bus(ctx.account, ctx.region, entry.value.bus).arn,
        "State": _ENABLED,
        "RetentionDays": entry.value.retention_days,
        "SizeBytes": size,
        "EventCount": count,
        "CreationTime": entry.created_at,
    }


def _replay_listed(ctx: Context, entry: Entry[Replay]) -> dict[str, Any]:
    replay = entry.value
    return {
        "ReplayName": entry.name,
        "EventSourceArn": _arn(ctx, replay.archive),
        "State": entry.status,
        "StateReason": replay.reason or None,
        "EventStartTime": replay.start,
        "EventEndTime": replay.end,
        "EventLastReplayedTime": replay.replayed_to,
        "ReplayStartTime": entry.created_at,
        "ReplayEndTime": replay.ended_at,
    }
