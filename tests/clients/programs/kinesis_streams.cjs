// Streams with the AWS SDK for JavaScript: produce, consume, reshard while reading, replay by time and by sequence
// number, and fan out. The last line says how it went, as JSON.

const assert = require("node:assert");
const {
  KinesisClient,
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ListShardsCommand,
  MergeShardsCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  SplitShardCommand,
  SubscribeToShardCommand,
  UpdateShardCountCommand,
  waitUntilStreamExists,
  waitUntilStreamNotExists,
} = require("@aws-sdk/client-kinesis");

const StreamName = process.argv[2];
const COUNT = 600;
const kinesis = new KinesisClient({});
const send = (Command, input) => kinesis.send(new Command({ StreamName, ...input }));
const exists = () => waitUntilStreamExists({ client: kinesis, maxWaitTime: 60 }, { StreamName });
const listed = async (input = {}) => (await send(ListShardsCommand, input)).Shards;

async function produce(reshardings) {
  for (let number = 0, step = 0; number < COUNT; number += 20, step += 1) {
    const Records = Array.from({ length: 20 }, (_, n) => ({
      PartitionKey: `key-${(number + n) % 20}`,
      Data: Buffer.from(String(number + n)),
    }));
    const answer = await send(PutRecordsCommand, { Records });
    assert.equal(answer.FailedRecordCount, 0);
    if (step % 8 === 7 && reshardings.length) {
      await reshardings.shift()();
      await exists();
    }
  }
}

const split = () =>
  send(SplitShardCommand, { ShardToSplit: "shardId-000000000000", NewStartingHashKey: String(2n ** 126n) });
const scale = () => send(UpdateShardCountCommand, { TargetShardCount: 5, ScalingType: "UNIFORM_SCALING" });
async function merge() {
  const shards = await listed({ ShardFilter: { Type: "AT_LATEST" } });
  const first = (shard) => BigInt(shard.HashKeyRange.StartingHashKey);
  shards.sort((one, other) => (first(one) < first(other) ? -1 : 1));
  await send(MergeShardsCommand, { ShardToMerge: shards[1].ShardId, AdjacentShardToMerge: shards[2].ShardId });
}

// Batches of a shard: [records, children], children only at its end.
async function* polled(ShardId, position = { ShardIteratorType: "TRIM_HORIZON" }) {
  let { ShardIterator } = await send(GetShardIteratorCommand, { ShardId, ...position });
  while (true) {
    const answer = await kinesis.send(new GetRecordsCommand({ ShardIterator, Limit: 100 }));
    ShardIterator = answer.NextShardIterator;
    yield [answer.Records, ShardIterator ? undefined : answer.ChildShards];
  }
}

const fannedOut = (ConsumerARN) =>
  async function* push(ShardId) {
    const StartingPosition = { Type: "TRIM_HORIZON" };
    const answer = await kinesis.send(new SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition }));
    for await (const { SubscribeToShardEvent: event } of answer.EventStream) {
      const children = event.ChildShards?.length ? event.ChildShards : undefined;
      yield [event.Records, children];
      if (!event.MillisBehindLatest && !children) break; // the newest was read, and the producer has ended
    }
    while (true) yield [[], undefined];
  };

// Read shards and, when all of its parents are read to their ends, each child; until told, and all is read.
async function follow(push, first, told) {
  const records = [];
  const ended = new Set();
  const waiting = new Map();
  const readers = new Map(first.map((shard) => [shard, push(shard)]));
  while (true) {
    const wasTold = told();
    let read = 0;
    for (const [shard, reader] of [...readers]) {
      const [got, children] = (await reader.next()).value;
      records.push(...got);
      read += got.length;
      if (children) {
        read += 1;
        readers.delete(shard);
        ended.add(shard);
        for (const child of children) waiting.set(child.ShardId, child.ParentShards);
      }
    }
    for (const [child, parents] of [...waiting]) {
      if (parents.every((parent) => ended.has(parent))) {
        waiting.delete(child);
        readers.set(child, push(child));
      }
    }
    if (wasTold && !read) return records;
  }
}

// What a shard holds from a position on.
async function replayed(shard, position) {
  const found = [];
  for await (const [got, children] of polled(shard, position)) {
    found.push(...got);
    if (children || !got.length) return found;
  }
}

const text = (record) => Buffer.from(record.Data).toString();
const numbers = (records) => records.map((record) => record.SequenceNumber).join();

function exact(records) {
  const byKey = {};
  for (const record of records) (byKey[record.PartitionKey] ??= []).push(Number(text(record)));
  return Array.from({ length: 20 }, (_, key) => key).every((key) => {
    const wanted = Array.from({ length: COUNT / 20 }, (_, n) => key + 20 * n);
    return byKey[`key-${key}`]?.join() === wanted.join();
  });
}

async function main() {
  await send(CreateStreamCommand, { ShardCount: 2 });
  await exists();
  const first = (await listed()).map((shard) => shard.ShardId);
  let told = false;
  const reading = follow(polled, first, () => told);
  await produce([split, scale, merge]);
  told = true;
  const consumed = await reading;

  const shards = (await listed()).map((shard) => shard.ShardId);
  let [shard, whole] = ["", []];
  for (const each of shards) {
    const held = await replayed(each);
    if (held.length > whole.length) [shard, whole] = [each, held];
  }
  const middle = whole.length >> 1;
  const { SequenceNumber, ApproximateArrivalTimestamp: at } = whole[middle];
  const after = await replayed(shard, {
    ShardIteratorType: "AFTER_SEQUENCE_NUMBER",
    StartingSequenceNumber: SequenceNumber,
  });
  const since = await replayed(shard, { ShardIteratorType: "AT_TIMESTAMP", Timestamp: at });

  const { StreamDescriptionSummary } = await send(DescribeStreamSummaryCommand);
  const { StreamARN } = StreamDescriptionSummary;
  const consumers = [];
  for (const name of ["a", "b", "c"]) {
    const made = await kinesis.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: name }));
    consumers.push(made.Consumer.ConsumerARN);
  }
  const pushed = await Promise.all(consumers.map((arn) => follow(fannedOut(arn), first, () => told)));
  await send(DeleteStreamCommand, { EnforceConsumerDeletion: true });
  await waitUntilStreamNotExists({ client: kinesis, maxWaitTime: 60 }, { StreamName });
  console.log(
    JSON.stringify({
      consumed: exact(consumed),
      shards: shards.length,
      by_sequence: numbers(after) === numbers(whole.slice(middle + 1)),
      by_time: numbers(since) === numbers(whole.filter((record) => record.ApproximateArrivalTimestamp >= at)),
      fanned_out: pushed.map(exact),
    }),
  );
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
