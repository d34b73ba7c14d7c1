"""From what a request asks to write to what the stores are told, and from their outcome to what the client is told."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.online import HARD_DELETE, PUT, REPLACE, SOFT_DELETE, Item, Outcome, Write
from clary.systems.feature_store import offline_log
from clary.systems.feature_store.incoming import (
    check_identifier,
    data_of,
    expiry,
    read_event_time,
    read_record,
    read_values,
    values_of,
)
from clary.systems.feature_store.lookup import invalid
from clary.systems.feature_store.views import View

ONLINE, OFFLINE = "OnlineStore", "OfflineStore"
MOST_UPDATED = 100
UPDATABLE = ("Standard_V2", "InMemory")


def targets(view: View, asked: Sequence[str] | None) -> tuple[bool, bool]:
    """Whether a write goes to the online store, and to the offline store. Raises ValidationError for one that the group
    does not have."""
    if asked is None:
        return view.online, view.offline
    if len(set(asked)) < len(asked):
        raise invalid("TargetStores names a store twice.")
    online, offline = ONLINE in asked, OFFLINE in asked
    for wanted, there, store in ((online, view.online, ONLINE), (offline, view.offline, OFFLINE)):
        if wanted and not there:
            raise invalid(f"TargetStores has {store}, which FeatureGroup {view.place.name} does not have.")
    return online, offline


def put_of(
    view: View,
    record: Sequence[Mapping[str, Any]],
    stores: Sequence[str] | None,
    ttl: Mapping[str, Any] | None,
    now: float,
) -> Write:
    """The write of a PutRecord. Raises ValidationError."""
    incoming = read_record(view, record)
    online, offline = targets(view, stores)
    return Write(
        view.uid,
        incoming.identifier,
        PUT if online else None,
        incoming.event,
        expiry(view, incoming.event, ttl),
        incoming.data,
        offline_log.entry_of(incoming.values, incoming.event_text, now) if offline else None,
    )


def deletion_of(
    view: View, identifier: str, event_text: str, stores: Sequence[str] | None, mode: str | None, now: float
) -> Write:
    """The write of a DeleteRecord. Raises ValidationError.

    A soft deletion leaves its mark in the offline store whatever the online store has, a hard one only if it happened.
    """
    check_identifier(view, identifier)
    event = read_event_time(view, event_text)
    online, offline = targets(view, stores)
    kind = HARD_DELETE if mode == "HardDelete" else SOFT_DELETE
    return Write(
        view.uid,
        identifier,
        kind if online else None,
        event,
        entry=deletion_entry(view, identifier, event_text, now) if offline else None,
        if_applied=kind == HARD_DELETE,
    )


def deletion_entry(view: View, identifier: str, event_text: str, now: float) -> bytes:
    """What the offline log says of a record that was deleted."""
    values = {view.identifier: identifier, view.event_time: event_text}
    return offline_log.entry_of(values, event_text, now, deleted=True)


def update_of(
    view: View,
    identifier: str,
    there: Item,
    features: Sequence[Mapping[str, Any]],
    stores: Sequence[str] | None,
    ttl: Mapping[str, Any] | None,
    now: float,
) -> Write:
    """The write of an UpdateRecord onto the record that is there. Raises ValidationError and ConflictException."""
    changed = read_values(view, features)
    if changed.get(view.identifier, identifier) != identifier:
        raise invalid(f"Features has another value for the record identifier [{view.identifier}] than the record.")
    online, offline = targets(view, stores)
    if not online:
        raise invalid("UpdateRecord needs the online store among its TargetStores: that has what is kept.")
    event, expires = there.event, there.expires
    event_text = changed.get(view.event_time)
    if event_text is not None:
        assert isinstance(event_text, str)  # it is no collection
        event = read_event_time(view, event_text)
        if event < there.event:
            raise AwsError("ConflictException", f"EventTime [{event_text}] is older than the record's.")
    if ttl is not None:
        if event_text is None:
            raise invalid(f"TtlDuration needs the event time [{view.event_time}] among the Features.")
        expires = expiry(view, event, ttl)
    elif expires:
        expires += (event - there.event) / 1e9  # the record's duration stays
    values = values_of(there.data) | changed
    text = values[view.event_time]
    assert isinstance(text, str)
    return Write(
        view.uid,
        identifier,
        REPLACE,
        event,
        expires,
        data_of(values),
        offline_log.entry_of(values, text, now) if offline else None,
        if_applied=True,
        expected=there,
    )


def refuse_older(outcome: Outcome, event_text: str) -> None:
    """Raise ValidationError when a hard deletion came too late."""
    if outcome is Outcome.OLDER:
        raise invalid(f"EventTime: [{event_text}] must be later than the EventTime of the record in the online store.")
