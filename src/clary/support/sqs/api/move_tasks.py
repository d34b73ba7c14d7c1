"""Move tasks: dead letters go back to where they came from, or elsewhere, as fast as asked."""

import base64
import binascii
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.support.sqs.keys import below, queue_key
from clary.support.sqs.lookup import admit, domain, invalid_value, key_of_arn, no_queue, read
from clary.support.sqs.piles import PileView
from clary.support.sqs.records import MoveTask, Queue, read_queue

_ACTIVE = ("RUNNING", "CANCELLING")
_MOST_PER_SECOND = 500


@operation("sqs", "StartMessageMoveTask", resource="{SourceArn}")
def start_message_move_task(
    ctx: Context, SourceArn: str, DestinationArn: str | None = None, MaxNumberOfMessagesPerSecond: int | None = None
) -> dict[str, Any]:
    """Begin to move what is in a dead-letter queue now: each message to where it came from, or all to one queue."""
    if MaxNumberOfMessagesPerSecond is not None and not 1 <= MaxNumberOfMessagesPerSecond <= _MOST_PER_SECOND:
        raise invalid_value(f"MaxNumberOfMessagesPerSecond must be from 1 to {_MOST_PER_SECOND}.")
    source = _queue(ctx, SourceArn)
    if not _is_dead_letter_queue(ctx, source):
        raise invalid_value("Source queue must be configured as a Dead Letter Queue.")
    if DestinationArn is not None:
        target = _queue(ctx, DestinationArn)
        if target.is_fifo != source.is_fifo or target.arn == source.arn:
            raise invalid_value("The destination must be another queue of the same type as the source.")
    table = ctx.records(MoveTask)
    if table.count(parent=SourceArn, status=_ACTIVE):
        raise AwsError("UnsupportedOperation", "There is already a task running. Only one active task is allowed.")
    pile = domain(ctx.platform).read(lambda snapshot: _sizes(PileView(snapshot, source)))
    task = MoveTask(SourceArn, DestinationArn or "", MaxNumberOfMessagesPerSecond or 0, *pile[:1], last=pile[1])
    name = new_uuid()
    table.create(name, task, status="RUNNING", parent=SourceArn)
    ctx.platform.wake("sqs_moves", name)
    return {"TaskHandle": _handle(name, SourceArn)}


@operation("sqs", "CancelMessageMoveTask")
def cancel_message_move_task(ctx: Context, TaskHandle: str) -> dict[str, Any]:
    """Stop a task; what it moved stays moved."""
    table = ctx.records(MoveTask)
    entry = table.get(_task_id(TaskHandle))
    if entry is None:
        raise AwsError("ResourceNotFoundException", "Task does not exist.", status=404)
    if entry.status != "RUNNING":
        raise AwsError("UnsupportedOperation", "Only active tasks can be cancelled.")
    table.replace(entry, replace(entry.value), status="CANCELLING")
    ctx.platform.wake("sqs_moves", entry.name)
    return {"ApproximateNumberOfMessagesMoved": entry.value.moved}


@operation("sqs", "ListMessageMoveTasks", resource="{SourceArn}")
def list_message_move_tasks(ctx: Context, SourceArn: str, MaxResults: int | None = None) -> dict[str, Any]:
    """The latest tasks of a queue, at most ten."""
    if MaxResults is not None and not 1 <= MaxResults <= 10:
        raise invalid_value("MaxResults must be from 1 to 10.")
    _queue(ctx, SourceArn)
    entries = ctx.records(MoveTask).page(MaxResults or 1, sort="created_at", descending=True, parent=SourceArn)
    return {"Results": [_shown(entry) for entry in entries]}


def _shown(entry: Entry[MoveTask]) -> dict[str, Any]:
    task = entry.value
    return {
        "TaskHandle": _handle(entry.name, task.source_arn) if entry.status == "RUNNING" else None,
        "Status": entry.status,
        "SourceArn": task.source_arn,
        "DestinationArn": task.destination_arn or None,
        "MaxNumberOfMessagesPerSecond": task.per_second or None,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "FailureReason": task.failure or None,
        "StartedTimestamp": int(entry.created_at * 1000),
    }


def _sizes(pile: PileView) -> tuple[int, int]:
    return pile.count(), pile.last()


def _queue(ctx: Context, arn: str) -> Queue:
    parsed = parse_arn(arn)
    if parsed.service != "sqs" or parsed.region != ctx.region:
        raise invalid_value(f"Value {arn} is not the ARN of a queue of this region.")
    try:
        queue = read(domain(ctx.platform), key_of_arn(arn))
    except AwsError as error:
        if error.code != no_queue().code:
            raise
        message = "The resource that you specified for the SourceArn parameter doesn't exist."
        raise AwsError("ResourceNotFoundException", message, status=404) from None
    admit(ctx, queue, owner_only=True)
    return queue


def _is_dead_letter_queue(ctx: Context, queue: Queue) -> bool:
    start, end = below(queue_key(queue.account, queue.region, ""))
    found = (read_queue(data) for _, data in domain(ctx.platform).scan(start, end))
    return any(each.document("RedrivePolicy").get("deadLetterTargetArn") == queue.arn for each in found)


def _handle(name: str, source_arn: str) -> str:
    return base64.b64encode(orjson.dumps({"taskId": name, "sourceArn": source_arn})).decode()


def _task_id(handle: str) -> str:
    try:
        return str(orjson.loads(base64.b64decode(handle, validate=True))["taskId"])
    except (ValueError, TypeError, KeyError, binascii.Error):
        raise invalid_value("Value for parameter TaskHandle is invalid.") from None
