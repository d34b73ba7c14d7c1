"""Tags of delivery streams."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import MOST_TAGS, add_tags, read_tags, remove_tags, tag_list, tags_of
from clary.systems.firehose.lookup import find
from clary.systems.firehose.records import stream_arn
from clary.systems.firehose.refusals import invalid


@operation("firehose", "TagDeliveryStream", resource="deliverystream/{DeliveryStreamName}")
def tag_delivery_stream(ctx: Context, DeliveryStreamName: str, Tags: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add tags to a delivery stream, over values of the same key."""
    arn = stream_arn(find(ctx, DeliveryStreamName))
    try:
        given = read_tags(Tags)
        if len(tags_of(ctx.platform, arn) | given) > MOST_TAGS:
            raise AwsError("LimitExceededException", f"A delivery stream can have at most {MOST_TAGS} tags.")
        add_tags(ctx.platform, arn, given)
    except AwsError as error:
        raise invalid(error.message) if error.code == "ValidationException" else error from None
    return {}


@operation("firehose", "UntagDeliveryStream", resource="deliverystream/{DeliveryStreamName}")
def untag_delivery_stream(ctx: Context, DeliveryStreamName: str, TagKeys: Sequence[str]) -> dict[str, Any]:
    """Take tags off a delivery stream; keys it lacks are no error."""
    remove_tags(ctx.platform, stream_arn(find(ctx, DeliveryStreamName)), TagKeys)
    return {}


@operation("firehose", "ListTagsForDeliveryStream", resource="deliverystream/{DeliveryStreamName}")
def list_tags_for_delivery_stream(
    ctx: Context, DeliveryStreamName: str, ExclusiveStartTagKey: str | None = None, Limit: int | None = None
) -> dict[str, Any]:
    """The tags of a delivery stream in order of their keys, after one that was seen already."""
    tags = tags_of(ctx.platform, stream_arn(find(ctx, DeliveryStreamName)))
    rest = {key: tags[key] for key in sorted(tags) if key > (ExclusiveStartTagKey or "")}
    listed = tag_list(rest)[: Limit or MOST_TAGS]
    return {"Tags": listed, "HasMoreTags": len(rest) > len(listed)}
