"""CloudWatch's metrics of streams: counted in memory, written every few seconds.

What a call costs here is a few additions. What was counted in the last seconds before a process is killed is lost.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping

from clary.kernel.rooms import OnePerPlatform, Platform
from clary.kernel.telemetry.metrics import Datum
from clary.kernel.telemetry.statistics import StatisticSet
from clary.systems.kinesis.records import Place

NAMESPACE = "AWS/Kinesis"
SHARD_METRICS = (
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
)

_EVERY_SECONDS = 5.0
_log = logging.getLogger("clary.kinesis")


class Tally:
    """Samples, summed up."""

    __slots__ = ("count", "high", "low", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.low = float("inf")
        self.high = float("-inf")

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)


class StreamMeter:
    """What is counted of one stream. For threads and event loops alike."""

    __slots__ = ("_lock", "_put_bytes", "_put_seconds", "_tallies", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._put_bytes = Tally()
        self._put_seconds = Tally()
        # By metric, and "" for the stream or `<dimension>=<value>` for one of its shards or consumers.
        self._tallies: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)

    def put_record(self, size: int, seconds: float) -> None:
        with self._lock:
            self._put_bytes.add(size)
            self._put_seconds.add(seconds)

    def put_records(self, size: int, placed: int, failed: int, seconds: float) -> None:
        counts = {
            "PutRecords.Bytes": size,
            "PutRecords.SuccessfulRecords": placed,
            "PutRecords.FailedRecords": failed,
            "PutRecords.TotalRecords": placed + failed,
            "PutRecords.Latency": seconds,
        }
        self._add("", counts)

    def got_records(self, size: int, records: int, behind_ms: int, seconds: float) -> None:
        counts = {
            "GetRecords.Bytes": size,
            "GetRecords.Records": records,
            "GetRecords.IteratorAgeMilliseconds": behind_ms,
            "GetRecords.Latency": seconds,
        }
        self._add("", counts)

    def subscribed(self, consumer: str, *, accepted: bool) -> None:
        self._add(f"ConsumerName={consumer}", {"SubscribeToShard.Success": float(accepted)})

    def pushed(self, consumer: str, size: int, records: int, behind_ms: int) -> None:
        counts = {
            "SubscribeToShardEvent.Bytes": size,
            "SubscribeToShardEvent.Records": records,
            "SubscribeToShardEvent.MillisBehindLatest": behind_ms,
            "SubscribeToShardEvent.Success": 1,
        }
        self._add(f"ConsumerName={consumer}", counts)

    def throttled(self, operation: str, records: int = 1) -> None:
        """Records or calls that a limit refused."""
        counts: dict[str, float] = {exceeded(operation): records}
        if operation == "PutRecords":
            counts["PutRecords.ThrottledRecords"] = records
        else:
            counts[f"{operation}.Success"] = 0
        self._add("", counts)

    def of_shard(self, shard: str, monitored: frozenset[str], counts: Mapping[str, float]) -> None:
        """Count those metrics of a shard that are asked for."""
        self._add(f"ShardId={shard}", {metric: value for metric, value in counts.items() if metric in monitored})

    def take(self) -> list[Datum]:
        """What was counted since the last time."""
        with self._lock:
            puts, seconds, tallies = self._put_bytes, self._put_seconds, self._tallies
            self._begin()
        if puts.count:
            tallies["PutRecord", ""], tallies["PutRecord.Latency", ""] = puts, seconds
        data: list[Datum] = []
        for (metric, of), tally in tallies.items():
            dimensions = {"StreamName": self.place.name}
            if of:
                dimension, _, value = of.partition("=")
                dimensions[dimension] = value
            data += _data(metric, dimensions, tally)
        return data

    def _add(self, of: str, counts: Mapping[str, float]) -> None:
        with self._lock:
            for metric, value in counts.items():
                self._tallies[metric, of].add(value)


def exceeded(operation: str) -> str:
    """The metric of what a limit refused."""
    return f"{'Read' if operation == 'GetRecords' else 'Write'}ProvisionedThroughputExceeded"


class Meters:
    """The meters of one platform's streams, written every few seconds."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._streams: dict[Place, StreamMeter] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kinesis-metrics", daemon=True)
        self._thread.start()

    def of(self, place: Place) -> StreamMeter:
        """The meter of a stream, the same one for every stream of that name."""
        with self._lock:
            if place not in self._streams:
                self._streams[place] = StreamMeter(place)
            return self._streams[place]

    def flush(self) -> None:
        """Write what was counted since the last time."""
        with self._lock:
            meters = list(self._streams.values())
        data: defaultdict[tuple[str, str], list[Datum]] = defaultdict(list)
        for meter in meters:
            found = meter.take()
            if found:
                data[meter.place.account, meter.place.region] += found
        for (account, region), of_account in data.items():
            self._platform.metrics.put(account, region, NAMESPACE, of_account)

    def close(self) -> None:
        """Write the rest."""
        self._ending.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._platform.clock.wait(self._ending, _EVERY_SECONDS):
            try:
                self.flush()
            except Exception:  # noqa: BLE001 - metrics that could not be written must not end those that can be
                _log.exception("metrics of streams were lost")


_UNITS = {"Bytes": "Bytes", "Latency": "Milliseconds", "IteratorAgeMilliseconds": "Milliseconds"}
_UNITS |= {"MillisBehindLatest": "Milliseconds", "IncomingBytes": "Bytes", "OutgoingBytes": "Bytes"}


def _data(metric: str, dimensions: dict[str, str], tally: Tally) -> list[Datum]:
    """What is reported of a tally: some stand for several of AWS's metrics."""
    if metric == "PutRecord":
        return [
            _datum("PutRecord.Bytes", dimensions, tally),
            _datum("IncomingBytes", dimensions, tally),
            _datum("IncomingRecords", dimensions, _ones(tally.count)),
            _datum("PutRecord.Success", dimensions, _ones(tally.count)),
        ]
    if metric == "PutRecords.Bytes":
        return [_datum(metric, dimensions, tally), _datum("IncomingBytes", dimensions, tally)]
    if metric == "PutRecords.SuccessfulRecords":
        return [
            _datum(metric, dimensions, tally),
            _datum("PutRecords.Records", dimensions, tally),
            _datum("PutRecords.Success", dimensions, _ones(tally.count)),
            _datum("IncomingRecords", dimensions, tally),
        ]
    if metric == "GetRecords.Records":
        return [_datum(metric, dimensions, tally), _datum("GetRecords.Success", dimensions, _ones(tally.count))]
    if metric.endswith(".Latency"):
        in_ms = Tally()
        in_ms.count, in_ms.total = tally.count, tally.total * 1000
        in_ms.low, in_ms.high = tally.low * 1000, tally.high * 1000
        tally = in_ms
    return [_datum(metric, dimensions, tally)]


def _ones(count: int) -> Tally:
    ones = Tally()
    ones.count, ones.total, ones.low, ones.high = count, float(count), 1.0, 1.0
    return ones


def _datum(metric: str, dimensions: dict[str, str], tally: Tally) -> Datum:
    summary = StatisticSet(tally.count, tally.total, tally.low, tally.high)
    return Datum(metric, dimensions, summary=summary, unit=_UNITS.get(metric.rpartition(".")[2], "Count"))


meters_of = OnePerPlatform(Meters, Meters.close)
"""The meters of a platform, which write until it is closed."""
