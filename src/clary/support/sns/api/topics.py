"""Topics: create, describe, change, list and delete; who else may use them; their tags."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.tags import add_tags, read_tags, remove_tags, tag_list, tags_of, tags_with, tags_without
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.kernel.wire import page_asked, page_output
from clary.support.sns.attributes import checked_topic, default_policy, shown_topic
from clary.support.sns.lookup import delivery_key, invalid, not_found, subscriptions_of, topic_of
from clary.support.sns.records import CONFIRMED, PENDING, Subscription, Topic, topic_arn

_NAME = re.compile(r"(?=.{1,256}\Z)[A-Za-z0-9_-]+(\.fifo)?")
_SHARED = (
    "AddPermission",
    "DeleteTopic",
    "GetTopicAttributes",
    "ListSubscriptionsByTopic",
    "ListTagsForResource",
    "Publish",
    "RemovePermission",
    "SetTopicAttributes",
    "Subscribe",
)


@operation("sns", "CreateTopic", resource="{Name}")
def create_topic(
    ctx: Context,
    Name: str,
    Attributes: Mapping[str, str] | None = None,
    Tags: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Add a topic; one that is there with the same attributes and tags is answered as it is."""
    if not _NAME.fullmatch(Name):
        raise invalid("Topic Name")
    fifo = Name.endswith(".fifo")
    if fifo and (Attributes or {}).get("FifoTopic") != "true":
        raise invalid("Topic Name Reason: the name of a FIFO topic ends with .fifo, and its FifoTopic is true")
    kept = {name: value for name, value in checked_topic(Attributes or {}, fifo=fifo).items() if value}
    tags = _read_tags(Tags)
    arn = ctx.arn(Name, service="sns")
    try:
        ctx.records(Topic).create(Name, Topic(Name, kept), also=tags_with(ctx, arn, tags))
    except AlreadyExists:
        found = ctx.records(Topic).get(Name)
        if found is None:
            raise Conflict(arn) from None
        if any(found.value.attributes.get(name) != value for name, value in kept.items()):
            raise invalid("Attributes Reason: Topic already exists with different attributes") from None
        if tags and tags_of(ctx.platform, arn) != tags:
            raise invalid("Tags Reason: Topic already exists with different tags") from None
    return {"TopicArn": arn}


@operation("sns", "DeleteTopic", resource="{TopicArn}")
def delete_topic(ctx: Context, TopicArn: str) -> None:
    """Remove a topic with its subscriptions and what waits for them; one that is not there is no error."""
    try:
        topic = topic_of(ctx, TopicArn)
    except AwsError as error:
        if error.code == "NotFound":
            return
        raise
    table = ctx.platform.records(Topic).within(topic.account, topic.region)
    while table.get(topic.name) is not None:
        try:
            table.delete(topic.name, also=tags_without(ctx.platform, TopicArn))
        except Conflict:
            continue  # its tags changed, or it went, meanwhile
    for entry in subscriptions_of(ctx.platform, topic):
        ctx.platform.records(Subscription).within(entry.account, entry.region).delete(entry.name)
        ctx.platform.wake("sns", delivery_key(entry))


@operation("sns", "ListTopics")
def list_topics(ctx: Context, NextToken: str | None = None) -> dict[str, Any]:
    """The caller's topics by name, a hundred at a time."""
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken})
    page = ctx.records(Topic).page(limit, position)
    return page_output(ctx.operation, [{"TopicArn": topic_arn(entry)} for entry in page], page.next_token)


@operation("sns", "GetTopicAttributes", resource="{TopicArn}")
def get_topic_attributes(ctx: Context, TopicArn: str) -> dict[str, Any]:
    """What is set of a topic, and how many subscriptions it has."""
    topic = topic_of(ctx, TopicArn)
    table = ctx.platform.records(Subscription).within(topic.account, topic.region)
    confirmed, pending = (table.count(parent=topic.name, status=status) for status in (CONFIRMED, PENDING))
    return {"Attributes": shown_topic(topic, confirmed, pending)}


