"""Feature groups: create, describe, list, delete."""

from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.core.ids import short_id
from clary.kernel.online import OnlineStoreError
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.rooms.lists import DEFAULT_RESULTS, list_output, list_page
from clary.kernel.rooms.roles import acting_role
from clary.kernel.rooms.tags import read_tags
from clary.kernel.store import Conflict, Entry
from clary.kernel.wire import page_asked, page_output
from clary.systems.feature_store.definitions import (
    check_definitions,
    completed_online,
    completed_throughput,
)
from clary.systems.feature_store.lookup import Place, group_resource, place_of
from clary.systems.feature_store.metadata import metadata_insertions
from clary.systems.feature_store.offline.configuration import completed_offline
from clary.systems.feature_store.records import CREATING, DELETING, TOPIC, FeatureGroup
from clary.systems.feature_store.stores import store_of
from clary.systems.feature_store.views import views_of

_ALL = {"MaxResults": 1_000_000, "NextToken": None, "SortOrder": None}


def _described(ctx: Context, entry: Entry[FeatureGroup]) -> dict[str, Any]:
    group = entry.value
    return {
        "FeatureGroupArn": group.arn,
        "FeatureGroupName": entry.name,
        "RecordIdentifierFeatureName": group.identifier,
        "EventTimeFeatureName": group.event_time,
        "FeatureDefinitions": group.definitions,
        "CreationTime": entry.created_at,
        "LastModifiedTime": entry.updated_at,
        "OnlineStoreConfig": group.online,
        "OfflineStoreConfig": group.offline,
        "ThroughputConfig": group.throughput,
        "RoleArn": group.role_arn or None,
        "FeatureGroupStatus": entry.status,
        "OfflineStoreStatus": group.offline_status,
        "LastUpdateStatus": group.last_update,
        "FailureReason": group.failure_reason or None,
        "Description": group.description or None,
    }


FEATURE_GROUPS = Resource(
    "sagemaker",
    "feature-group",
    FeatureGroup,
    missing=("ResourceNotFound", "Resource Not Found: Amazon SageMaker can't find a FeatureGroup with name {name}"),
    taken=(
        "ResourceInUse",
        "Resource Already Exists: FeatureGroup with name {name} already exists. Choose a different name.",
    ),
    search="FeatureGroup",
    document=_described,
    role=lambda group: group.role,
)


