"""Delivery streams by the names that requests give."""

from clary.kernel.rooms import Context, OnePerPlatform, Platform
from clary.kernel.store import Entry
from clary.systems.firehose.records import ACTIVE, DeliveryStream
from clary.systems.firehose.refusals import in_use, missing

_REMEMBERED_SECONDS = 1.0
_MOST_REMEMBERED = 4096

_Known = dict[tuple[str, str, str], tuple[float, Entry[DeliveryStream]]]


def _nothing(_platform: Platform) -> _Known:
    return {}


_known_to = OnePerPlatform(_nothing)


def find(ctx: Context, name: str) -> Entry[DeliveryStream]:
    """The delivery stream of this name. Raises ResourceNotFoundException."""
    entry = ctx.records(DeliveryStream).get(name)
    if entry is None:
        raise missing(name, ctx.account)
    return entry


def find_active(ctx: Context, name: str) -> Entry[DeliveryStream]:
    """`find`, for what can be done to an active delivery stream alone. Raises ResourceInUseException."""
    entry = find(ctx, name)
    if entry.status != ACTIVE:
        raise in_use(f"Firehose {name} under account {ctx.account} is not ACTIVE: it is {entry.status}.")
    return entry


def find_to_put(ctx: Context, name: str) -> Entry[DeliveryStream]:
    """The active delivery stream of this name as it was at most a second ago: putting costs no look at the store.

    Raises ResourceNotFoundException, as AWS does also while it is created or deleted.
    """
    known = _known_to(ctx.platform)
    key, now = (ctx.account, ctx.region, name), ctx.platform.clock.monotonic()
    remembered = known.get(key)
    if remembered is not None and now - remembered[0] < _REMEMBERED_SECONDS:
        return remembered[1]
    entry = ctx.records(DeliveryStream).get(name)
    if entry is None or entry.status != ACTIVE:
        known.pop(key, None)
        raise missing(name, ctx.account)
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[key] = now, entry
    return entry


def forget(ctx: Context, name: str) -> None:
    """Look at the store again the next time."""
    _known_to(ctx.platform).pop((ctx.account, ctx.region, name), None)
