"""Metrics: numbers by namespace, name and dimensions, kept as they came and summed up when asked.

Promises:

- **Durable**: data survive `kill -9` and power loss once `put` returns.
- **Exact**: every sample is kept for 455 days, so any period and any percentile can be asked for. (CloudWatch
  rolls data up as they age.) A metric put often should put many values in one datum.
- **Shared**: any process puts and reads.

Times are epoch seconds. A datum of standard resolution (60) belongs to its whole minute, one of high resolution
(1) to its second.

Keys, `u64` big-endian:

    n                                               next number, of series and points alike
    s account 0 region 0 NAMESPACE 0 NAME 0 digest  Series as JSON
    p series:u64 milliseconds:u64 number:u64        one datum, packed
"""

import hashlib
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from clary.kernel.core.clock import Clock
from clary.kernel.kv.contract import KeyValue, Transaction, after_prefix
from clary.kernel.telemetry.statistics import Distribution, StatisticSet

UNITS = (
    *("None", "Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"),
    *("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Percent", "Count"),
    *("Bytes/Second", "Kilobytes/Second", "Megabytes/Second", "Gigabytes/Second", "Terabytes/Second"),
    *("Bits/Second", "Kilobits/Second", "Megabits/Second", "Gigabits/Second", "Terabits/Second", "Count/Second"),
)
"""The units CloudWatch knows. A stored point names its unit by the place in this tuple: only ever add to its end."""

RETENTION_SECONDS = 455 * 24 * 3600

_U64 = struct.Struct(">Q")
_POINT_KEY = struct.Struct(">cQQQ")
_VALUE = struct.Struct(">BBd")
_SET = struct.Struct(">BBdddd")
_ONE, _MANY, _SUMMARY = range(3)
_UNIT_CODES = {unit: code for code, unit in enumerate(UNITS)}
_SWEEP_KEYS = 5_000


@dataclass(frozen=True, slots=True)
class Datum:
    """What is reported at once: one `value`, or `values` with their `counts` (1 each when absent), or a summary.

    Without a `timestamp` it is of now. `resolution` is 60 or 1 second.
    """

    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    values: Sequence[float] = ()
    counts: Sequence[float] = ()
    summary: StatisticSet | None = None
    timestamp: float | None = None
    unit: str = "None"
    resolution: int = 60


