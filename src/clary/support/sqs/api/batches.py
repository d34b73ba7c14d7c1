"""Messages, up to ten at a time: each entry succeeds or fails by itself, all in as few commits as one."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.kv import Transaction
from clary.kernel.rooms import Context, operation
from clary.support.sqs import contents, messages
from clary.support.sqs.api.messages import delete_one, hide_one, milliseconds, ring, sent_output
from clary.support.sqs.lookup import domain, find, read
from clary.support.sqs.records import Message

Entry = Mapping[str, Any]

_MOST_ENTRIES = 10
_MOST_BYTES = 1_048_576
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


@operation("sqs", "SendMessageBatch", resource="{QueueUrl:last}")
async def send_message_batch(ctx: Context, QueueUrl: str, Entries: Sequence[Entry]) -> dict[str, Any]:
    """Put up to ten messages into a queue, in their order; those that fail do not hold up the others."""
    key, queue = find(ctx, QueueUrl)
    _check(Entries)
    now_ms = milliseconds(ctx)
    failed: list[dict[str, Any]] = []
    accepted: list[tuple[str, Message, int]] = []
    size = 0
    for entry in Entries:
        try:
            size += contents.entry_size(entry)
            message = contents.message_of(queue, entry, new_uuid(), ctx.principal.user_id, now_ms)
            accepted.append((entry["Id"], message, 1000 * contents.delay_of(queue, entry.get("DelaySeconds"))))
        except AwsError as error:
            failed.append(_failure(ctx, entry["Id"], error))
    if size > _MOST_BYTES:
        raise AwsError(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {_MOST_BYTES} bytes. You have sent {size} bytes.",
        )

    def send(tx: Transaction) -> list[messages.Sent]:
        current = read(tx, key)
        return [messages.send(tx, current, message, delay_ms, now_ms) for _, message, delay_ms in accepted]

    sent = await domain(ctx.platform).write_async(send) if accepted else []
    if sent:
        ring(ctx, queue.arn)
    successful = [
        {"Id": entry_id, **sent_output(message, each)}
        for (entry_id, message, _), each in zip(accepted, sent, strict=True)
    ]
    return {"Successful": successful, "Failed": failed}


@operation("sqs", "DeleteMessageBatch", resource="{QueueUrl:last}")
async def delete_message_batch(ctx: Context, QueueUrl: str, Entries: Sequence[Entry]) -> dict[str, Any]:
    """Delete up to ten messages that were received."""
    key, queue = find(ctx, QueueUrl)
    return await _each(ctx, Entries, lambda entry: delete_one(ctx, key, queue, entry["ReceiptHandle"]))


@operation("sqs", "ChangeMessageVisibilityBatch", resource="{QueueUrl:last}")
async def change_message_visibility_batch(ctx: Context, QueueUrl: str, Entries: Sequence[Entry]) -> dict[str, Any]:
    """Let up to ten messages in flight be visible again so many seconds from now."""
    key, queue = find(ctx, QueueUrl)
    return await _each(
        ctx, Entries, lambda entry: hide_one(ctx, key, queue, entry["ReceiptHandle"], entry.get("VisibilityTimeout"))
    )


async def _each(ctx: Context, entries: Sequence[Entry], act: Callable[[Entry], Awaitable[None]]) -> dict[str, Any]:
    """Act on every entry side by side, so that they share a commit."""
    _check(entries)
    outcomes = await asyncio.gather(*(act(entry) for entry in entries), return_exceptions=True)
    successful, failed = [], []
    for entry, outcome in zip(entries, outcomes, strict=True):
        if outcome is None:
            successful.append({"Id": entry["Id"]})
        elif isinstance(outcome, AwsError):
            failed.append(_failure(ctx, entry["Id"], outcome))
        else:
            raise outcome
    return {"Successful": successful, "Failed": failed}


def _check(entries: Sequence[Entry]) -> None:
    if not entries:
        raise AwsError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > _MOST_ENTRIES:
        raise AwsError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {_MOST_ENTRIES}. You have sent {len(entries)}.",
        )
    seen: set[str] = set()
    for entry in entries:
        if not _ID.fullmatch(entry["Id"]):
            raise AwsError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long.",
            )
        if entry["Id"] in seen:
            raise AwsError("BatchEntryIdsNotDistinct", f"Id {entry['Id']} repeated.")
        seen.add(entry["Id"])


def _failure(ctx: Context, entry_id: str, error: AwsError) -> dict[str, Any]:
    shape = ctx.operation.error(error.code)
    code = error.code if shape is None else shape.code
    return {"Id": entry_id, "SenderFault": (error.status or 400) < 500, "Code": code, "Message": error.message}
