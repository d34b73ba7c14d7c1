"""Where logs lie in the ordered key-value store. `u64` is big-endian, so that keys sort as numbers do.

n                                      next id, of groups and streams alike
g account 0 region 0 NAME              LogGroup as JSON
s group:u64 NAME                       LogStream as JSON
e stream:u64 timestamp:u64 seq:u64     ingestion time:u64, message
c group:u64                            arrivals so far:u64, stored bytes:u64
a group:u64 arrival:u64                stream, first seq, count, earliest, latest, ingestion time: u64; stream name
d PREFIX                               every key under PREFIX is to be deleted; value: the group it counts for
"""

import struct

import orjson

from clary.kernel.telemetry.log_records import Arrival, Event, LogGroup, LogStream

LAST = 2**64 - 1
U64 = struct.Struct(">Q")
PAIR = struct.Struct(">QQ")
EVENT_KEY = struct.Struct(">cQQQ")
ARRIVAL = struct.Struct(">QQQQQQ")
NEXT_ID = b"n"
DELETED = b"d"


def scope_key(account: str, region: str) -> bytes:
    return f"g{account}\0{region}\0".encode()


def group_key(account: str, region: str, name: str) -> bytes:
    return scope_key(account, region) + name.encode()


def streams_key(group_id: int) -> bytes:
    return b"s" + U64.pack(group_id)


def stream_key(group_id: int, name: str) -> bytes:
    return streams_key(group_id) + name.encode()


def events_key(stream_id: int) -> bytes:
    return b"e" + U64.pack(stream_id)


def position_key(stream_id: int, position: int) -> bytes:
    position = min(position, LAST << 64 | LAST)
    return EVENT_KEY.pack(b"e", stream_id, position >> 64, position & LAST)


def arrivals_key(group_id: int) -> bytes:
    return b"a" + U64.pack(group_id)


def counter_key(group_id: int) -> bytes:
    return b"c" + U64.pack(group_id)


def read_counters(value: bytes | None) -> tuple[int, int]:
    """(arrivals, stored bytes) of a group."""
    if value is None:
        return 0, 0
    arrivals, stored = PAIR.unpack(value)
    return arrivals, stored


def read_group(value: bytes | None) -> LogGroup | None:
    return None if value is None else LogGroup(**orjson.loads(value))


def read_stream(value: bytes | None) -> LogStream | None:
    return None if value is None else LogStream(**orjson.loads(value))


def read_event(key: bytes, value: bytes) -> Event:
    _, stream_id, timestamp, sequence = EVENT_KEY.unpack(key)
    return Event(stream_id, timestamp, sequence, U64.unpack_from(value)[0], value[8:].decode())


def read_arrival(key: bytes, value: bytes) -> Arrival:
    stream_id, first, count, earliest, latest, ingested = ARRIVAL.unpack_from(value)
    name = value[ARRIVAL.size :].decode()
    return Arrival(U64.unpack(key[-8:])[0], stream_id, name, first, count, earliest, latest, ingested)
