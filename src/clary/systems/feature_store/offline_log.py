"""The offline log: what was put and deleted and is not yet in the offline store, group by group, in order.

    l <group> 0 <number>    an entry
    n <group>               the last number given

It lies in the domain `features` beside the online store, so that an entry is written in the commit that writes its
record. An entry is JSON: `v` the values by feature (text, or a list of texts for a collection), `t` the event time as
it was given, `a` the time of the call in epoch seconds, `d` whether it marks a deletion. Numbers of a group only grow,
also when its entries are forgotten.
"""

from collections.abc import Mapping, Sequence
from struct import Struct

import orjson

from clary.kernel.kv import KeyValue, Transaction, after_prefix, names_below

DOMAIN = "features"

_ENTRIES, _NUMBERS = b"l", b"n"
_packed = Struct(">Q").pack

Values = Mapping[str, str | Sequence[str]]


def entry_of(values: Values, event_time: str, called_at: float, *, deleted: bool = False) -> bytes:
    return orjson.dumps({"v": values, "t": event_time, "a": called_at, "d": deleted})


def append(tx: Transaction, group_uid: str, entry: bytes) -> int:
    """Add an entry; return its number."""
    counter = _NUMBERS + group_uid.encode()
    number = int.from_bytes(tx.get(counter) or b"", "big") + 1
    tx.put(counter, _packed(number))
    tx.put(_prefix(group_uid) + _packed(number), entry)
    return number


def read(kv: KeyValue, group_uid: str, limit: int) -> list[tuple[int, bytes]]:
    """The oldest entries of a group and their numbers."""
    prefix = _prefix(group_uid)
    return [
        (int.from_bytes(key[-8:], "big"), entry) for key, entry in kv.scan(prefix, after_prefix(prefix), limit=limit)
    ]


def forget(tx: Transaction, group_uid: str, through: int) -> None:
    """Forget entries up to a number, that one included."""
    prefix = _prefix(group_uid)
    for key, _ in tx.scan(prefix, prefix + _packed(through + 1)):
        tx.delete(key)


def groups(kv: KeyValue) -> list[str]:
    """The groups that have entries."""
    return names_below(kv, _ENTRIES)


def _prefix(group_uid: str) -> bytes:
    return _ENTRIES + group_uid.encode() + b"\0"
