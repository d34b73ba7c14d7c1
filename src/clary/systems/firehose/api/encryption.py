"""Encryption at rest, as a setting that clients find as they left it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.store import Conflict
from clary.systems.firehose.api.delivery_streams import encryption_asked, key_of
from clary.systems.firehose.lookup import find_active
from clary.systems.firehose.records import DIRECT_PUT, DISABLED, DISABLING, ENABLED, TOPIC, DeliveryStream
from clary.systems.firehose.refusals import in_use, invalid

_OWNED = {"KeyType": "AWS_OWNED_CMK"}


@operation("firehose", "StartDeliveryStreamEncryption", resource="deliverystream/{DeliveryStreamName}")
def start_delivery_stream_encryption(
    ctx: Context, DeliveryStreamName: str, DeliveryStreamEncryptionConfigurationInput: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Turn encryption on, or change its key."""
    _change(ctx, DeliveryStreamName, encryption_asked(DeliveryStreamEncryptionConfigurationInput or _OWNED))
    return {}


@operation("firehose", "StopDeliveryStreamEncryption", resource="deliverystream/{DeliveryStreamName}")
def stop_delivery_stream_encryption(ctx: Context, DeliveryStreamName: str) -> dict[str, Any]:
    """Turn encryption off."""
    _change(ctx, DeliveryStreamName, {"Status": DISABLING})
    return {}


def _change(ctx: Context, name: str, wanted: dict[str, str]) -> None:
    entry = find_active(ctx, name)
    if entry.value.type != DIRECT_PUT:
        raise invalid("Server-side encryption is for delivery streams of type DirectPut; encrypt the source instead.")
    status = entry.value.encryption.get("Status", DISABLED)
    if status not in (ENABLED, DISABLED):
        raise in_use(f"Firehose {name} is {status}: wait until it is not, then try again.")
    if status == DISABLED and wanted["Status"] == DISABLING:
        return
    try:
        ctx.records(DeliveryStream).replace(entry, replace(entry.value, encryption=wanted))
    except Conflict:
        raise in_use(f"Firehose {name} was changed meanwhile: try again.") from None
    ctx.platform.wake(TOPIC, key_of(entry))
