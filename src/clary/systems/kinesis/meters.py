"""CloudWatch's metrics of streams: counted in memory, written every few seconds.

What a call costs here is a few additions. What was counted in the last seconds before a process is killed is lost.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping

from clary.kernel.rooms import Platform
from clary.kernel.telemetry.metrics import Datum
from clary.kernel.telemetry.statistics import StatisticSet
from clary.systems.kinesis.parts import OnePerPlatform
from clary.systems.kinesis.records import Place
from clary.systems.kinesis.views import View

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


_Series = tuple[Place, str, str]  # of a stream, or of one of its shards or consumers: "", or `<dimension>=<value>`


class Meters:
    """The counts of one platform. For one event loop, or a thread that waits while its loop runs nothing else."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._tallies: defaultdict[_Series, Tally] = defaultdict(Tally)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kinesis-metrics", daemon=True)
        self._thread.start()

    def put_record(self, view: View, shard: str, size: int, seconds: float) -> None:
        place = view.place
        with self._lock:
            tallies = self._tallies
            tallies[place, "PutRecord", ""].add(size)
            tallies[place, "PutRecord.Latency", ""].add(seconds)
        if view.monitored:
            self._of_shard(view, shard, {"IncomingBytes": size, "IncomingRecords": 1})

    def put_records(self, view: View, shards: Iterable[tuple[str, int]], failed: int, seconds: float) -> None:
        """A batch: shard and size of each record that was placed, and how many were not."""
        place, placed, total = view.place, 0, 0
        by_shard: dict[str, list[int]] = {}
        for shard, size in shards:
            placed += 1
            total += size
            if view.monitored:
                by_shard.setdefault(shard, []).append(size)
        with self._lock:
            tallies = self._tallies
            tallies[place, "PutRecords.Bytes", ""].add(total)
            tallies[place, "PutRecords.SuccessfulRecords", ""].add(placed)
            tallies[place, "PutRecords.FailedRecords", ""].add(failed)
            tallies[place, "PutRecords.Latency", ""].add(seconds)
        for shard, sizes in by_shard.items():
            self._of_shard(view, shard, {"IncomingBytes": sum(sizes), "IncomingRecords": len(sizes)})

    def got_records(self, view: View, shard: str, records: int, size: int, behind_ms: int, seconds: float) -> None:
        place = view.place
        with self._lock:
            tallies = self._tallies
            tallies[place, "GetRecords.Bytes", ""].add(size)
            tallies[place, "GetRecords.Records", ""].add(records)
            tallies[place, "GetRecords.IteratorAgeMilliseconds", ""].add(behind_ms)
            tallies[place, "GetRecords.Latency", ""].add(seconds)
        if view.monitored:
            counts = {"OutgoingBytes": size, "OutgoingRecords": records, "IteratorAgeMilliseconds": behind_ms}
            self._of_shard(view, shard, counts)

    def subscribed(self, view: View, consumer: str, *, accepted: bool) -> None:
        self._add(view.place, f"ConsumerName={consumer}", {"SubscribeToShard.Success": float(accepted)})

    def pushed(self, view: View, consumer: str, shard: str, records: int, size: int, behind_ms: int) -> None:
        counts = {
            "SubscribeToShardEvent.Bytes": size,
            "SubscribeToShardEvent.Records": records,
            "SubscribeToShardEvent.MillisBehindLatest": behind_ms,
            "SubscribeToShardEvent.Success": 1,
        }
        self._add(view.place, f"ConsumerName={consumer}", counts)
        if view.monitored and records:
            self._of_shard(view, shard, {"OutgoingBytes": size, "OutgoingRecords": records})

    def throttled(self, view: View, shard: str, operation: str, records: int = 1) -> None:
        """Records or calls that a limit refused."""
        metric = (
            "ReadProvisionedThroughputExceeded" if operation == "GetRecords" else "WriteProvisionedThroughputExceeded"
        )
        counts: dict[str, float] = {metric: records}
        if operation != "PutRecords":
            counts[f"{operation}.Success"] = 0
        else:
            counts["PutRecords.ThrottledRecords"] = records
        self._add(view.place, "", counts)
        if view.monitored:
            self._of_shard(view, shard, {metric: records})

    def flush(self) -> None:
        """Write what was counted since the last time."""
        with self._lock:
            tallies, self._tallies = self._tallies, defaultdict(Tally)
        data: defaultdict[tuple[str, str], list[Datum]] = defaultdict(list)
        for (place, metric, of), tally in tallies.items():
            dimensions = {"StreamName": place.name}
            if of:
                dimension, _, value = of.partition("=")
                dimensions[dimension] = value
            data[place.account, place.region] += _data(metric, dimensions, tally)
        for (account, region), found in data.items():
            self._platform.metrics.put(account, region, NAMESPACE, found)

    def close(self) -> None:
        """Write the rest."""
        self._ending.set()
        self._thread.join()
        self.flush()

    def _of_shard(self, view: View, shard: str, counts: Mapping[str, float]) -> None:
        wanted = {metric: value for metric, value in counts.items() if metric in view.monitored}
        self._add(view.place, f"ShardId={shard}", wanted)

    def _add(self, place: Place, of: str, counts: Mapping[str, float]) -> None:
        with self._lock:
            for metric, value in counts.items():
                self._tallies[place, metric, of].add(value)

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
