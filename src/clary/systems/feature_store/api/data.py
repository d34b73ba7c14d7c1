"""The hot path: put records, and get them. Nothing here asks the record store while a group stays as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.online import PUT, Item, Outcome, Write
from clary.kernel.rooms import Context, operation
from clary.systems.feature_store import offline_log
from clary.systems.feature_store.incoming import check_identifier, expiry, read_record
from clary.systems.feature_store.lookup import group_resource, invalid, no_group, place_of
from clary.systems.feature_store.stores import store_of
from clary.systems.feature_store.views import View, views_of

ONLINE, OFFLINE = "OnlineStore", "OfflineStore"


@operation("sagemaker-featurestore-runtime", "PutRecord", resource=group_resource)
async def put_record(
    ctx: Context,
    FeatureGroupName: str,
    Record: Sequence[Mapping[str, Any]],
    TargetStores: Sequence[str] | None = None,
    TtlDuration: Mapping[str, Any] | None = None,
) -> None:
    """Put a record; it is on disk when this answers. Online an older event never replaces a newer one."""
    platform = ctx.platform
    view = await views_of(platform).find(place_of(ctx.account, ctx.region, FeatureGroupName))
    record = read_record(view, Record)
    online, offline = targets(view, TargetStores)
    entry = None
    if offline:
        entry = offline_log.entry_of(record.values, record.event_text, platform.clock.now())
    outcome = await store_of(platform).write(
        Write(
            view.uid,
            record.identifier,
            PUT if online else None,
            record.event,
            expiry(view, record.event, TtlDuration),
            record.data,
            entry,
        )
    )
    if outcome is Outcome.GONE:
        views_of(platform).forget(view.place)
        raise no_group(view.place.name)


@operation("sagemaker-featurestore-runtime", "GetRecord", resource=group_resource)
async def get_record(
    ctx: Context,
    FeatureGroupName: str,
    RecordIdentifierValueAsString: str,
    FeatureNames: Sequence[str] | None = None,
    ExpirationTimeResponse: str | None = None,
) -> dict[str, Any]:
    """The latest record of an identifier; an empty answer where there is none, or it was deleted or has expired."""
    platform = ctx.platform
    view = await views_of(platform).find(place_of(ctx.account, ctx.region, FeatureGroupName))
    if not view.online:
        raise no_online_store(view)
    check_identifier(view, RecordIdentifierValueAsString)
    item = await store_of(platform).get(view.uid, RecordIdentifierValueAsString)
    if item is None or item.deleted:
        return {}
    return {"Record": shown(view, item, FeatureNames)}


def shown(view: View, item: Item, names: Sequence[str] | None) -> Any:
    """The values of a record, or those of the features that are asked for."""
    values = orjson.loads(item.data)
    if names is None:
        return values
    wanted = frozenset(names)
    unknown = wanted - view.features.keys()
    if unknown:
        raise invalid(f"FeatureNames are not defined in FeatureGroup {view.place.name}: {', '.join(sorted(unknown))}.")
    return [value for value in values if value["FeatureName"] in wanted]


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


def no_online_store(view: View) -> Exception:
    return invalid(f"FeatureGroup {view.place.name} has no online store.")
