"""Single records, the hot path: put, get, update, delete. Nothing here asks the record store while a group stays as
it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.clock import iso
from clary.kernel.core.errors import AwsError
from clary.kernel.online import HARD_DELETE, Item, OnlineStoreError, Outcome, Write
from clary.kernel.rooms import Context, operation
from clary.systems.feature_store.incoming import check_identifier
from clary.systems.feature_store.lookup import group_resource, invalid, no_group, place_of
from clary.systems.feature_store.showing import shown
from clary.systems.feature_store.stores import store_of, unavailable
from clary.systems.feature_store.views import View, views_of
from clary.systems.feature_store.writing import MOST_UPDATED, UPDATABLE, deletion_of, put_of, refuse_older, update_of

_MAX_TRIES = 50


@operation("sagemaker-featurestore-runtime", "PutRecord", resource=group_resource)
async def put_record(
    ctx: Context,
    FeatureGroupName: str,
    Record: Sequence[Mapping[str, Any]],
    TargetStores: Sequence[str] | None = None,
    TtlDuration: Mapping[str, Any] | None = None,
) -> None:
    """Put a record; it is on disk when this answers. Online an older event never replaces a newer one."""
    view = _known(ctx, FeatureGroupName) or await _view(ctx, FeatureGroupName)
    await _write(ctx, view, put_of(view, Record, TargetStores, TtlDuration, ctx.platform.clock.now()))


@operation("sagemaker-featurestore-runtime", "GetRecord", resource=group_resource)
async def get_record(
    ctx: Context,
    FeatureGroupName: str,
    RecordIdentifierValueAsString: str,
    FeatureNames: Sequence[str] | None = None,
    ExpirationTimeResponse: str | None = None,
) -> dict[str, Any]:
    """The latest record of an identifier; an empty answer where there is none, or it was deleted or has expired."""
    view = _known(ctx, FeatureGroupName) or await _view(ctx, FeatureGroupName)
    if not view.online:
        raise no_online_store(view)
    check_identifier(view, RecordIdentifierValueAsString)
    item = await _get(ctx, view, RecordIdentifierValueAsString)
    if item is None or item.deleted:
        return {}
    record = shown(view, item, FeatureNames)
    if ExpirationTimeResponse == "Enabled" and item.expires:
        return {"Record": record, "ExpiresAt": iso(item.expires)}
    return {"Record": record}


@operation("sagemaker-featurestore-runtime", "DeleteRecord", resource=group_resource)
async def delete_record(
    ctx: Context,
    FeatureGroupName: str,
    RecordIdentifierValueAsString: str,
    EventTime: str,
    TargetStores: Sequence[str] | None = None,
    DeletionMode: str | None = None,
) -> None:
    """Delete a record softly, so that older events stay out, or leave nothing of it online."""
    view, now = await _view(ctx, FeatureGroupName), ctx.platform.clock.now()
    write = deletion_of(view, RecordIdentifierValueAsString, EventTime, TargetStores, DeletionMode, now)
    outcome = await _write(ctx, view, write)
    if write.kind == HARD_DELETE:
        refuse_older(outcome, EventTime)


@operation("sagemaker-featurestore-runtime", "UpdateRecord", resource=group_resource)
async def update_record(
    ctx: Context,
    FeatureGroupName: str,
    RecordIdentifierValueAsString: str,
    Features: Sequence[Mapping[str, Any]],
    TargetStores: Sequence[str] | None = None,
    TtlDuration: Mapping[str, Any] | None = None,
) -> None:
    """Change some features of a record that is there, and leave the others."""
    view = await _view(ctx, FeatureGroupName)
    if view.storage not in UPDATABLE:
        raise invalid(
            f"UpdateRecord needs an online store of StorageType {' or '.join(UPDATABLE)}; FeatureGroup "
            f"{view.place.name} has {view.storage or 'none'}."
        )
    if len(Features) > MOST_UPDATED:
        raise invalid(f"UpdateRecord changes at most {MOST_UPDATED} features; these are {len(Features)}.")
    check_identifier(view, RecordIdentifierValueAsString)
    for _ in range(_MAX_TRIES):
        there = await _get(ctx, view, RecordIdentifierValueAsString)
        if there is None or there.deleted:
            raise AwsError("ResourceNotFound", f"There is no record [{RecordIdentifierValueAsString[:100]}] to update.")
        now = ctx.platform.clock.now()
        write = update_of(view, RecordIdentifierValueAsString, there, Features, TargetStores, TtlDuration, now)
        if await _write(ctx, view, write) is Outcome.APPLIED:
            return
    raise AwsError("ServiceUnavailable", "The record changes faster than it can be updated. Please try again.")


def no_online_store(view: View) -> AwsError:
    return invalid(f"FeatureGroup {view.place.name} has no online store.")


async def _view(ctx: Context, name: str) -> View:
    return await views_of(ctx.platform).find(place_of(ctx.account, ctx.region, name))


def _known(ctx: Context, name: str) -> View | None:
    """The view that most calls find, without waiting for anything."""
    return views_of(ctx.platform).known(place_of(ctx.account, ctx.region, name))


async def _get(ctx: Context, view: View, identifier: str) -> Item | None:
    try:
        return await store_of(ctx.platform).get(view.uid, identifier)
    except OnlineStoreError as error:
        raise unavailable(error) from error


async def _write(ctx: Context, view: View, write: Write) -> Outcome:
    try:
        outcome = await store_of(ctx.platform).write(write)
    except OnlineStoreError as error:
        raise unavailable(error) from error
    if outcome is Outcome.GONE:
        views_of(ctx.platform).forget(view.place)
        raise no_group(view.place.name)
    return outcome
