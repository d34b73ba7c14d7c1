"""Work left to do for blobs, committed together with the index entry that makes it necessary.

A record under `w<blob>` says that the blob's file may not be safe on disk yet, and carries the bytes of a small one: so
an object counts as stored once its index entry and this record are committed, with one sync for both. Or it says that
nothing refers to the blob any more and its file may go. Whoever finds a record left by a process that died does the
work; all of it may be done twice.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from clary.kernel.kv import Transaction
from clary.kernel.objects.keys import work_key


@dataclass(frozen=True, slots=True)
class Work:
    """`keep` means: make the file safe, show it under its key; else: remove and hide it. `since` in epoch seconds."""

    blob: str
    keep: bool
    since: float
    bucket: str
    key: str
    body: bytes | None


def record_new(tx: Transaction, blob: str, bucket: str, key: str, *, body: bytes | None, now: float) -> None:
    """Record that `blob` came to be; `body` if its bytes are nowhere else yet. Key "" for what no key shows."""
    head: dict[str, Any] = {"b": bucket, "k": key, "t": now}
    tx.put(work_key(blob), orjson.dumps(head) + (b"\n" if body is None else b"\n=" + body))


def record_unused(tx: Transaction, blob: str, bucket: str, key: str, now: float) -> None:
    """Record that nothing refers to `blob` any more, which was shown under `key`, if that is given."""
    tx.put(work_key(blob), orjson.dumps({"b": bucket, "k": key, "t": now, "gone": True}) + b"\n")


def read_work(blob: str, record: bytes) -> Work:
    """Take a record apart."""
    text, _, rest = record.partition(b"\n")
    head = orjson.loads(text)
    body = rest[1:] if rest.startswith(b"=") else None
    return Work(blob, "gone" not in head, head["t"], head["b"], head["k"], body)


def record_shown(tx: Transaction, blob: str, bucket: str, key: str, now: float) -> None:
    """Record that `blob` is to be shown under its key again; its bytes stay where they are."""
    if tx.get(work_key(blob)) is None:
        record_new(tx, blob, bucket, key, body=None, now=now)
