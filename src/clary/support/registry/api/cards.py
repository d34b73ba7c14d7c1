"""Model cards: what a model is for, how it was made and how good it is, in versions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import epoch_seconds, list_output
from clary.kernel.rooms.tags import read_tags, tags_without
from clary.kernel.store import Conflict, Entry
from clary.kernel.wire import paginate
from clary.support.registry.contents import check_content, metadata_only
from clary.support.registry.records import ExportJob, ModelCard, PastVersion
from clary.support.registry.resources import MODEL_CARDS, card_asked, card_description, card_name, user_context

_ARCHIVED = "Archived"
_MAX_TRIES = 50


@operation("sagemaker", "CreateModelCard", resource="model-card/{ModelCardName}")
def create_model_card(
    ctx: Context,
    *,
    ModelCardName: str,
    Content: str,
    ModelCardStatus: str,
    SecurityConfig: dict[str, Any] | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    check_content(Content)
    who = user_context(ctx)
    card = ModelCard(1, Content, ModelCardStatus, who, ctx.platform.clock.now(), security=SecurityConfig)
    MODEL_CARDS.create(ctx, ModelCardName, card, tags=read_tags(Tags), status=ModelCardStatus)
    return {"ModelCardArn": MODEL_CARDS.arn(ctx, ModelCardName)}


@operation("sagemaker", "DescribeModelCard", resource=card_asked)
def describe_model_card(
    ctx: Context, *, ModelCardName: str, ModelCardVersion: int | None = None, IncludedData: str | None = None
) -> dict[str, Any]:
    """The latest version, or the one that is asked for."""
    entry = MODEL_CARDS.get(ctx, card_name(ctx, ModelCardName))
    described = card_description(ctx, entry)
    if ModelCardVersion is not None and ModelCardVersion != entry.value.number:
        past = past_version(ctx, entry.name, ModelCardVersion)
        described |= {
            "ModelCardVersion": past.number,
            "Content": past.content,
            "ModelCardStatus": past.status,
            "LastModifiedTime": past.modified_at,
            "LastModifiedBy": past.modified_by,
        }
    if IncludedData == "MetadataOnly":
        described["Content"] = metadata_only(described["Content"])
    return described


@operation("sagemaker", "UpdateModelCard", resource=card_asked)
def update_model_card(
    ctx: Context, *, ModelCardName: str, Content: str | None = None, ModelCardStatus: str | None = None
) -> dict[str, Any]:
    """Give the card another content, which makes a version, or another status, which does not."""
    if (Content is None) == (ModelCardStatus is None):
        raise validation("Give either Content or ModelCardStatus: they cannot be updated in a single call.")
    if Content is not None:
        check_content(Content)
    name, cards = card_name(ctx, ModelCardName), ctx.records(ModelCard)
    for _ in range(_MAX_TRIES):
        entry = MODEL_CARDS.get(ctx, name)
        try:
            if Content is None:
                assert ModelCardStatus is not None
                changed = replace(entry.value, status=ModelCardStatus, modified_by=user_context(ctx))
                cards.replace(entry, changed, status=ModelCardStatus)
            else:
                _new_version(ctx, entry, Content)
        except Conflict:
            continue
        return {"ModelCardArn": MODEL_CARDS.arn(ctx, name)}
    raise Conflict(name)


@operation("sagemaker", "ListModelCards")
def list_model_cards(ctx: Context, *, ModelCardStatus: str | None = None, **request: Any) -> dict[str, Any]:
    asked = {**request, **({"StatusEquals": ModelCardStatus} if ModelCardStatus else {})}

    def show(entry: Entry[ModelCard]) -> dict[str, Any]:
        return {
            "ModelCardName": entry.name,
            "ModelCardArn": MODEL_CARDS.arn(ctx, entry.name),
            "ModelCardStatus": entry.value.status,
            "CreationTime": entry.created_at,
            "LastModifiedTime": entry.updated_at,
        }

    return list_output(ctx, ModelCard, asked, show, sort_order="Descending")


@operation("sagemaker", "ListModelCardVersions", resource=card_asked)
def list_model_card_versions(
    ctx: Context,
    *,
    ModelCardName: str,
    CreationTimeAfter: float | None = None,
    CreationTimeBefore: float | None = None,
    ModelCardStatus: str | None = None,
    SortBy: str | None = None,
    SortOrder: str | None = None,
    MaxResults: int | None = None,
    NextToken: str | None = None,
) -> dict[str, Any]:
    """The versions of a card by number, the latest first unless asked otherwise."""
    entry = MODEL_CARDS.get(ctx, card_name(ctx, ModelCardName))
    card = entry.value
    latest = PastVersion(card.number, card.content, card.status, card.versioned_at, entry.updated_at, card.modified_by)
    past = [one.value for one in ctx.records(PastVersion).all(parent=entry.name)]
    after = None if CreationTimeAfter is None else epoch_seconds(CreationTimeAfter)
    before = None if CreationTimeBefore is None else epoch_seconds(CreationTimeBefore)
    sign = 1 if SortOrder == "Ascending" else -1
    found = [
        one
        for one in sorted([*past, latest], key=lambda one: sign * one.number)
        if ModelCardStatus in (None, one.status)
        and (after is None or one.versioned_at >= after)
        and (before is None or one.versioned_at <= before)
    ]
    shown = [
        {
            "ModelCardName": entry.name,
            "ModelCardArn": MODEL_CARDS.arn(ctx, entry.name),
            "ModelCardStatus": one.status,
            "ModelCardVersion": one.number,
            "CreationTime": one.versioned_at,
            "LastModifiedTime": one.modified_at,
        }
        for one in found
    ]
    asked = {"MaxResults": MaxResults, "NextToken": NextToken}
    return paginate(ctx.operation, asked, shown, key=lambda one: sign * one["ModelCardVersion"])


@operation("sagemaker", "DeleteModelCard", resource="model-card/{ModelCardName}")
def delete_model_card(ctx: Context, ModelCardName: str) -> None:
    """Forget a card with its versions and the records of its exports; what was exported stays in S3."""
    for _ in range(_MAX_TRIES):
        entry = MODEL_CARDS.get(ctx, ModelCardName)
        also = list(tags_without(ctx.platform, MODEL_CARDS.arn(ctx, ModelCardName)))
        for kind in (PastVersion, ExportJob):
            table: Any = ctx.records(kind)
            also += [table.deletion(one.name, version=one.version) for one in table.all(parent=ModelCardName)]
        try:
            ctx.records(ModelCard).delete(ModelCardName, version=entry.version, also=also)
        except Conflict:
            continue
        return
    raise Conflict(ModelCardName)


def past_version(ctx: Context, card: str, number: int) -> PastVersion:
    """A version that is not the latest. Raises ResourceNotFound."""
    found = ctx.records(PastVersion).get(f"{card}/{number}")
    if found is None:
        raise AwsError("ResourceNotFound", f"Model card {MODEL_CARDS.arn(ctx, card)} has no version {number}.")
    return found.value


def _new_version(ctx: Context, entry: Entry[ModelCard], content: str) -> None:
    """Put the latest version aside and store the next, all or nothing. Raises Conflict."""
    card = entry.value
    if card.status == _ARCHIVED:
        raise validation(f"Model Card is in Archived state: {MODEL_CARDS.arn(ctx, entry.name)} takes no other content.")
    aside = PastVersion(card.number, card.content, card.status, card.versioned_at, entry.updated_at, card.modified_by)
    also: list[Any] = [
        ctx.records(PastVersion).insertion(f"{entry.name}/{card.number}", aside, parent=entry.name),
    ]
    changed: Mapping[str, Any] = {
        "number": card.number + 1,
        "content": content,
        "versioned_at": ctx.platform.clock.now(),
        "modified_by": user_context(ctx),
    }
    ctx.records(ModelCard).replace(entry, replace(card, **changed), also=also, told=True)
