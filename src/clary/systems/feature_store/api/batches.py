"""Several records at once: get up to 100 of several groups, write up to 25, list the identifiers of a group."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.auth import policies
from clary.kernel.core.clock import iso
from clary.kernel.core.errors import AwsError
from clary.kernel.online import Item, OnlineStoreError, Outcome
from clary.kernel.rooms import Context, operation
from clary.kernel.wire import Encoded, page_asked, page_output
from clary.systems.feature_store.api.data import no_online_store
from clary.systems.feature_store.incoming import check_identifier
from clary.systems.feature_store.lookup import group_resource, invalid, no_group, place_of
from clary.systems.feature_store.showing import check_names, shown_of
from clary.systems.feature_store.stores import store_of, unavailable
from clary.systems.feature_store.views import View, views_of
from clary.systems.feature_store.writing import put_of

_MOST_IDENTIFIERS = 100
_LISTED = 100


def _first_group(ctx: Context, params: Mapping[str, Any]) -> str:
    """Authorisation asks about the first group before, and about each other one by itself."""
    return group_resource(ctx, (params.get("Identifiers") or params["Entries"])[0])


@operation("sagemaker-featurestore-runtime", "BatchGetRecord", resource=_first_group)
async def batch_get_record(
    ctx: Context, Identifiers: Sequence[Mapping[str, Any]], ExpirationTimeResponse: str | None = None
) -> dict[str, Any]:
    """The latest records of up to 100 identifiers, in several groups. Those that are not there are left out; what is
    wrong with one group is told for each of its identifiers, and spoils no other."""
    if sum(len(each["RecordIdentifiersValueAsString"]) for each in Identifiers) > _MOST_IDENTIFIERS:
        raise invalid(f"BatchGetRecord gets at most {_MOST_IDENTIFIERS} records in all.")
    errors: list[dict[str, Any]] = []
    groups: list[tuple[View, Mapping[str, Any]]] = []
    for asked in Identifiers:
        identifiers = asked["RecordIdentifiersValueAsString"]
        try:
            view = await _readable(ctx, asked)
            for identifier in identifiers:
                check_identifier(view, identifier)
        except AwsError as error:
            errors += [_failure(asked["FeatureGroupName"], identifier, error) for identifier in identifiers]
            continue
        groups.append((view, asked))
    wanted = [(view.uid, each) for view, asked in groups for each in asked["RecordIdentifiersValueAsString"]]
    try:
        items = iter(await store_of(ctx.platform).get_many(wanted))
    except OnlineStoreError as error:
        raise unavailable(error) from error
    expiring = ExpirationTimeResponse == "Enabled"
    found = [each for view, asked in groups for each in _details(view, asked, items, expiring)]
    records = Encoded(b"[" + b",".join(found) + b"]")
    return {"Records": records, "Errors": errors, "UnprocessedIdentifiers": []}


@operation("sagemaker-featurestore-runtime", "BatchWriteRecord", resource=_first_group)
async def batch_write_record(
    ctx: Context, Entries: Sequence[Mapping[str, Any]], TtlDuration: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Put up to 25 records into several groups, in their order; they are on disk when this answers. What is wrong with
    one spoils no other."""
    now, errors, writes, kept = ctx.platform.clock.now(), [], [], []
    for entry in Entries:
        try:
            view = await _allowed(ctx, entry["FeatureGroupName"])
            ttl = entry.get("TtlDuration") or TtlDuration
            writes.append(put_of(view, entry["Record"], entry.get("TargetStores"), ttl, now))
            kept.append((view, entry))
        except AwsError as error:
            errors.append({"Entry": entry, "ErrorCode": error.code, "ErrorMessage": error.message})
    try:
        outcomes = await store_of(ctx.platform).write_many(writes) if writes else []
    except OnlineStoreError as error:
        raise unavailable(error) from error
    for (view, entry), outcome in zip(kept, outcomes, strict=True):
        if outcome is Outcome.GONE:
            views_of(ctx.platform).forget(view.place)
            gone = no_group(view.place.name)
            errors.append({"Entry": entry, "ErrorCode": gone.code, "ErrorMessage": gone.message})
    return {"Errors": errors, "UnprocessedEntries": []}


@operation("sagemaker-featurestore-runtime", "ListRecords", resource=group_resource)
def list_records(
    ctx: Context,
    FeatureGroupName: str,
    MaxResults: int | None = None,
    NextToken: str | None = None,
    IncludeSoftDeletedRecords: bool = False,
) -> dict[str, Any]:
    """The identifiers of the records in a group's online store, in an order that stays."""
    view = views_of(ctx.platform).find_now(place_of(ctx.account, ctx.region, FeatureGroupName))
    if not view.online:
        raise no_online_store(view)
    limit, after = page_asked(ctx.operation, {"MaxResults": MaxResults, "NextToken": NextToken}, _LISTED)
    try:
        keys, more = store_of(ctx.platform).keys(
            view.uid, after=after, limit=limit, deleted=bool(IncludeSoftDeletedRecords)
        )
    except OnlineStoreError as error:
        raise unavailable(error) from error
    return page_output(ctx.operation, keys, more)


async def _readable(ctx: Context, asked: Mapping[str, Any]) -> View:
    view = await _allowed(ctx, asked["FeatureGroupName"])
    if not view.online:
        raise no_online_store(view)
    if asked.get("FeatureNames"):
        check_names(view, asked["FeatureNames"])
    return view


async def _allowed(ctx: Context, name: str) -> View:
    """The view of a group that the caller may use so. Raises AwsError."""
    view = await views_of(ctx.platform).find(place_of(ctx.account, ctx.region, name))
    policies.require(ctx.principal, ctx.operation, lambda: view.arn, {"aws:requestedregion": ctx.region})
    return view


def _details(view: View, asked: Mapping[str, Any], items: Iterator[Item | None], expiring: bool) -> Iterator[bytes]:
    """A group's part of the answer, each record as JSON. Takes as many of the items as identifiers were asked for."""
    names = asked.get("FeatureNames")
    head = b'{"FeatureGroupName":%b,"RecordIdentifierValueAsString":' % orjson.dumps(asked["FeatureGroupName"])
    for identifier, item in zip(asked["RecordIdentifiersValueAsString"], items, strict=False):
        if item is None or item.deleted:
            continue
        record = item.data if names is None else shown_of(view, item, names)
        if record is not None:
            expires = b',"ExpiresAt":"%b"' % iso(item.expires).encode() if expiring and item.expires else b""
            yield b'%b%b,"Record":%b%b}' % (head, orjson.dumps(identifier), record, expires)


def _failure(group: str, identifier: str, error: AwsError) -> dict[str, Any]:
    return {
        "FeatureGroupName": group,
        "RecordIdentifierValueAsString": identifier,
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
    }
