"""A queue's tags, and who else may use it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.kv import Transaction
from clary.kernel.rooms import Context, operation
from clary.support.sqs.lookup import domain, find, invalid_value, read
from clary.support.sqs.records import Queue
from clary.support.sqs.tags import checked_tags

_MOST_ACTIONS = 7
_SHARED = (
    "*",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
)


@operation("sqs", "TagQueue", resource="{QueueUrl:last}")
def tag_queue(ctx: Context, QueueUrl: str, Tags: Mapping[str, str]) -> None:
    """Add tags to a queue, over values of the same key."""
    _change(ctx, QueueUrl, lambda queue: replace(queue, tags=checked_tags({**queue.tags, **Tags})))


@operation("sqs", "UntagQueue", resource="{QueueUrl:last}")
def untag_queue(ctx: Context, QueueUrl: str, TagKeys: Sequence[str]) -> None:
    """Take tags off a queue; keys it lacks are no error."""
    gone = set(TagKeys)
    _change(
        ctx,
        QueueUrl,
        lambda queue: replace(queue, tags={key: value for key, value in queue.tags.items() if key not in gone}),
    )


@operation("sqs", "ListQueueTags", resource="{QueueUrl:last}")
def list_queue_tags(ctx: Context, QueueUrl: str) -> dict[str, Any]:
    """The tags of a queue."""
    tags = find(ctx, QueueUrl, owner_only=True)[1].tags
    return {"Tags": tags} if tags else {}


@operation("sqs", "AddPermission", resource="{QueueUrl:last}")
def add_permission(
    ctx: Context, QueueUrl: str, Label: str, AWSAccountIds: Sequence[str], Actions: Sequence[str]
) -> None:
    """Add a statement to the queue's policy that lets other accounts use it."""
    unknown = [action for action in Actions if action not in _SHARED]
    if unknown or not Actions or len(Actions) > _MOST_ACTIONS:
        raise invalid_value(f"Actions must be one to {_MOST_ACTIONS} of {', '.join(_SHARED)}; {unknown} are not.")
    if not AWSAccountIds:
        raise AwsError("MissingParameter", "The request must contain the parameter AWSAccountIds.")

    def change(queue: Queue) -> Queue:
        policy = _policy(queue)
        if any(statement.get("Sid") == Label for statement in policy["Statement"]):
            raise invalid_value(f"Value {Label} for parameter Label is invalid. Reason: Already exists.")
        policy["Statement"].append(
            {
                "Sid": Label,
                "Effect": "Allow",
                "Principal": {
                    "AWS": [f"arn:{partition_of(queue.region)}:iam::{account}:root" for account in AWSAccountIds]
                },
                "Action": [f"SQS:{action}" for action in Actions],
                "Resource": queue.arn,
            }
        )
        return replace(queue, attributes={**queue.attributes, "Policy": orjson.dumps(policy).decode()})

    _change(ctx, QueueUrl, change)


@operation("sqs", "RemovePermission", resource="{QueueUrl:last}")
def remove_permission(ctx: Context, QueueUrl: str, Label: str) -> None:
    """Take the statement with this label out of the queue's policy."""

    def change(queue: Queue) -> Queue:
        policy = _policy(queue)
        kept = [statement for statement in policy["Statement"] if statement.get("Sid") != Label]
        if len(kept) == len(policy["Statement"]):
            raise invalid_value(
                f"Value {Label} for parameter Label is invalid. Reason: can't find label on existing policy."
            )
        attributes = {name: value for name, value in queue.attributes.items() if name != "Policy"}
        if kept:
            attributes["Policy"] = orjson.dumps({**policy, "Statement": kept}).decode()
        return replace(queue, attributes=attributes)

    _change(ctx, QueueUrl, change)


def _policy(queue: Queue) -> dict[str, Any]:
    policy = orjson.loads(
        queue.attributes.get("Policy") or orjson.dumps({"Version": "2012-10-17", "Id": f"{queue.arn}/policy"})
    )
    statements = policy.get("Statement", [])
    return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}


def _change(ctx: Context, url: str, change: Any) -> None:
    key, _ = find(ctx, url, owner_only=True)

    def write(tx: Transaction) -> None:
        tx.put(key, change(read(tx, key)).dump())

    domain(ctx.platform).write(write)
