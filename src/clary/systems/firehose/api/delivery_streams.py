"""Delivery streams: create, describe, list, change where they deliver to, delete."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags
from clary.kernel.store import Conflict, Entry
from clary.systems.firehose import configurations
from clary.systems.firehose.destinations.kinds import Kind, kind_of, kind_of_configuration, kind_of_update
from clary.systems.firehose.lookup import find, find_active
from clary.systems.firehose.records import (
    CREATING,
    DELETING,
    DESTINATION_ID,
    DIRECT_PUT,
    KINESIS_SOURCE,
    SHARD,
    TOPIC,
    DeliveryStream,
    stream_arn,
)
from clary.systems.firehose.refusals import invalid
from clary.systems.firehose.sources import check_source

DELIVERY_STREAMS = Resource(
    "firehose",
    "deliverystream",
    DeliveryStream,
    missing=("ResourceNotFoundException", "Firehose {name} not found."),
    taken=("ResourceInUseException", "Firehose {name} already exists."),
)

_SERVICE = "firehose.amazonaws.com"
_DEFAULT_LIST = 10
_SOURCES = "sources are DirectPut and KinesisStreamAsSource"
_ELSEWHERE = {
    "SplunkDestinationConfiguration": "Clary delivers to servers that answer for what they take; use an HTTP endpoint",
    "SnowflakeDestinationConfiguration": "it is a service of others; deliver to S3 or Redshift",
    "AmazonOpenSearchServerlessDestinationConfiguration": "use AmazonopensearchserviceDestinationConfiguration",
    "MSKSourceConfiguration": _SOURCES,
    "DatabaseSourceConfiguration": _SOURCES,
}


@operation("firehose", "CreateDeliveryStream", resource="deliverystream/{DeliveryStreamName}")
def create_delivery_stream(
    ctx: Context,
    DeliveryStreamName: str,
    DeliveryStreamType: str = DIRECT_PUT,
    DirectPutSourceConfiguration: Mapping[str, Any] | None = None,
    KinesisStreamSourceConfiguration: Mapping[str, str] | None = None,
    DeliveryStreamEncryptionConfigurationInput: Mapping[str, str] | None = None,
    Tags: Sequence[Mapping[str, Any]] | None = None,
    **destinations: Any,
) -> dict[str, Any]:
    """Add a delivery stream; it takes records as soon as it is ACTIVE, which is a moment later."""
    kind, configuration = _destination(destinations)
    if DeliveryStreamType not in (DIRECT_PUT, KINESIS_SOURCE):
        raise invalid(f"DeliveryStreamType {DeliveryStreamType} is not supported by Clary: {_SOURCES}.")
    source = dict(KinesisStreamSourceConfiguration or {})
    if bool(source) != (DeliveryStreamType == KINESIS_SOURCE):
        raise invalid(
            "KinesisStreamSourceConfiguration must be given for the type KinesisStreamAsSource, and only then."
        )
    if source and (DirectPutSourceConfiguration or DeliveryStreamEncryptionConfigurationInput):
        raise invalid("DirectPutSourceConfiguration and encryption are for the type DirectPut only.")
    roles = _acting_roles(ctx, [configuration, source])
    if source:
        check_source(ctx, source, roles)
    stream = DeliveryStream(
        buffer=new_id(),
        type=DeliveryStreamType,
        kind=kind.configuration,
        configuration=configuration,
        roles=roles,
        source=source,
        throughput_mibs=(DirectPutSourceConfiguration or {}).get("ThroughputHintInMBs", 0),
        encryption=encryption_asked(DeliveryStreamEncryptionConfigurationInput),
    )
    ctx.platform.streams.create(stream.buffer, [SHARD])
    try:
        entry = DELIVERY_STREAMS.create(ctx, DeliveryStreamName, stream, tags=_tags(Tags), status=CREATING)
    except BaseException:
        ctx.platform.streams.delete(stream.buffer)
        raise
    ctx.platform.wake(TOPIC, key_of(entry))
    return {"DeliveryStreamARN": stream_arn(entry)}


@operation("firehose", "DescribeDeliveryStream", resource="deliverystream/{DeliveryStreamName}")
def describe_delivery_stream(
    ctx: Context, DeliveryStreamName: str, Limit: int | None = None, ExclusiveStartDestinationId: str | None = None
) -> dict[str, Any]:
    """A delivery stream with its destination, of which each has one."""
    entry = find(ctx, DeliveryStreamName)
    stream = entry.value
    described = configurations.descriptions(kind_of(stream), stream.configuration)
    destinations = [{"DestinationId": DESTINATION_ID, **described}]
    if ExclusiveStartDestinationId is not None:
        destinations = []
    description: dict[str, Any] = {
        "DeliveryStreamName": entry.name,
        "DeliveryStreamARN": stream_arn(entry),
        "DeliveryStreamStatus": entry.status,
        "DeliveryStreamEncryptionConfiguration": stream.encryption or {"Status": "DISABLED"},
        "DeliveryStreamType": stream.type,
        "VersionId": str(stream.revision),
        "CreateTimestamp": entry.created_at,
        "LastUpdateTimestamp": stream.changed_at or None,
        "Source": _source(entry),
        "Destinations": destinations,
        "HasMoreDestinations": False,
    }
    return {"DeliveryStreamDescription": description}


@operation("firehose", "ListDeliveryStreams")
def list_delivery_streams(
    ctx: Context,
    Limit: int | None = None,
    DeliveryStreamType: str | None = None,
    ExclusiveStartDeliveryStreamName: str | None = None,
) -> dict[str, Any]:
    """The names of delivery streams, in order, after one that was seen already."""
    names = [
        entry.name
        for entry in ctx.records(DeliveryStream).all()
        if DeliveryStreamType in (None, entry.value.type) and entry.name > (ExclusiveStartDeliveryStreamName or "")
    ]
    limit = Limit or _DEFAULT_LIST
    return {"DeliveryStreamNames": names[:limit], "HasMoreDeliveryStreams": len(names) > limit}


@operation("firehose", "UpdateDestination", resource="deliverystream/{DeliveryStreamName}")
def update_destination(
    ctx: Context,
    DeliveryStreamName: str,
    CurrentDeliveryStreamVersionId: str,
    DestinationId: str,
    **updates: Any,
) -> dict[str, Any]:
    """Change the destination; what was put before may still be delivered by the former configuration."""
    entry = find_active(ctx, DeliveryStreamName)
    stream = entry.value
    if CurrentDeliveryStreamVersionId != str(stream.revision):
        raise AwsError(
            "ConcurrentModificationException",
            f"Cannot update firehose: {DeliveryStreamName} since the current version id: {stream.revision} and "
            f"specified version id: {CurrentDeliveryStreamVersionId} do not match",
        )
    if DestinationId != DESTINATION_ID:
        raise invalid(f"Destination Id {DestinationId} not found.")
    kind = kind_of(stream)
    configuration = configurations.updated(kind, stream.configuration, _update(kind, updates))
    configurations.check(kind, configuration)
    known = {role: acting for role, acting in stream.roles.items() if role in {*configurations.roles(stream.source)}}
    changed = replace(
        stream,
        configuration=configuration,
        roles=known | _acting_roles(ctx, [configuration]),
        revision=stream.revision + 1,
        changed_at=ctx.platform.clock.now(),
    )
    try:
        ctx.records(DeliveryStream).replace(entry, changed)
    except Conflict:
        raise AwsError(
            "ConcurrentModificationException",
            f"Firehose {DeliveryStreamName} was changed meanwhile: describe it again.",
        ) from None
    ctx.platform.wake(TOPIC, key_of(entry))
    return {}


@operation("firehose", "DeleteDeliveryStream", resource="deliverystream/{DeliveryStreamName}")
def delete_delivery_stream(
    ctx: Context, DeliveryStreamName: str, AllowForceDelete: bool | None = None
) -> dict[str, Any]:
    """Remove a delivery stream with all that it has not delivered. AllowForceDelete is about grants that none has."""
    while True:
        entry = find(ctx, DeliveryStreamName)
        if entry.status != DELETING:
            try:
                ctx.records(DeliveryStream).replace(entry, entry.value, status=DELETING)
            except Conflict:
                continue
        ctx.platform.wake(TOPIC, key_of(entry))
        return {}


def key_of(entry: Entry[DeliveryStream]) -> str:
    """How the reconciler calls a delivery stream."""
    return f"{entry.account}/{entry.region}/{entry.name}"


def encryption_asked(given: Mapping[str, str] | None) -> dict[str, str]:
    """What a delivery stream's encryption is to be. Raises InvalidArgumentException."""
    if given is None:
        return {}
    if (given["KeyType"] == "CUSTOMER_MANAGED_CMK") != ("KeyARN" in given):
        raise invalid("KeyARN must be given for the key type CUSTOMER_MANAGED_CMK, and only then.")
    return {**given, "Status": "ENABLING"}


