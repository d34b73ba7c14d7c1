"""Tags of streams and consumers, and the policies that share them with other accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.auth import policies
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import add_tags, remove_tags, tag_list, tags_of
from clary.systems.kinesis.lifecycle import change
from clary.systems.kinesis.lookup import find, find_consumer, invalid, not_found, stream_resource
from clary.systems.kinesis.records import Consumer, Place, consumer_key
from clary.systems.kinesis.views import views_of

_MOST_TAGS_LISTED = 50
_MOST_POLICY_BYTES = 20 * 1024


@operation("kinesis", "AddTagsToStream", resource=stream_resource)
def add_tags_to_stream(
    ctx: Context, Tags: Mapping[str, str], StreamName: str | None = None, StreamARN: str | None = None
) -> None:
    """Add tags to a stream, over values of the same key."""
    place, _ = find(ctx, StreamName, StreamARN)
    _tag(ctx, place.arn, Tags)


@operation("kinesis", "RemoveTagsFromStream", resource=stream_resource)
def remove_tags_from_stream(
    ctx: Context, TagKeys: Sequence[str], StreamName: str | None = None, StreamARN: str | None = None
) -> None:
    """Take tags off a stream; keys it lacks are no error."""
    place, _ = find(ctx, StreamName, StreamARN)
    remove_tags(ctx.platform, place.arn, TagKeys)


@operation("kinesis", "ListTagsForStream", resource=stream_resource)
def list_tags_for_stream(
    ctx: Context,
    StreamName: str | None = None,
    ExclusiveStartTagKey: str | None = None,
    Limit: int | None = None,
    StreamARN: str | None = None,
) -> dict[str, Any]:
    """A stream's tags by key."""
    place, _ = find(ctx, StreamName, StreamARN)
    tags = sorted(tags_of(ctx.platform, place.arn).items())
    left = [(key, value) for key, value in tags if key > (ExclusiveStartTagKey or "")]
    limit = Limit or _MOST_TAGS_LISTED
    return {"Tags": tag_list(dict(left[:limit])), "HasMoreTags": len(left) > limit}


@operation("kinesis", "TagResource", resource="{ResourceARN}")
def tag_resource(ctx: Context, Tags: Mapping[str, str], ResourceARN: str) -> None:
    """Add tags to a stream or a consumer, over values of the same key."""
    _find_resource(ctx, ResourceARN)
    _tag(ctx, ResourceARN, Tags)


@operation("kinesis", "UntagResource", resource="{ResourceARN}")
def untag_resource(ctx: Context, TagKeys: Sequence[str], ResourceARN: str) -> None:
    """Take tags off a stream or a consumer; keys it lacks are no error."""
    _find_resource(ctx, ResourceARN)
    remove_tags(ctx.platform, ResourceARN, TagKeys)


@operation("kinesis", "ListTagsForResource", resource="{ResourceARN}")
def list_tags_for_resource(ctx: Context, ResourceARN: str) -> dict[str, Any]:
    """The tags of a stream or a consumer."""
    _find_resource(ctx, ResourceARN)
    return {"Tags": tag_list(tags_of(ctx.platform, ResourceARN))}


@operation("kinesis", "PutResourcePolicy", resource="{ResourceARN}")
def put_resource_policy(ctx: Context, ResourceARN: str, Policy: str) -> None:
    """Say who else may use a stream or a consumer."""
    place, consumer = _find_resource(ctx, ResourceARN)
    if len(Policy.encode()) > _MOST_POLICY_BYTES:
        raise invalid(f"A resource policy has at most {_MOST_POLICY_BYTES} bytes.")
    try:
        policies.compile_document(Policy, "resource policy")
    except ValueError as error:
        raise invalid(f"The resource policy is not valid: {error}") from None
    _keep_policy(ctx, place, consumer, Policy)


@operation("kinesis", "GetResourcePolicy", resource="{ResourceARN}")
def get_resource_policy(ctx: Context, ResourceARN: str) -> dict[str, Any]:
    """The policy of a stream or a consumer."""
    return {"Policy": _policy(ctx, ResourceARN)}


@operation("kinesis", "DeleteResourcePolicy", resource="{ResourceARN}")
def delete_resource_policy(ctx: Context, ResourceARN: str) -> None:
    """Take the policy off a stream or a consumer."""
    _policy(ctx, ResourceARN)
    _keep_policy(ctx, *_find_resource(ctx, ResourceARN), "")


def _find_resource(ctx: Context, arn: str) -> tuple[Place, Consumer | None]:
    """The stream with an ARN, or the consumer. Raises ResourceNotFoundException."""
    if "/consumer/" in arn:
        place, entry = find_consumer(ctx, arn, None, None)
        return place, entry.value
    return find(ctx, None, arn)[0], None


def _policy(ctx: Context, arn: str) -> str:
    if "/consumer/" in arn:
        policy = find_consumer(ctx, arn, None, None)[1].value.policy
    else:
        policy = find(ctx, None, arn)[1].value.policy
    if not policy:
        raise not_found(f"No resource policy found for resource ARN {arn}.")
    return policy


def _keep_policy(ctx: Context, place: Place, consumer: Consumer | None, policy: str) -> None:
    if consumer is None:
        change(ctx.platform, place, lambda stream: replace(stream, policy=policy))
        views_of(ctx.platform).forget(place)
        return
    table = ctx.platform.records(Consumer).within(place.account, place.region)
    table.update(consumer_key(place.name, consumer.name), lambda stored: replace(stored, policy=policy))


def _tag(ctx: Context, arn: str, tags: Mapping[str, str]) -> None:
    try:
        add_tags(ctx.platform, arn, tags)
    except AwsError as error:
        raise invalid(error.message) from None
