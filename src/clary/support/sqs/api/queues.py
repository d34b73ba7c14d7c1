"""Queues: create, find, list, describe, change, purge and delete."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.kv import Transaction
from clary.kernel.rooms import Context, operation
from clary.kernel.wire import page_asked, page_output, paginate
from clary.support.sqs import attributes
from clary.support.sqs.keys import LAST_NUMBER, below, number, queue_key, read_number, trash_key
from clary.support.sqs.lookup import admit, domain, find, invalid_value, key_of_arn, no_queue, read, url_of
from clary.support.sqs.messages import allows_source
from clary.support.sqs.piles import PileView
from clary.support.sqs.records import Queue, read_queue
from clary.support.sqs.tags import checked_tags

_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+(\.fifo)?")
_BETWEEN_PURGES_SECONDS = 60
_MOST_LISTED = 1000


@operation("sqs", "CreateQueue", resource="{QueueName}")
def create_queue(
    ctx: Context, QueueName: str, Attributes: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Add a queue; one that is there with the same attributes is answered as it is."""
    if not _NAME.fullmatch(QueueName):
        raise invalid_value(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length; the name of a FIFO "
            "queue ends with .fifo."
        )
    fifo = QueueName.endswith(".fifo")
    if fifo and (Attributes or {}).get("FifoQueue") != "true":
        raise invalid_value("The name of a FIFO queue ends with .fifo, and its attribute FifoQueue is true.")
    wanted = attributes.checked(Attributes or {}, fifo=fifo)
    kept_tags = checked_tags(tags or {})
    now = ctx.platform.clock.now()
    key = queue_key(ctx.account, ctx.region, QueueName)

    def create(tx: Transaction) -> Queue:
        data = tx.get(key)
        if data is not None:
            found = read_queue(data)
            other = attributes.differing(found, wanted)
            if other is not None:
                raise AwsError(
                    "QueueNameExists",
                    f"A queue already exists with the same name and a different value for attribute {other}",
                )
            return found
        queue_id, pile = _next_number(tx), _next_number(tx)
        kept = attributes.with_changes({}, wanted)
        queue = Queue(ctx.account, ctx.region, QueueName, queue_id, pile, now, now, kept, kept_tags)
        _check_redrive(tx, queue)
        tx.put(key, queue.dump())
        return queue

    return {"QueueUrl": url_of(ctx, domain(ctx.platform).write(create))}


@operation("sqs", "GetQueueUrl", resource="{QueueName}")
def get_queue_url(ctx: Context, QueueName: str, QueueOwnerAWSAccountId: str | None = None) -> dict[str, Any]:
    """The URL of a queue, which may be another account's that lets the caller use it."""
    queue = read(domain(ctx.platform), queue_key(QueueOwnerAWSAccountId or ctx.account, ctx.region, QueueName))
    admit(ctx, queue)
    return {"QueueUrl": url_of(ctx, queue)}


@operation("sqs", "ListQueues")
def list_queues(
    ctx: Context, QueueNamePrefix: str | None = None, NextToken: str | None = None, MaxResults: int | None = None
) -> dict[str, Any]:
    """The URLs of the caller's queues by name: up to 1,000, with a token of the rest only when MaxResults is given."""
    limit, position = page_asked(ctx.operation, _page(NextToken, MaxResults), _MOST_LISTED)
    start, end = below(queue_key(ctx.account, ctx.region, QueueNamePrefix or ""))
    if position is not None:
        start = max(start, queue_key(ctx.account, ctx.region, str(position)) + b"\0")
    found = [read_queue(data) for _, data in domain(ctx.platform).scan(start, end, limit=limit + 1)]
    more = len(found) > limit and MaxResults is not None
    urls = [url_of(ctx, queue) for queue in found[:limit]]
    return page_output(ctx.operation, urls, found[limit - 1].name if more else None)


@operation("sqs", "ListDeadLetterSourceQueues", resource="{QueueUrl:last}")
def list_dead_letter_source_queues(
    ctx: Context, QueueUrl: str, NextToken: str | None = None, MaxResults: int | None = None
) -> dict[str, Any]:
    """The URLs of the queues whose dead letters go to this one."""
    _, target = find(ctx, QueueUrl)
    start, end = below(queue_key(target.account, target.region, ""))
    queues = [read_queue(data) for _, data in domain(ctx.platform).scan(start, end)]
    urls = [
        url_of(ctx, queue)
        for queue in queues
        if queue.document("RedrivePolicy").get("deadLetterTargetArn") == target.arn
    ]
    return paginate(ctx.operation, _page(NextToken, MaxResults), urls, key=lambda url: url)


@operation("sqs", "GetQueueAttributes", resource="{QueueUrl:last}")
def get_queue_attributes(ctx: Context, QueueUrl: str, AttributeNames: list[str] | None = None) -> dict[str, Any]:
    """The attributes asked for; the numbers of messages are exact but for those that have just expired."""
    _, queue = find(ctx, QueueUrl)
    now_ms = int(ctx.platform.clock.now() * 1000)
    counts = domain(ctx.platform).read(lambda snapshot: PileView(snapshot, queue).counts(now_ms))
    shown = attributes.shown(queue, counts, AttributeNames or ())
    return {"Attributes": shown} if shown else {}


