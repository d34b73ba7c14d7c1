"""Metrics: numbers by namespace, name and dimensions, kept as they came and summed up when asked.

Promises:

- **Durable**: data survive `kill -9` and power loss once `put` returns.
- **Exact**: every sample is kept for 455 days, so any period and any percentile can be asked for. (CloudWatch
  rolls data up as they age, and loses samples.)
- **Compact**: what is older than three hours takes one entry for a minute, however often it was put.
- **Shared**: any process puts and reads.

Times are epoch seconds. A datum of standard resolution (60) belongs to its whole minute, one of high resolution
(1) to its second, and after three hours, as on CloudWatch, to its minute.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import orjson

from clary.kernel.core.clock import Clock
from clary.kernel.kv.contract import KeyValue, Transaction, after_prefix
from clary.kernel.telemetry import metric_keys as keys
from clary.kernel.telemetry.metric_records import UNITS, Bucket, Datum, Series
from clary.kernel.telemetry.statistics import Distribution

__all__ = ["UNITS", "Bucket", "Datum", "Metrics", "Series"]

RETENTION_SECONDS = 455 * 24 * 3600

_SWEEP_KEYS = 5_000
_COMPACT_AFTER_SECONDS = 3 * 3600
_COMPACT_AT_ONCE_SECONDS = 3600


class Metrics:
    """The metrics of every account and region. The module's docstring holds its promises."""

    def __init__(self, kv: KeyValue, clock: Clock) -> None:
        self._kv = kv
        self._clock = clock

    def put(self, account: str, region: str, namespace: str, data: Iterable[Datum]) -> None:
        """Add data, all in one durable write. Raises ValueError for an unknown unit or a datum without a number.

        A value that is not finite is left out, as CloudWatch knows none: a job whose loss is NaN goes on.
        """
        now = self._clock.now()
        points = [
            (keys.series_key(account, region, namespace, datum.name, datum.dimensions), datum, keys.pack(datum))
            for datum in data
            if datum.value is None or math.isfinite(datum.value)
        ]

        def write(transaction: Transaction) -> None:
            number = _next_number(transaction)
            ids: dict[bytes, int] = {}
            for key, datum, packed in points:
                if key not in ids:
                    found = transaction.get(key)
                    if found is None:
                        series = Series(number, namespace, datum.name, dict(datum.dimensions))
                        transaction.put(key, orjson.dumps(series))
                        number += 1
                    else:
                        series = Series(**orjson.loads(found))
                    ids[key] = series.id
                moment = now if datum.timestamp is None else datum.timestamp
                milliseconds = max(int(moment // datum.resolution * datum.resolution), 0) * 1000
                transaction.put(keys.POINT_KEY.pack(keys.POINT, ids[key], milliseconds, number), packed)
                number += 1
            transaction.put(keys.NEXT_NUMBER, keys.U64.pack(number))

        if points:
            self._kv.write(write)

    def buckets(
        self,
        account: str,
        region: str,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        *,
        start: float,
        end: float,
        period: float,
        unit: str | None = None,
        split_units: bool = False,
    ) -> list[Bucket]:
        """The samples of start <= time < end by period, counted from `start`; periods without any are left out.

        Only samples of `unit` when one is given. With `split_units`, a bucket for each unit of a period.
        """
        found = self._kv.get(keys.series_key(account, region, namespace, name, dimensions))
        if found is None:
            return []
        series = Series(**orjson.loads(found))
        wanted = None if unit is None else keys.UNIT_CODES[unit]
        by_place: dict[tuple[int, str | None], Distribution] = {}
        for key, value in self._kv.scan(keys.point_key(series.id, start), keys.point_key(series.id, end)):
            if wanted is not None and value[1] != wanted:
                continue
            place = int((keys.time_of(key) - start) // period), UNITS[value[1]] if split_units else unit
            keys.unpack_into(by_place.setdefault(place, Distribution()), value)
        return [
            Bucket(start + index * period, of_unit, samples)
            for (index, of_unit), samples in sorted(by_place.items(), key=lambda item: (item[0][0], item[0][1] or ""))
        ]

    def series(
        self,
        account: str,
        region: str,
        *,
        namespace: str | None = None,
        name: str | None = None,
        after: bytes | None = None,
    ) -> Iterator[tuple[bytes, Series]]:
        """Metrics by namespace and name, each with the key to pass as `after` to go on behind it."""
        start = keys.scope_key(account, region)
        if namespace is not None:
            start += keys.part(namespace)
            if name is not None:
                start += keys.part(name)
        end = after_prefix(start)
        if after is not None:
            start = max(start, after + b"\0")
        for key, value in self._kv.scan(start, end):
            series = Series(**orjson.loads(value))
            if (namespace is None or series.namespace == namespace) and (name is None or series.name == name):
                yield key, series

    def last_time(self, series: Series) -> float | None:
        """When the newest datum of a metric is of."""
        newest = next(iter(self._kv.scan(*keys.all_points(series.id), limit=1, reverse=True)), None)
        return None if newest is None else keys.time_of(newest[0])

    def sweep(self) -> int:
        """Delete data past retention and metrics that have none left, and make old data compact.

        Returns how many entries went. Safe to run at any time, in any process, and to be cut short.
        """
        now = self._clock.now()
        removed = 0
        for key, value in list(self._kv.scan(keys.SERIES, after_prefix(keys.SERIES))):
            series = Series(**orjson.loads(value))
            removed += self._forget(key, series, now - RETENTION_SECONDS)
            removed += self._compact(key, series, (now - _COMPACT_AFTER_SECONDS) // 60 * 60)
        return removed

    def _compact(self, series_key: bytes, series: Series, until: float) -> int:
        """Merge the data of each minute before `until`, an hour of data a write."""
        at = series.compact_until
        removed = 0
        while at < until:
            waiting = keys.point_key(series.id, at), keys.point_key(series.id, until)
            first = next(iter(self._kv.scan(*waiting, limit=1)), None)
            if first is None:
                return removed
            start = keys.time_of(first[0]) // 60 * 60
            at = min(start + _COMPACT_AT_ONCE_SECONDS, until)
            span = keys.point_key(series.id, start), keys.point_key(series.id, at)
            removed += self._kv.write(partial(_compact_span, series_key, span, at))
        return removed

    def _forget(self, series_key: bytes, series: Series, oldest: float) -> int:
        start, end = keys.point_key(series.id, 0), keys.point_key(series.id, oldest)

        def delete(transaction: Transaction) -> tuple[int, bool]:
            gone = [key for key, _ in transaction.scan(start, end, limit=_SWEEP_KEYS)]
            for key in gone:
                transaction.delete(key)
            if gone and next(iter(transaction.scan(*keys.all_points(series.id), limit=1)), None) is None:
                transaction.delete(series_key)
            return len(gone), len(gone) == _SWEEP_KEYS

        removed, more = 0, next(iter(self._kv.scan(start, end, limit=1)), None) is not None
        while more:
            gone, more = self._kv.write(delete)
            removed += gone
        return removed


def _compact_span(series_key: bytes, span: tuple[bytes, bytes], until: float, transaction: Transaction) -> int:
    """Leave one entry of samples and one of summaries for each minute and unit; return how many entries went."""
    found = transaction.get(series_key)
    if found is None:
        return 0
    by_minute: dict[tuple[float, int], list[tuple[bytes, bytes]]] = {}
    for key, value in transaction.scan(*span):
        by_minute.setdefault((keys.time_of(key) // 60 * 60, value[1]), []).append((key, value))
    removed = 0
    for (minute, unit), entries in by_minute.items():
        samples = Distribution()
        for key, value in entries:
            keys.unpack_into(samples, value)
            transaction.delete(key)
        merged = keys.pack_all(samples, UNITS[unit])
        # Numbers tell entries of one time apart: the merged ones take those of the first they stand for.
        for (key, _), packed in zip(entries, merged, strict=False):
            transaction.put(keys.at_time(key, minute), packed)
        removed += len(entries) - len(merged)
    series = replace(Series(**orjson.loads(found)), compact_until=until)
    transaction.put(series_key, orjson.dumps(series))
    return removed


def _next_number(transaction: Transaction) -> int:
    found = transaction.get(keys.NEXT_NUMBER)
    number: int = 1 if found is None else keys.U64.unpack(found)[0]
    return number