@dataclass(frozen=True, slots=True)
class Series:
    """A metric: all data of one namespace, name and set of dimensions."""

    id: int
    namespace: str
    name: str
    dimensions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The samples of one period from `start` on; `unit` is None where units were not kept apart."""

    start: float
    unit: str | None
    samples: Distribution


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
            (_series_key(account, region, namespace, datum), datum, _pack(datum))
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
                transaction.put(_POINT_KEY.pack(b"p", ids[key], milliseconds, number), packed)
                number += 1
            transaction.put(b"n", _U64.pack(number))

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
        found = self._kv.get(_series_key(account, region, namespace, Datum(name, dimensions)))
        if found is None:
            return []
        series = Series(**orjson.loads(found))
        wanted = None if unit is None else _UNIT_CODES[unit]
        by_place: dict[tuple[int, str | None], Distribution] = {}
        for key, value in self._kv.scan(_point_key(series.id, start), _point_key(series.id, end)):
            if wanted is not None and value[1] != wanted:
                continue
            moment = _POINT_KEY.unpack(key)[2] / 1000
            place = int((moment - start) // period), UNITS[value[1]] if split_units else unit
            _unpack_into(by_place.setdefault(place, Distribution()), value)
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
        start = _scope_key(account, region)
        if namespace is not None:
            start += _part(namespace)
            if name is not None:
                start += _part(name)
        end = after_prefix(start)
        if after is not None:
            start = max(start, after + b"\0")
        for key, value in self._kv.scan(start, end):
            series = Series(**orjson.loads(value))
            if (namespace is None or series.namespace == namespace) and (name is None or series.name == name):
                yield key, series

    def last_time(self, series: Series) -> float | None:
        """When the newest datum of a metric is of."""
        span = _point_key(series.id, 0), after_prefix(b"p" + _U64.pack(series.id))
        for key, _ in self._kv.scan(*span, limit=1, reverse=True):
            moment: float = _POINT_KEY.unpack(key)[2] / 1000
            return moment
        return None

    def sweep(self) -> int:
        """Delete data past retention, and metrics that have none left; return how many keys went.

        Safe to run at any time, in any process, and to be cut short.
        """
        oldest = self._clock.now() - RETENTION_SECONDS
        removed = 0
        for key, value in list(self._kv.scan(b"s", b"t")):
            series = Series(**orjson.loads(value))
            removed += self._forget(key, series, oldest)
        return removed

    def _forget(self, series_key: bytes, series: Series, oldest: float) -> int:
        start, end = _point_key(series.id, 0), _point_key(series.id, oldest)

        def delete(transaction: Transaction) -> tuple[int, bool]:
            gone = [key for key, _ in transaction.scan(start, end, limit=_SWEEP_KEYS)]
            for key in gone:
                transaction.delete(key)
            points = b"p" + _U64.pack(series.id)
            if gone and next(iter(transaction.scan(points, after_prefix(points), limit=1)), None) is None:
                transaction.delete(series_key)
            return len(gone), len(gone) == _SWEEP_KEYS

        removed, more = 0, next(iter(self._kv.scan(start, end, limit=1)), None) is not None
        while more:
            gone, more = self._kv.write(delete)
            removed += gone
        return removed


def _scope_key(account: str, region: str) -> bytes:
    return f"s{account}\0{region}\0".encode()


def _part(name: str) -> bytes:
    """A name inside a key: without zero bytes, so that it ends where it ends. The digest tells names apart."""
    return name.replace("\0", "").encode() + b"\0"


def _series_key(account: str, region: str, namespace: str, datum: Datum) -> bytes:
    identity = orjson.dumps([namespace, datum.name, sorted(datum.dimensions.items())])
    digest = hashlib.blake2b(identity, digest_size=16).digest()
    return _scope_key(account, region) + _part(namespace) + _part(datum.name) + digest


def _point_key(series_id: int, moment: float) -> bytes:
    return _POINT_KEY.pack(b"p", series_id, max(int(moment * 1000), 0), 0)


def _next_number(transaction: Transaction) -> int:
    found = transaction.get(b"n")
    number: int = 1 if found is None else _U64.unpack(found)[0]
    return number


def _pack(datum: Datum) -> bytes:
    if datum.unit not in _UNIT_CODES:
        raise ValueError(f"{datum.unit!r} is not a unit CloudWatch knows")
    unit = _UNIT_CODES[datum.unit]
    if datum.summary is not None:
        known = datum.summary
        return _SET.pack(_SUMMARY, unit, known.count, known.total, known.minimum, known.maximum)
    if datum.value is not None:
        return _VALUE.pack(_ONE, unit, datum.value)
    counts = datum.counts or [1.0] * len(datum.values)
    if not datum.values or len(counts) != len(datum.values):
        raise ValueError(f"metric {datum.name!r} has {len(datum.values)} values and {len(counts)} counts")
    return struct.pack(f">BB{2 * len(counts)}d", _MANY, unit, *datum.values, *counts)


def _unpack_into(samples: Distribution, value: bytes) -> None:
    if value[0] == _ONE:
        samples.samples.append((_VALUE.unpack(value)[2], 1.0))
    elif value[0] == _SUMMARY:
        samples.add_set(StatisticSet(*_SET.unpack(value)[2:]))
    else:
        numbers = struct.unpack(f">{(len(value) - 2) // 8}d", value[2:])
        half = len(numbers) // 2
        samples.samples.extend(zip(numbers[:half], numbers[half:], strict=True))
