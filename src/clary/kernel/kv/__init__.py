"""Ordered, durable key-value storage for what changes often: object indexes, log events, stream shards.

`contract` states the promises; `lmdb` keeps them on one machine for any number of processes; `lanes` makes durable
queues of them.
"""

import re
from pathlib import Path

from clary.kernel.kv.contract import KeyValue, KeyValueError, Snapshot, Transaction, after_prefix
from clary.kernel.kv.lmdb import open_lmdb

_DOMAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")

__all__ = ["KeyValue", "KeyValueError", "Snapshot", "Transaction", "after_prefix", "names_below", "open_kv"]


def open_kv(home: Path, domain: str, *, durable: bool = True) -> KeyValue:
    """Open a domain of a home, created when new. Raises ValueError when no folder could have its name.

    Without `durable`, what was written survives the end of any process but not a power cut; for throw-away servers.
    """
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"{domain!r} cannot name a key-value domain: use letters, digits, '.', '_' and '-'")
    return open_lmdb(home / "kv" / domain, durable=durable)


def names_below(kv: KeyValue, prefix: bytes) -> list[str]:
    """The names that there are keys of, where these are `prefix`, a name, a NUL and more. One look for each name."""
    found = []
    start, end = prefix, after_prefix(prefix)
    while pair := next(kv.scan(start, end, limit=1), None):
        name = pair[0][len(prefix) :].partition(b"\0")[0]
        found.append(name.decode())
        start = prefix + name + b"\x01"
    return found
