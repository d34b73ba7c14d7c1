"""Feed a function from an SQS queue: receive, call, and delete what it dealt with.

A message that the function failed becomes visible again when its visibility timeout ends, and goes to the queue's dead
letters when it was received too often: the queue alone remembers, so nothing is lost whatever is killed.
"""

import asyncio
import base64
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.support.lambda_ import destinations
from clary.support.lambda_.feeds import LARGEST_EVENT, Feed, Stopped, failed_items, pause_before
from clary.support.lambda_.mappings import queue_url
from clary.support.lambda_.patterns import matches

_MOST_RECEIVED = 10
_WAIT_SECONDS = 5
_AT_ONCE = 50
_TROUBLE_SECONDS = 2.0
_BESIDE_BYTES = 900
_log = logging.getLogger("clary.lambda")

Message = Mapping[str, Any]


class QueueFeed(Feed):
    """One queue. One poller; as many invocations at once as the mapping allows."""

    async def run(self) -> None:
        """Until told to stop, whatever happens to the queue."""
        self._url = queue_url(self.source)
        most = (self.members.get("ScalingConfig") or {}).get("MaximumConcurrency") or _AT_ONCE
        places = asyncio.Semaphore(self.invoker.room_for(self.named.key, most))
        under_way: set[asyncio.Task[None]] = set()
        try:
            while not self.stopping.is_set():
                async with places:
                    batch = await self._gather()
                for part in self._parts(batch):
                    await places.acquire()
                    task = asyncio.create_task(self._deal_with(part))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                    task.add_done_callback(lambda _: places.release())
        except Stopped:
            return
        finally:
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _gather(self) -> list[Message]:
        """Messages for one invocation, or more when they do not fit: none came in time when it is empty."""
        size, window = self.members["BatchSize"], self.members["MaximumBatchingWindowInSeconds"]
        clock = self.platform.clock
        found: list[Message] = []
        until = 0.0
        tries = 0
        while len(found) < size:
            wait_seconds = _WAIT_SECONDS if not found else min(max(int(until - clock.monotonic()), 0), _WAIT_SECONDS)
            try:
                came = await self._receive(min(size - len(found), _MOST_RECEIVED), wait_seconds)
            except AwsError as error:
                await self.progress.tell(f"PROBLEM: {error.code}: {error.message}"[:500])
                await self.pause(pause_before(tries) + _TROUBLE_SECONDS)
                tries += 1
                continue
            if came and not found:
                until = clock.monotonic() + window
            found += came
            if self.stopping.is_set() or not found or clock.monotonic() >= until:
                break
        return found

    async def _receive(self, most: int, wait_seconds: int) -> list[Message]:
        answer = await self.ask(
            "sqs",
            "ReceiveMessage",
            QueueUrl=self._url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", ()))

    def _parts(self, batch: Sequence[Message]) -> list[list[Message]]:
        """A batch in parts that fit into an event."""
        found: list[list[Message]] = []
        size = LARGEST_EVENT
        for message in batch:
            beside = orjson.dumps(message.get("MessageAttributes") or {}, default=_text)
            takes = len(orjson.dumps(message["Body"])) + len(beside) * 2 + _BESIDE_BYTES
            if size + takes > LARGEST_EVENT:
                found.append([])
                size = 0
            found[-1].append(message)
            size += takes
        return found

    async def _deal_with(self, batch: Sequence[Message]) -> None:
        try:
            await self._try(batch)
        except Exception:  # noqa: BLE001 - the messages become visible again, and the feed goes on
            _log.exception("messages of %s could not be dealt with", self.source)

    async def _try(self, batch: Sequence[Message]) -> None:
        unwanted = [one for one in batch if self.filters and not matches(self.filters, self._filtered(one))]
        await self._delete(unwanted)
        batch = [one for one in batch if one not in unwanted]
        if not batch:
            return
        outcome = await self.call({"Records": [self._event(one) for one in batch]})
        if outcome is None:
            await self._show_again(batch)
            return
        if outcome.error:
            return
        failed: set[str] | None = set()
        if self.reports_failures:
            failed = failed_items(outcome, {one["MessageId"] for one in batch})
        if failed is not None:
            await self._delete([one for one in batch if one["MessageId"] not in failed])
            await self._show_again([one for one in batch if one["MessageId"] in failed])

    async def _delete(self, batch: Sequence[Message]) -> None:
        for start in range(0, len(batch), _MOST_RECEIVED):
            entries = [
                {"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]}
                for number, one in enumerate(batch[start : start + _MOST_RECEIVED])
            ]
            await self.ask("sqs", "DeleteMessageBatch", QueueUrl=self._url, Entries=entries)

    async def _show_again(self, batch: Sequence[Message]) -> None:
        """Have messages that were not dealt with received again soon, later the more often that was."""
        for start in range(0, len(batch), _MOST_RECEIVED):
            entries = [
                {
                    "Id": str(number),
                    "ReceiptHandle": one["ReceiptHandle"],
                    "VisibilityTimeout": int(pause_before(int(one["Attributes"]["ApproximateReceiveCount"]) - 1)),
                }
                for number, one in enumerate(batch[start : start + _MOST_RECEIVED])
            ]
            await self.ask("sqs", "ChangeMessageVisibilityBatch", QueueUrl=self._url, Entries=entries)

    def _event(self, message: Message) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": dict(message["Attributes"]),
            "messageAttributes": {
                name: _attribute(value) for name, value in (message.get("MessageAttributes") or {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": str(self.source),
            "awsRegion": self.source.region,
        }

    def _filtered(self, message: Message) -> dict[str, Any]:
        """A message as filters see it: its body as the JSON it is, if it is."""
        return {**self._event(message), "body": destinations.value_of(message["Body"].encode())}


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        found["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        found["binaryValue"] = _text(value["BinaryValue"])
    return found


def _text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
