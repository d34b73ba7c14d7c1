"""Feed a function from a Kinesis stream: every shard in order, parents before the shards that came of them.

What has been dealt with is written down batch by batch, after the function answered: whatever is killed when, each
record is given to the function at least once, and none is passed over.
"""

import asyncio
import base64
import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.support.lambda_ import destinations
from clary.support.lambda_.feeds import LARGEST_EVENT, Feed, Stopped, failed_items, pause_before
from clary.support.lambda_.invoker import Outcome
from clary.support.lambda_.mappings import stream_arn
from clary.support.lambda_.patterns import matches
from clary.support.lambda_.progress import Checkpoint
from clary.support.lambda_.records import LATEST
from clary.support.lambda_.windows import Window, by_window

_LIST_SECONDS = 5.0
_POLL_SECONDS = 0.25
_LONGEST_POLL_SECONDS = 1.0
_SLOWER = 1.1
_TROUBLE_SECONDS = 2.0
_MOST_AT_ONCE = 10_000
_BESIDE_BYTES = 600  # what a record's event holds beside its data and its key
_log = logging.getLogger("clary.lambda")

Record = Mapping[str, Any]


class StreamFeed(Feed):
    """The shards of one stream, each read by a task of its own."""

    async def run(self) -> None:
        """Until told to stop, whatever happens to the stream."""
        readers: dict[str, asyncio.Task[None]] = {}
        try:
            while not self.stopping.is_set():
                try:
                    for shard in await self._eligible():
                        if shard not in readers or readers[shard].done():
                            readers[shard] = asyncio.create_task(_ShardReader(self, shard).run())
                except AwsError as error:
                    await self.progress.tell(f"PROBLEM: {error.code}: {error.message}"[:500])
                stop = asyncio.create_task(self.stopping.wait())
                await asyncio.wait(
                    {stop, *(reader for reader in readers.values() if not reader.done())},
                    timeout=_LIST_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                stop.cancel()
        finally:
            await asyncio.gather(*readers.values(), return_exceptions=True)

    async def _eligible(self) -> list[str]:
        """The shards that may be read now: not done, and nothing is left to read in their parents."""
        checkpoints = self.progress.checkpoints()
        shards: dict[str, Any] = {}
        asked: dict[str, Any] = {"StreamARN": stream_arn(str(self.source))}
        while True:
            answer = await self.ask("kinesis", "ListShards", **asked)
            shards |= {one["ShardId"]: one for one in answer["Shards"]}
            if not answer.get("NextToken"):
                break
            asked = {"NextToken": answer["NextToken"]}

        def is_done(shard: str | None) -> bool:
            known = checkpoints.get(shard or "")
            return shard is None or shard not in shards or (known is not None and known.done)

        return [
            name
            for name, one in shards.items()
            if not is_done(name) and is_done(one.get("ParentShardId")) and is_done(one.get("AdjacentParentShardId"))
        ]


class _ShardReader:
    """One shard, from its checkpoint to its end."""

    def __init__(self, feed: StreamFeed, shard: str) -> None:
        self._feed = feed
        self._shard = shard
        self._arn = stream_arn(str(feed.source))
        self._size = feed.members["BatchSize"]
        self._lanes = feed.members["ParallelizationFactor"]
        self._window = feed.members["MaximumBatchingWindowInSeconds"]
        self._waiting: list[Record] = []
        self._iterator: str | None = None
        self._read_to = ""
        self._closed = False
        self._tumbling = feed.members["TumblingWindowInSeconds"]
        self._open: Window | None = None

    async def run(self) -> None:
        """Returns when the shard is done, or the feed is to stop; goes on after every trouble."""
        while True:
            self._resume(self._feed.progress.checkpoints().get(self._shard) or Checkpoint())
            try:
                await self._run()
                return
            except Stopped:
                return
            except AwsError as error:
                await self._feed.progress.tell(f"PROBLEM: {error.code}: {error.message}"[:500])
            except Exception:  # noqa: BLE001 - what is not checkpointed is read again, and other shards go on
                _log.exception("reading %s of %s failed; trying again", self._shard, self._arn)
            try:
                await self._feed.pause(_TROUBLE_SECONDS)
            except Stopped:
                return

    def _resume(self, checkpoint: Checkpoint) -> None:
        """Read again from what has been dealt with: whatever was read beyond that is forgotten."""
        self._read_to = checkpoint.sequence
        self._iterator, self._waiting, self._closed = None, [], False
        self._open = Window(checkpoint.window, self._tumbling, checkpoint.state) if checkpoint.window else None

    async def _run(self) -> None:
        while True:
            batch = await self._gather()
            if not batch and self._closed:
                await self._end_window(early=True)
                await self._feed.progress.save(self._shard, Checkpoint(self._read_to, done=True))
                return
            for start, part in by_window(batch, self._tumbling) if self._tumbling else [(0, batch)] if batch else []:
                await self._enter_window(start)
                await self._deal_with(part)
                await self._save(part[-1]["SequenceNumber"])
            if self._open is not None and self._open.is_over(self._feed.platform.clock.now()):
                await self._end_window(early=self._open.is_full)
                await self._save(batch[-1]["SequenceNumber"] if batch else self._read_to)

    async def _save(self, sequence: str) -> None:
        window = self._open
        checkpoint = Checkpoint(sequence) if window is None else Checkpoint(sequence, False, window.start, window.state)
        await self._feed.progress.save(self._shard, checkpoint)

    async def _enter_window(self, start: int) -> None:
        """Have the window open that begins at `start`, once the one before has ended; 0 is for no window."""
        if self._open is not None and self._open.start != start:
            await self._end_window(early=False)
        if start and self._open is None:
            self._open = Window(start, self._tumbling)

    async def _end_window(self, *, early: bool) -> None:
        """Call the function for the last time for the window that is open, if any, until it succeeds or is given up."""
        tries, most = 0, self._feed.members["MaximumRetryAttempts"]
        while self._open is not None:
            self._feed.check()
            outcome = await self._feed.call({"Records": [], **self._about_window(final=True, early=early)})
            if outcome is not None and (not outcome.error or 0 <= most <= tries):
                self._open = None
                return
            tries += 1
            await self._feed.pause(pause_before(tries))

    def _about_window(self, *, final: bool = False, early: bool = False) -> dict[str, Any]:
        if self._open is None:
            return {}
        return self._open.members(self._shard, str(self._feed.source), final=final, early=early)

    async def _gather(self) -> list[Record]:
        """The next records to deal with, as many as may go at once; none at the end of the shard, or of a window."""
        clock, wanted = self._feed.platform.clock, min(self._size * self._lanes, _MOST_AT_ONCE)
        since, pause = clock.monotonic(), _POLL_SECONDS
        while not self._closed and len(self._waiting) < wanted:
            self._feed.check()
            came = await self._read(wanted - len(self._waiting))
            if self._waiting and clock.monotonic() - since >= self._window:
                break
            if self._open is not None and self._open.is_over(clock.now()) and not came:
                break
            if not came and not self._closed:
                if not self._waiting:
                    since = clock.monotonic() + pause
                await self._feed.pause(pause)
                pause = min(pause * _SLOWER, _LONGEST_POLL_SECONDS)
        batch, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        return batch

    async def _read(self, most: int) -> bool:
        """Read on; whether anything came."""
        if self._iterator is None:
            self._iterator = await self._new_iterator()
        try:
            answer = await self._feed.ask("kinesis", "GetRecords", ShardIterator=self._iterator, Limit=most)
        except AwsError as error:
            if error.code != "ExpiredIteratorException":
                raise
            self._iterator = None
            return True
        records = list(answer["Records"])
        self._waiting += records
        if records:
            self._read_to = records[-1]["SequenceNumber"]
        self._iterator = answer.get("NextShardIterator")
        self._closed = self._iterator is None
        return bool(records)

    async def _new_iterator(self) -> str:
        asked: dict[str, Any] = {"StreamARN": self._arn, "ShardId": self._shard}
        if self._read_to:
            asked |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self._read_to}
        elif self._feed.start_at:
            asked |= {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self._feed.start_at}
        else:
            asked["ShardIteratorType"] = "TRIM_HORIZON"
        return str((await self._feed.ask("kinesis", "GetShardIterator", **asked))["ShardIterator"])

    async def _deal_with(self, batch: Sequence[Record]) -> None:
        """Have every record of a batch dealt with, in order for each partition key. Raises Stopped."""
        wanted = [one for one in batch if matches(self._feed.filters, _filtered(one))] if self._feed.filters else batch
        lanes: dict[int, list[Record]] = {}
        for record in wanted:
            lane = _hash(record.get("PartitionKey", "")) % self._lanes if self._lanes > 1 else 0
            lanes.setdefault(lane, []).append(record)
        tasks = [asyncio.create_task(self._lane(records)) for records in lanes.values()]
        if tasks:
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:
                if isinstance(error, BaseException):
                    raise error

    async def _lane(self, records: Sequence[Record]) -> None:
        for batch in batches(records, self._size):
            await self._see_through(batch, 0)

    async def _see_through(self, batch: Sequence[Record], tries: int) -> None:
        """Call the function for a batch until it has been dealt with, or is given up."""
        members = self._feed.members
        outcome: Outcome | None = None
        refusals = 0
        while batch:
            self._feed.check()
            old = self._expired(batch)
            if old:
                await self._give_up(batch[:old], "RecordAgeExceeded", outcome, tries)
                batch = batch[old:]
                continue
            event = {"Records": [self._event(one) for one in batch], **self._about_window()}
            outcome = await self._feed.call(event)
            if self._open is not None and outcome is not None and not outcome.error:
                self._open = self._open.after(outcome.payload)
            age = (self._feed.platform.clock.now() - batch[-1]["ApproximateArrivalTimestamp"]) * 1000
            self._feed.invoker.measures.count(self._feed.named, IteratorAge=max(age, 0.0))
            left = self._left(batch, outcome)
            if not left:
                return
            if outcome is None:
                refusals += 1
            else:
                refusals = 0
                if len(left) < len(batch):
                    tries = 0
                elif members["BisectBatchOnFunctionError"] and len(batch) > 1:
                    middle = len(batch) // 2
                    await self._see_through(batch[:middle], tries)
                    batch = batch[middle:]
                    continue
                elif 0 <= members["MaximumRetryAttempts"] <= tries:
                    await self._give_up(left, "RetryAttemptsExhausted", outcome, tries + 1)
                    return
                else:
                    tries += 1
            batch = left
            await self._feed.pause(pause_before(max(tries, refusals)))

    def _left(self, batch: Sequence[Record], outcome: Outcome | None) -> Sequence[Record]:
        """What of a batch is still to be dealt with."""
        if outcome is None or outcome.error:
            return batch
        if not self._feed.reports_failures:
            return ()
        numbers = [one["SequenceNumber"] for one in batch]
        failed = failed_items(outcome, set(numbers))
        if failed is None:
            return batch
        first = next((index for index, number in enumerate(numbers) if number in failed), len(batch))
        return batch[first:]

    def _expired(self, batch: Sequence[Record]) -> int:
        """How many records at the start of a batch are older than they may be."""
        limit = self._feed.members["MaximumRecordAgeInSeconds"]
        if limit < 0:
            return 0
        before = self._feed.platform.clock.now() - limit
        return next((n for n, one in enumerate(batch) if one["ApproximateArrivalTimestamp"] >= before), len(batch))

    async def _give_up(self, batch: Sequence[Record], condition: str, outcome: Outcome | None, tries: int) -> None:
        """Tell the destination which records are not dealt with, if there is one."""
        target = (self._feed.members["DestinationConfig"].get("OnFailure") or {}).get("Destination")
        if not target:
            return
        feed, now = self._feed, self._feed.platform.clock.now()
        found: dict[str, Any] = {
            "requestContext": {
                "requestId": new_uuid(),
                "functionArn": feed.named.arn,
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            "version": "1.0",
            "timestamp": iso(now),
            "KinesisBatchInfo": {
                "shardId": self._shard,
                "startSequenceNumber": batch[0]["SequenceNumber"],
                "endSequenceNumber": batch[-1]["SequenceNumber"],
                "approximateArrivalOfFirstRecord": iso(batch[0]["ApproximateArrivalTimestamp"]),
                "approximateArrivalOfLastRecord": iso(batch[-1]["ApproximateArrivalTimestamp"]),
                "batchSize": len(batch),
                "streamArn": self._arn,
            },
        }
        if outcome is not None:
            found["responseContext"] = {
                "statusCode": 200,
                "executedVersion": outcome.version or LATEST,
                **({"functionError": outcome.error} if outcome.error else {}),
            }
        if not await destinations.send(feed.platform, feed.named, target, orjson.dumps(found), {}):
            feed.invoker.measures.count(feed.named, DestinationDeliveryFailures=1.0)

    def _event(self, record: Record) -> dict[str, Any]:
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record.get("PartitionKey", ""),
                "sequenceNumber": record["SequenceNumber"],
                "data": base64.b64encode(record["Data"]).decode(),
                "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"],
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{self._shard}:{record['SequenceNumber']}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._feed.role,
            "awsRegion": self._feed.source.region,
            "eventSourceARN": str(self._feed.source),
        }


def batches(records: Sequence[Record], most: int) -> list[Sequence[Record]]:
    """Records in batches of at most so many, and of what fits into an event."""
    found: list[Sequence[Record]] = []
    batch: list[Record] = []
    size = 0
    for record in records:
        takes = len(record["Data"]) * 4 // 3 + len(record.get("PartitionKey", "")) * 2 + _BESIDE_BYTES
        if batch and (len(batch) == most or size + takes > LARGEST_EVENT):
            found.append(batch)
            batch, size = [], 0
        batch.append(record)
        size += takes
    return [*found, batch] if batch else found


def _filtered(record: Record) -> dict[str, Any]:
    """A record as filters see it: its data as the JSON they are, if they are."""
    return {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": record.get("PartitionKey", ""),
        "sequenceNumber": record["SequenceNumber"],
        "data": destinations.value_of(record["Data"]),
        "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"],
    }


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.md5(key.encode()).digest()[:8], "big")
