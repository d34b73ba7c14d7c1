"""Messages, one at a time: send, receive, delete, hide.

These run on the gateway's event loop: a receive that waits holds no thread, sleeps until the first thing that could
end its wait, and is woken by whoever sends, in whatever process.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, operation
from clary.support.sqs import contents, messages
from clary.support.sqs.handles import read_handle
from clary.support.sqs.lookup import domain, find, invalid_value, no_queue, read
from clary.support.sqs.messages import LONGEST_VISIBILITY_SECONDS, Asked, Received
from clary.support.sqs.piles import PileView
from clary.support.sqs.records import Message, Queue

_MOST_RECEIVED = 10
_LONGEST_WAIT_SECONDS = 20
_LONGEST_SLEEP_SECONDS = 5.0  # what a lost wake-up costs at most
_SYSTEM_ATTRIBUTES = frozenset(
    (
        "All",
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "SequenceNumber",
        "MessageDeduplicationId",
        "MessageGroupId",
        "AWSTraceHeader",
        "DeadLetterQueueSourceArn",
    )
)


@operation("sqs", "SendMessage", resource="{QueueUrl:last}")
async def send_message(
    ctx: Context,
    QueueUrl: str,
    MessageBody: str,
    DelaySeconds: int | None = None,
    MessageAttributes: Mapping[str, Any] | None = None,
    MessageSystemAttributes: Mapping[str, Any] | None = None,
    MessageDeduplicationId: str | None = None,
    MessageGroupId: str | None = None,
) -> dict[str, Any]:
    """Put a message into a queue; it is on disk when this answers."""
    key, queue = find(ctx, QueueUrl)
    entry = {
        "MessageBody": MessageBody,
        "MessageAttributes": MessageAttributes,
        "MessageSystemAttributes": MessageSystemAttributes,
        "MessageDeduplicationId": MessageDeduplicationId,
        "MessageGroupId": MessageGroupId,
    }
    now_ms = milliseconds(ctx)
    message = contents.message_of(queue, entry, new_uuid(), ctx.principal.user_id, now_ms)
    delay_ms = 1000 * contents.delay_of(queue, DelaySeconds)
    sent = await domain(ctx.platform).write_async(
        lambda tx: messages.send(tx, read(tx, key), message, delay_ms, now_ms)
    )
    ring(ctx, queue.arn)
    return sent_output(message, sent)


@operation("sqs", "ReceiveMessage", resource="{QueueUrl:last}")
async def receive_message(
    ctx: Context,
    QueueUrl: str,
    AttributeNames: Sequence[str] | None = None,
    MessageSystemAttributeNames: Sequence[str] | None = None,
    MessageAttributeNames: Sequence[str] | None = None,
    MaxNumberOfMessages: int | None = None,
    VisibilityTimeout: int | None = None,
    WaitTimeSeconds: int | None = None,
    ReceiveRequestAttemptId: str | None = None,
) -> dict[str, Any]:
    """Take up to ten messages and hide them for the visibility timeout, waiting for the first up to 20 seconds."""
    key, queue = find(ctx, QueueUrl)
    limit = _within("MaxNumberOfMessages", MaxNumberOfMessages, 1, _MOST_RECEIVED, 1)
    wait_seconds = _within(
        "WaitTimeSeconds", WaitTimeSeconds, 0, _LONGEST_WAIT_SECONDS, queue.number("ReceiveMessageWaitTimeSeconds")
    )
    hidden_seconds = visibility(VisibilityTimeout, queue.number("VisibilityTimeout"))
    names = {*(AttributeNames or ()), *(MessageSystemAttributeNames or ())}
    unknown = names - _SYSTEM_ATTRIBUTES
    if unknown:
        raise AwsError("InvalidAttributeName", f"Unknown Attribute {sorted(unknown)[0]}.")
    if ReceiveRequestAttemptId is not None and not (queue.is_fifo and 1 <= len(ReceiveRequestAttemptId) <= 128):
        raise invalid_value("ReceiveRequestAttemptId is for FIFO queues, and has 1 to 128 characters.")
    asked = Asked(limit, 1000 * hidden_seconds, ReceiveRequestAttemptId or "")
    received = await _receive(ctx, key, asked)
    if not received and wait_seconds:
        received = await _wait_and_receive(ctx, key, queue, asked, wait_seconds)
    shown = [_shown(each, queue, names, MessageAttributeNames or ()) for each in received]
    return {"Messages": shown} if shown else {}


@operation("sqs", "DeleteMessage", resource="{QueueUrl:last}")
async def delete_message(ctx: Context, QueueUrl: str, ReceiptHandle: str) -> None:
    """Delete a message that was received."""
    await delete_one(ctx, *find(ctx, QueueUrl), ReceiptHandle)


@operation("sqs", "ChangeMessageVisibility", resource="{QueueUrl:last}")
async def change_message_visibility(ctx: Context, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:
    """Let a message in flight be visible again so many seconds from now."""
    await hide_one(ctx, *find(ctx, QueueUrl), ReceiptHandle, VisibilityTimeout)


async def delete_one(ctx: Context, key: bytes, queue: Queue, text: str) -> None:
    handle = read_handle(text)
    freed = await domain(ctx.platform).write_async(
        lambda tx: messages.delete(tx, read(tx, key), handle, text, milliseconds(ctx))
    )
    if freed:
        ring(ctx, queue.arn)


async def hide_one(ctx: Context, key: bytes, queue: Queue, text: str, seconds: int | None) -> None:
    handle = read_handle(text)
    hidden = visibility(seconds, queue.number("VisibilityTimeout"))
    await domain(ctx.platform).write_async(
        lambda tx: messages.hide(tx, read(tx, key), handle, text, hidden, milliseconds(ctx))
    )
    ring(ctx, queue.arn)


def visibility(given: int | None, default: int) -> int:
    """A visibility timeout in seconds. Raises InvalidParameterValue."""
    return _within("VisibilityTimeout", given, 0, LONGEST_VISIBILITY_SECONDS, default)


def sent_output(message: Message, sent: messages.Sent) -> dict[str, Any]:
    """What the answer to a send says of a message."""
    return {
        "MessageId": sent.message_id,
        "MD5OfMessageBody": message.md5,
        "MD5OfMessageAttributes": contents.attributes_md5(message.attributes),
        "MD5OfMessageSystemAttributes": contents.trace_header_md5(message.trace_header),
        "SequenceNumber": sent.sequence_number,
    }


def milliseconds(ctx: Context) -> int:
    return int(ctx.platform.clock.now() * 1000)


def ring(ctx: Context, arn: str) -> None:
    """Wake those who wait for messages of a queue."""
    ctx.platform.bells("sqs").ring(arn.encode())


async def _receive(ctx: Context, key: bytes, asked: Asked) -> list[Received]:
    """What can be received now. Looking into an empty queue writes nothing."""
    now_ms = milliseconds(ctx)
    kv = domain(ctx.platform)
    next_ms = kv.read(lambda snapshot: PileView(snapshot, read(snapshot, key)).next_ms())
    if not asked.attempt and (next_ms is None or next_ms > now_ms):
        return []
    received, fed = await kv.write_async(lambda tx: messages.receive(tx, read(tx, key), asked, now_ms))
    for arn in fed:
        ring(ctx, arn)
    return received


async def _wait_and_receive(ctx: Context, key: bytes, queue: Queue, asked: Asked, wait_seconds: int) -> list[Received]:
    clock, kv = ctx.platform.clock, domain(ctx.platform)
    end = clock.monotonic() + wait_seconds
    async with ctx.platform.bells("sqs").listen(queue.arn.encode()) as ear:
        while True:
            try:
                received = await _receive(ctx, key, asked)
                left = end - clock.monotonic()
                if received or left <= 0:
                    return received
                next_ms = kv.read(lambda snapshot: PileView(snapshot, read(snapshot, key)).next_ms())
            except AwsError as error:
                if error.code == no_queue().code:
                    return []  # it was deleted under us, which is no fault of who waits
                raise
            until_next = _LONGEST_SLEEP_SECONDS if next_ms is None else next_ms / 1000 - clock.now() + 0.001
            await ear.wait(min(left, _LONGEST_SLEEP_SECONDS, max(until_next, 0.001)))


def _shown(received: Received, queue: Queue, names: set[str], attribute_names: Sequence[str]) -> dict[str, Any]:
    message, state = received.message, received.state
    system = {
        "SenderId": message.sender,
        "SentTimestamp": str(message.sent_at_ms),
        "ApproximateReceiveCount": str(state.receives),
        "ApproximateFirstReceiveTimestamp": str(state.first_received_ms),
        "SequenceNumber": f"{received.handle.seq:020d}" if queue.is_fifo else "",
        "MessageDeduplicationId": message.deduplication_id,
        "MessageGroupId": message.group,
        "AWSTraceHeader": message.trace_header,
        "DeadLetterQueueSourceArn": message.source_arn,
    }
    system = {name: value for name, value in system.items() if value and ("All" in names or name in names)}
    attributes = contents.chosen(message.attributes, attribute_names)
    return {
        "MessageId": message.id,
        "ReceiptHandle": str(received.handle),
        "MD5OfBody": message.md5,
        "Body": message.body,
        "Attributes": system or None,
        "MD5OfMessageAttributes": contents.attributes_md5(attributes),
        "MessageAttributes": {name: contents.on_the_wire(kept) for name, kept in attributes.items()} or None,
    }


def _within(name: str, given: int | None, low: int, high: int, default: int) -> int:
    if given is None:
        return default
    if not low <= given <= high:
        raise invalid_value(
            f"Value {given} for parameter {name} is invalid. Reason: Must be between {low} and {high}, if provided."
        )
    return given