@operation("sns", "SetTopicAttributes", resource="{TopicArn}")
def set_topic_attributes(ctx: Context, TopicArn: str, AttributeName: str, AttributeValue: str | None = None) -> None:
    """Change one attribute; an empty value takes it away."""
    if AttributeName == "FifoTopic":
        raise invalid("AttributeName Reason: FifoTopic can only be set when a topic is created")
    topic = topic_of(ctx, TopicArn)
    checked = checked_topic({AttributeName: AttributeValue or ""}, fifo=topic.value.is_fifo)
    _change(ctx, topic, lambda kept: {name: value for name, value in {**kept, **checked}.items() if value})


@operation("sns", "AddPermission", resource="{TopicArn}")
def add_permission(
    ctx: Context, TopicArn: str, Label: str, AWSAccountId: Sequence[str], ActionName: Sequence[str]
) -> None:
    """Add a statement to the topic's policy that lets other accounts use it."""
    topic = topic_of(ctx, TopicArn)
    unknown = [action for action in ActionName if action not in _SHARED]
    if unknown or not ActionName or not AWSAccountId:
        raise invalid(f"Policy statement action out of service scope: it must be one of {', '.join(_SHARED)}")

    def change(kept: Mapping[str, str]) -> dict[str, str]:
        policy = _policy(topic, kept)
        if any(statement.get("Sid") == Label for statement in policy["Statement"]):
            raise invalid("Statement already exists")
        policy["Statement"].append(
            {
                "Sid": Label,
                "Effect": "Allow",
                "Principal": {
                    "AWS": [f"arn:{partition_of(topic.region)}:iam::{account}:root" for account in AWSAccountId]
                },
                "Action": [f"SNS:{action}" for action in ActionName],
                "Resource": TopicArn,
            }
        )
        return {**kept, "Policy": orjson.dumps(policy).decode()}

    _change(ctx, topic, change)


@operation("sns", "RemovePermission", resource="{TopicArn}")
def remove_permission(ctx: Context, TopicArn: str, Label: str) -> None:
    """Take the statement with this label out of the topic's policy."""
    topic = topic_of(ctx, TopicArn)

    def change(kept: Mapping[str, str]) -> dict[str, str]:
        policy = _policy(topic, kept)
        left = [statement for statement in policy["Statement"] if statement.get("Sid") != Label]
        return {**kept, "Policy": orjson.dumps({**policy, "Statement": left}).decode()}

    _change(ctx, topic, change)


@operation("sns", "TagResource", resource="{ResourceArn}")
def tag_resource(ctx: Context, ResourceArn: str, Tags: Sequence[Mapping[str, Any]]) -> None:
    """Add tags to a topic, over values of the same key."""
    _tagged(ctx, ResourceArn)
    try:
        add_tags(ctx.platform, ResourceArn, _read_tags(Tags))
    except AwsError as error:
        raise AwsError("TagLimitExceeded" if "at most" in error.message else error.code, error.message) from None


@operation("sns", "UntagResource", resource="{ResourceArn}")
def untag_resource(ctx: Context, ResourceArn: str, TagKeys: Sequence[str]) -> None:
    """Take tags off a topic; keys it lacks are no error."""
    _tagged(ctx, ResourceArn)
    remove_tags(ctx.platform, ResourceArn, TagKeys)


@operation("sns", "ListTagsForResource", resource="{ResourceArn}")
def list_tags_for_resource(ctx: Context, ResourceArn: str) -> dict[str, Any]:
    """The tags of a topic."""
    _tagged(ctx, ResourceArn)
    return {"Tags": tag_list(tags_of(ctx.platform, ResourceArn))}


def _tagged(ctx: Context, arn: str) -> None:
    try:
        topic_of(ctx, arn, owner_only=True)
    except AwsError as error:
        if error.code != not_found("").code:
            raise
        raise AwsError("ResourceNotFound", "Resource does not exist", status=404) from None


def _read_tags(given: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    try:
        return read_tags(given)
    except AwsError as error:
        raise invalid(f"Tags Reason: {error.message}") from None


def _policy(topic: Entry[Topic], kept: Mapping[str, str]) -> dict[str, Any]:
    policy = orjson.loads(kept["Policy"]) if "Policy" in kept else default_policy(topic)
    statements = policy.get("Statement", [])
    return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}


def _change(ctx: Context, topic: Entry[Topic], change: Callable[[Mapping[str, str]], dict[str, str]]) -> None:
    table = ctx.platform.records(Topic).within(topic.account, topic.region)
    if table.update(topic.name, lambda kept: replace(kept, attributes=change(kept.attributes))) is None:
        raise not_found("Topic")