@operation("sagemaker", "CreateFeatureGroup", resource="feature-group/{FeatureGroupName}")
def create_feature_group(
    ctx: Context,
    *,
    FeatureGroupName: str,
    RecordIdentifierFeatureName: str,
    EventTimeFeatureName: str,
    FeatureDefinitions: list[dict[str, Any]],
    OnlineStoreConfig: dict[str, Any] | None = None,
    OfflineStoreConfig: dict[str, Any] | None = None,
    ThroughputConfig: dict[str, Any] | None = None,
    RoleArn: str | None = None,
    Description: str = "",
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Record a group; it is Created as soon as its stores are there."""
    now = ctx.platform.clock.now()
    online = completed_online(OnlineStoreConfig)
    if online is None and OfflineStoreConfig is None:
        raise validation("A feature group needs an online store (EnableOnlineStore), an OfflineStoreConfig, or both.")
    storage = (online or {}).get("StorageType", "")
    check_definitions(RecordIdentifierFeatureName, EventTimeFeatureName, FeatureDefinitions, storage)
    if OfflineStoreConfig is not None and RoleArn is None:
        raise validation("RoleArn is needed with an OfflineStoreConfig: the offline store is written as that role.")
    offline = completed_offline(
        OfflineStoreConfig,
        account=ctx.account,
        region=ctx.region,
        group=FeatureGroupName,
        created_at=now,
        event_time=EventTimeFeatureName,
        definitions=FeatureDefinitions,
    )
    group = FeatureGroup(
        uid=short_id(),
        arn=FEATURE_GROUPS.arn(ctx, FeatureGroupName),
        identifier=RecordIdentifierFeatureName,
        event_time=EventTimeFeatureName,
        definitions=FeatureDefinitions,
        online=online,
        offline=offline,
        throughput=completed_throughput(ThroughputConfig, online=online is not None, storage=storage),
        description=Description,
        role_arn=RoleArn or "",
        role=acting_role(ctx, RoleArn) if RoleArn else "",
        offline_status={"Status": "Active" if offline is not None else "Disabled"},
    )
    also = metadata_insertions(ctx, FeatureGroupName, group, FeatureDefinitions)
    FEATURE_GROUPS.create(ctx, FeatureGroupName, group, status=CREATING, tags=read_tags(Tags), also=also)
    _wake(ctx, FeatureGroupName)
    return {"FeatureGroupArn": group.arn}


@operation("sagemaker", "DescribeFeatureGroup", resource=group_resource)
def describe_feature_group(ctx: Context, FeatureGroupName: str, NextToken: str | None = None) -> dict[str, Any]:
    """All that is known of a group, all of its features at once."""
    if NextToken:
        raise validation("NextToken is not valid: DescribeFeatureGroup answers all features at once.")
    entry = find_group(ctx, FeatureGroupName)
    try:
        size = store_of(ctx.platform).size(entry.value.uid).bytes if entry.value.online is not None else None
    except OnlineStoreError:
        size = None  # what is recorded of the group can be told all the same
    return {**_described(ctx, entry), "NextToken": "", "OnlineStoreTotalSizeBytes": size}


@operation("sagemaker", "ListFeatureGroups")
def list_feature_groups(
    ctx: Context,
    OfflineStoreStatusEquals: str | None = None,
    FeatureGroupStatusEquals: str | None = None,
    SortBy: str = "CreationTime",
    **request: Any,
) -> dict[str, Any]:
    """The groups that match, by creation time unless asked otherwise."""

    def fits(entry: Entry[FeatureGroup]) -> bool:
        return OfflineStoreStatusEquals in (None, _offline_status(entry))

    asked = {**request, "StatusEquals": FeatureGroupStatusEquals}
    if SortBy != "OfflineStoreStatus":
        asked["SortBy"] = "Status" if SortBy == "FeatureGroupStatus" else SortBy
        return list_output(ctx, FeatureGroup, asked, _summary, keep=fits)
    # Few groups have another status than most: they are sorted here, and paged by their number.
    limit, position = page_asked(ctx.operation, request, DEFAULT_RESULTS)
    everything = list_page(ctx.records(FeatureGroup), {**asked, "SortBy": "Name", **_ALL}, keep=fits).entries
    everything.sort(key=_offline_status, reverse=request.get("SortOrder") == "Descending")
    start = position if isinstance(position, int) else 0
    more = start + limit if start + limit < len(everything) else None
    return page_output(ctx.operation, [_summary(entry) for entry in everything[start : start + limit]], more)


@operation("sagemaker", "DeleteFeatureGroup", resource="feature-group/{FeatureGroupName}")
def delete_feature_group(ctx: Context, FeatureGroupName: str) -> None:
    """Delete a group and its online records, which nobody reads from here on. Offline data and table stay."""
    table = ctx.records(FeatureGroup)
    while True:
        entry = FEATURE_GROUPS.get(ctx, FeatureGroupName)
        if entry.status in (CREATING, DELETING):
            raise validation(f"FeatureGroup {FeatureGroupName} is {entry.status}: delete it when it is not.")
        try:
            table.replace(entry, entry.value, status=DELETING)
        except Conflict:
            continue
        break
    views_of(ctx.platform).forget(Place(ctx.account, ctx.region, FeatureGroupName))
    _wake(ctx, FeatureGroupName)


def find_group(ctx: Context, name: str) -> Entry[FeatureGroup]:
    """The record of the group that a request names, by its name or its ARN. Raises ResourceNotFound."""
    return FEATURE_GROUPS.get(ctx, place_of(ctx.account, ctx.region, name).name)


def _offline_status(entry: Entry[FeatureGroup]) -> str:
    return (entry.value.offline_status or {}).get("Status", "")


def _summary(entry: Entry[FeatureGroup]) -> dict[str, Any]:
    return {
        "FeatureGroupName": entry.name,
        "FeatureGroupArn": entry.value.arn,
        "CreationTime": entry.created_at,
        "FeatureGroupStatus": entry.status,
        "OfflineStoreStatus": entry.value.offline_status,
    }


def _wake(ctx: Context, name: str) -> None:
    ctx.platform.wake(TOPIC, f"{ctx.account}/{ctx.region}/{name}")