def _destination(given: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]]:
    """The kind of destination that a request asks for, and its configuration with AWS's defaults."""
    for member in given:
        if member in _ELSEWHERE:
            raise invalid(f"{member} is not supported by Clary: {_ELSEWHERE[member]}.")
    if len(given) != 1:
        raise invalid("Exactly one destination configuration is supported for a Firehose.")
    ((member, configuration),) = given.items()
    kind = kind_of_configuration(member)
    if kind is None:
        raise invalid(f"{member} is not supported by Clary.")
    found = configurations.completed(kind, configuration)
    configurations.check(kind, found)
    return kind, found


def _update(kind: Kind, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(given) != 1:
        raise invalid("Exactly one destination update is supported for a Firehose.")
    ((member, update),) = given.items()
    if kind_of_update(member) is not kind:
        raise invalid(
            f"{member} does not fit: the destination was given as {kind.configuration}, and a delivery stream of Clary "
            "keeps the type of its destination. Create another one."
        )
    return dict(update)


def _acting_roles(ctx: Context, parts: Sequence[Any]) -> dict[str, str]:
    """The roles that act for those that are named. Raises InvalidArgumentException or AccessDenied."""
    found: dict[str, str] = {}
    for role in configurations.roles(list(parts)):
        if role in found:
            continue
        try:
            found[role] = acting_role(ctx, role, _SERVICE)
        except AwsError as error:
            if error.code != "ValidationException":
                raise
            raise invalid(f"Firehose is unable to assume role {role}. Please check the role provided.") from None
    return found


def _source(entry: Entry[DeliveryStream]) -> dict[str, Any] | None:
    stream = entry.value
    if stream.source:
        return {"KinesisStreamSourceDescription": {**stream.source, "DeliveryStartTimestamp": entry.created_at}}
    if stream.throughput_mibs:
        return {"DirectPutSourceDescription": {"ThroughputHintInMBs": stream.throughput_mibs}}
    return None


def _tags(given: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    try:
        return read_tags(given)
    except AwsError as error:
        raise invalid(error.message) from None
