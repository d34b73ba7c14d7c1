"""Where metrics lie in the ordered key-value store, and how a datum is packed. `u64` is big-endian.

n                                               next number, of series and points alike
s account 0 region 0 NAMESPACE 0 NAME 0 digest  Series as JSON
p series:u64 milliseconds:u64 number:u64        form:u8 unit:u8, then doubles: value | values, counts | summary
"""

import hashlib
import struct
from collections.abc import Mapping

import orjson

from clary.kernel.kv.contract import after_prefix
from clary.kernel.telemetry.metric_records import UNITS, Datum
from clary.kernel.telemetry.statistics import Distribution, StatisticSet

U64 = struct.Struct(">Q")
POINT_KEY = struct.Struct(">cQQQ")
NEXT_NUMBER = b"n"
SERIES = b"s"
POINT = b"p"

UNIT_CODES = {unit: code for code, unit in enumerate(UNITS)}

_VALUE = struct.Struct(">BBd")
_SET = struct.Struct(">BBdddd")
_ONE, _MANY, _SUMMARY = range(3)


def scope_key(account: str, region: str) -> bytes:
    return SERIES + f"{account}\0{region}\0".encode()


def part(name: str) -> bytes:
    """A name inside a key: without zero bytes, so that it ends where it ends. The digest tells names apart."""
    return name.replace("\0", "").encode() + b"\0"


def series_key(account: str, region: str, namespace: str, name: str, dimensions: Mapping[str, str]) -> bytes:
    identity = orjson.dumps([namespace, name, sorted(dimensions.items())])
    digest = hashlib.blake2b(identity, digest_size=16).digest()
    return scope_key(account, region) + part(namespace) + part(name) + digest


def point_key(series_id: int, moment: float) -> bytes:
    """The smallest key that a point of this time could have."""
    return POINT_KEY.pack(POINT, series_id, max(int(moment * 1000), 0), 0)


def all_points(series_id: int) -> tuple[bytes, bytes | None]:
    prefix = POINT + U64.pack(series_id)
    return prefix, after_prefix(prefix)


def time_of(point: bytes) -> float:
    moment: float = POINT_KEY.unpack(point)[2] / 1000
    return moment


def at_time(point: bytes, moment: float) -> bytes:
    """The key of the same number at another time."""
    tag, series_id, _, number = POINT_KEY.unpack(point)
    return POINT_KEY.pack(tag, series_id, int(moment * 1000), number)


def pack(datum: Datum) -> bytes:
    """A datum's unit and numbers. Raises ValueError for an unknown unit, or when there is no number."""
    if datum.unit not in UNIT_CODES:
        raise ValueError(f"{datum.unit!r} is not a unit CloudWatch knows")
    unit = UNIT_CODES[datum.unit]
    if datum.summary is not None:
        known = datum.summary
        return _SET.pack(_SUMMARY, unit, known.count, known.total, known.minimum, known.maximum)
    if datum.value is not None:
        return _VALUE.pack(_ONE, unit, datum.value)
    counts = datum.counts or [1.0] * len(datum.values)
    if not datum.values or len(counts) != len(datum.values):
        raise ValueError(f"metric {datum.name!r} has {len(datum.values)} values and {len(counts)} counts")
    return struct.pack(f">BB{2 * len(counts)}d", _MANY, unit, *datum.values, *counts)


def unpack_into(samples: Distribution, value: bytes) -> None:
    """Add what was packed to samples."""
    if value[0] == _ONE:
        samples.samples.append((_VALUE.unpack(value)[2], 1.0))
    elif value[0] == _SUMMARY:
        samples.add_set(StatisticSet(*_SET.unpack(value)[2:]))
    else:
        numbers = struct.unpack(f">{(len(value) - 2) // 8}d", value[2:])
        half = len(numbers) // 2
        samples.samples.extend(zip(numbers[:half], numbers[half:], strict=True))


def pack_all(samples: Distribution, unit: str) -> list[bytes]:
    """At most two entries: the samples, equal ones counted together, and the sum of all summaries."""
    packed = []
    if samples.samples:
        counts: dict[float, float] = {}
        for value, count in samples.samples:
            counts[value] = counts.get(value, 0.0) + count
        packed.append(pack(Datum("", values=list(counts), counts=list(counts.values()), unit=unit)))
    if samples.sets:
        whole = StatisticSet(
            sum(part.count for part in samples.sets),
            sum(part.total for part in samples.sets),
            min(part.minimum for part in samples.sets),
            max(part.maximum for part in samples.sets),
        )
        packed.append(pack(Datum("", summary=whole, unit=unit)))
    return packed