@operation("sqs", "SetQueueAttributes", resource="{QueueUrl:last}")
def set_queue_attributes(ctx: Context, QueueUrl: str, Attributes: Mapping[str, str]) -> None:
    """Change attributes, at once. An empty policy takes it away."""
    key, found = find(ctx, QueueUrl, owner_only=True)
    if "FifoQueue" in Attributes:
        raise AwsError("InvalidAttributeName", "FifoQueue can only be set when a queue is created.")
    changes = attributes.checked(_with_scope(Attributes, found), fifo=found.is_fifo)

    def change(tx: Transaction) -> None:
        queue = read(tx, key)
        kept = attributes.with_changes(queue.attributes, changes)
        changed = replace(queue, attributes=kept, modified_at=ctx.platform.clock.now())
        if "RedrivePolicy" in changes:
            _check_redrive(tx, changed)
        tx.put(key, changed.dump())

    domain(ctx.platform).write(change)
    ctx.platform.bells("sqs").ring(found.arn.encode())


@operation("sqs", "PurgeQueue", resource="{QueueUrl:last}")
def purge_queue(ctx: Context, QueueUrl: str) -> None:
    """Delete every message, those in flight included; once a minute at most."""
    key, _ = find(ctx, QueueUrl, owner_only=True)
    now = ctx.platform.clock.now()

    def purge(tx: Transaction) -> None:
        queue = read(tx, key)
        if now - queue.purged_at < _BETWEEN_PURGES_SECONDS:
            raise AwsError(
                "PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {queue.name} is allowed every {_BETWEEN_PURGES_SECONDS} seconds.",
                status=403,
            )
        tx.put(trash_key(queue.pile), b"")
        tx.put(key, replace(queue, pile=_next_number(tx), purged_at=now).dump())

    domain(ctx.platform).write(purge)
    ctx.platform.wake("sqs")


@operation("sqs", "DeleteQueue", resource="{QueueUrl:last}")
def delete_queue(ctx: Context, QueueUrl: str) -> None:
    """Remove a queue with its messages; its name is free at once."""
    try:
        key, found = find(ctx, QueueUrl, owner_only=True)
    except AwsError as error:
        if error.code == "QueueDoesNotExist":
            return
        raise

    def delete(tx: Transaction) -> None:
        data = tx.get(key)
        if data is not None:
            tx.put(trash_key(read_queue(data).pile), b"")
            tx.delete(key)

    domain(ctx.platform).write(delete)
    ctx.platform.bells("sqs").ring(found.arn.encode())
    ctx.platform.wake("sqs")


def _with_scope(given: Mapping[str, str], queue: Queue) -> dict[str, str]:
    """The attributes, with the deduplication scope that they are judged by where they leave it as it is."""
    scope = queue.attributes.get("DeduplicationScope")
    return {**({"DeduplicationScope": scope} if scope and "FifoThroughputLimit" in given else {}), **given}


def _check_redrive(tx: Transaction, queue: Queue) -> None:
    """Raise InvalidParameterValue unless the queue's dead letters have somewhere to go."""
    redrive = queue.document("RedrivePolicy")
    if not redrive:
        return
    arn = redrive["deadLetterTargetArn"]
    try:
        target = read(tx, key_of_arn(arn))
    except AwsError as error:
        if error.code != no_queue().code:
            raise
        raise _bad_redrive(queue, "Dead letter target does not exist.") from None
    if (target.account, target.region) != (queue.account, queue.region):
        raise _bad_redrive(queue, "Dead letter target must be in the same account and region.")
    if target.is_fifo != queue.is_fifo:
        raise _bad_redrive(queue, "Dead-letter queue must be same type of queue as the source.")
    if target.arn == queue.arn:
        raise _bad_redrive(queue, "Dead letter target must be another queue.")
    if not allows_source(target, queue.arn):
        raise _bad_redrive(queue, "Dead letter target's RedriveAllowPolicy does not allow this queue.")


def _bad_redrive(queue: Queue, why: str) -> AwsError:
    return invalid_value(
        f"Value {queue.attributes['RedrivePolicy']} for parameter RedrivePolicy is invalid. Reason: {why}"
    )


def _next_number(tx: Transaction) -> int:
    data = tx.get(LAST_NUMBER)
    found = 1 if data is None else read_number(data) + 1
    tx.put(LAST_NUMBER, number(found))
    return found


def _page(token: str | None, limit: int | None) -> dict[str, Any]:
    if limit is not None and not 1 <= limit <= _MOST_LISTED:
        raise invalid_value(
            f"Value {limit} for parameter MaxResults is invalid. Reason: Must be from 1 to {_MOST_LISTED}."
        )
    return {name: value for name, value in (("NextToken", token), ("MaxResults", limit)) if value is not None}
