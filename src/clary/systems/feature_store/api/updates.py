"""Changes of feature groups: new features, the online store's settings, throughput. One of them at a time, as on AWS.

Each has taken place when it is answered; only other gateway processes may go by the old settings for a second, and the
table of the offline store gets new features a moment later, which LastUpdateStatus tells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Conflict, Entry
from clary.kernel.store.contract import Change
from clary.systems.feature_store.api.groups import find_group
from clary.systems.feature_store.definitions import check_features, check_ttl, completed_throughput
from clary.systems.feature_store.lookup import Place, group_resource
from clary.systems.feature_store.metadata import metadata_insertions
from clary.systems.feature_store.offline.configuration import check_columns
from clary.systems.feature_store.records import CREATED, TOPIC, UPDATING, FeatureGroup
from clary.systems.feature_store.views import views_of

_MAX_TRIES = 50
_DAY_SECONDS = 86_400
_DONE, _UNDER_WAY = {"Status": "Successful"}, {"Status": "InProgress"}


@operation("sagemaker", "UpdateFeatureGroup", resource=group_resource)
def update_feature_group(
    ctx: Context,
    FeatureGroupName: str,
    FeatureAdditions: Sequence[dict[str, Any]] | None = None,
    OnlineStoreConfig: Mapping[str, Any] | None = None,
    ThroughputConfig: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Add features, or change the online store's settings, or the throughput."""
    given = [member for member in (FeatureAdditions, OnlineStoreConfig, ThroughputConfig) if member is not None]
    if len(given) != 1:
        raise validation("Give one of FeatureAdditions, OnlineStoreConfig and ThroughputConfig in a request.")
    if FeatureAdditions is not None:
        additions = list(FeatureAdditions)
        entry = _update(ctx, FeatureGroupName, lambda group: _with_features(group, additions), additions)
    elif OnlineStoreConfig is not None:
        entry = _update(ctx, FeatureGroupName, lambda group: _with_online(group, OnlineStoreConfig))
    else:
        now = ctx.platform.clock.now()
        entry = _update(ctx, FeatureGroupName, lambda group: _with_throughput(group, ThroughputConfig or {}, now))
    place = Place(ctx.account, ctx.region, entry.name)
    views_of(ctx.platform).forget(place)
    if entry.parent == UPDATING:
        ctx.platform.wake(TOPIC, "/".join(place))
    return {"FeatureGroupArn": entry.value.arn}


def _update(
    ctx: Context,
    name: str,
    change: Callable[[FeatureGroup], FeatureGroup],
    additions: Sequence[Mapping[str, Any]] = (),
) -> Entry[FeatureGroup]:
    for _ in range(_MAX_TRIES):
        entry = find_group(ctx, name)
        if entry.status != CREATED:
            raise validation(f"FeatureGroup {entry.name} is {entry.status}: only one that is Created can be updated.")
        if entry.parent == UPDATING:
            raise validation(f"FeatureGroup {entry.name} is being updated: wait until its LastUpdateStatus says how.")
        widened = bool(additions) and entry.value.offline is not None
        changed = replace(change(entry.value), last_update=_UNDER_WAY if widened else _DONE)
        also: list[Change] = metadata_insertions(ctx, entry.name, changed, additions)
        try:
            return ctx.records(FeatureGroup).replace(entry, changed, parent=UPDATING if widened else "", also=also)
        except Conflict:
            continue
    raise AwsError("ConflictException", f"FeatureGroup {name} keeps changing. Please try again.")


def _with_features(group: FeatureGroup, additions: list[dict[str, Any]]) -> FeatureGroup:
    check_features(additions, (group.online or {}).get("StorageType", ""), group.definitions)
    definitions = [*group.definitions, *additions]
    if group.offline is not None:
        check_columns(definitions, group.offline["TableFormat"])
    return replace(group, definitions=definitions)


def _with_online(group: FeatureGroup, config: Mapping[str, Any]) -> FeatureGroup:
    if group.online is None:
        raise validation("OnlineStoreConfig cannot be updated: the group has no online store.")
    online = dict(group.online)
    ttl, storage = config.get("TtlDuration"), config.get("StorageType")
    if ttl is not None:
        check_ttl(ttl)
        if ttl.get("Unit"):
            online["TtlDuration"] = dict(ttl)
        else:
            online.pop("TtlDuration", None)
    if storage is not None and storage != online["StorageType"]:
        if (online["StorageType"], storage) != ("Standard", "Standard_V2"):
            raise validation(
                f"StorageType cannot be changed from {online['StorageType']} to {storage}: only from Standard to "
                "Standard_V2."
            )
        online["StorageType"] = storage
    return replace(group, online=online)


def _with_throughput(group: FeatureGroup, config: Mapping[str, Any], now: float) -> FeatureGroup:
    was = group.throughput["ThroughputMode"]
    asked = {**group.throughput, **config} if config.get("ThroughputMode", was) == was else dict(config)
    throughput = completed_throughput(
        asked, online=group.online is not None, storage=(group.online or {}).get("StorageType", "")
    )
    on_demand_at = group.on_demand_at
    if throughput["ThroughputMode"] == "OnDemand" != was:
        if on_demand_at is not None and now - on_demand_at < _DAY_SECONDS:
            raise validation("A feature group can be switched to OnDemand once in 24 hours: try again later.")
        on_demand_at = now
    return replace(group, throughput=throughput, on_demand_at=on_demand_at)
