"""Changes of status, kept for the rooms that observe other rooms' records until they have taken them.

A change is written in the transaction that makes it: what a client was told of is never missing, whatever is killed
in between. Each observer has its own, in the order in which they happened to a record.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from clary.kernel.core.ids import short_id
from clary.kernel.store.contract import Insert, Key, Row
from clary.kernel.store.records import Entry, read_document, record

T = TypeVar("T")

KIND = "change"
_IDS = uuid.UUID("6f1d4f0e-9a4e-4a50-8a55-2a3c0a0d7a11")


@record(KIND, version=1)
@dataclass(frozen=True, slots=True)
class Change:
    """A record of the kind `kind` has come to be in `status`, as it then was. Times are epoch seconds.

    `was` is the status before, None for a record that was created; it is `status` where a room says that something
    other than the status has changed. `uid` is the same for every observer, whenever it is told.
    """

    uid: str
    kind: str
    name: str
    account: str
    region: str
    status: str
    was: str | None
    schema: int
    document: dict[str, Any]
    parent: str
    created_at: float
    updated_at: float
    version: int

    def entry(self, cls: type[T]) -> Entry[T]:
        """The record as it was when it changed; `cls` is its type."""
        return Entry(
            read_document(cls, self.document, self.schema),
            self.name,
            self.account,
            self.region,
            self.status,
            self.parent,
            self.created_at,
            self.updated_at,
            self.version,
        )


class Observers:
    """Who is told of changes: topics by kind of record, and how they are woken."""

    def __init__(self, topics: Mapping[str, Iterable[str]], wake: Callable[[str], None]) -> None:
        self._topics = {kind: tuple(those) for kind, those in topics.items()}
        self._wake = wake

    def notes(self, row: Row, was: str | None) -> list[Insert]:
        """What to write together with `row`, which has just got this status: one change for each observer."""
        topics = self._topics.get(row.key.kind)
        if not topics:
            return []
        key, version = row.key, row.version + 1
        change = Change(
            str(uuid.uuid5(_IDS, f"{key.kind} {key.account} {key.region} {key.name} {row.created_at} {version}")),
            key.kind,
            key.name,
            key.account,
            key.region,
            row.status,
            was,
            row.schema,
            orjson.loads(row.body),
            row.parent,
            row.created_at,
            row.updated_at,
            version,
        )
        body, now = orjson.dumps(change), row.updated_at
        order = f"{int(now * 1e6):017d}-{version:08d}-{short_id()}"
        return [
            Insert(Row(Key(KIND, key.account, key.region, f"{topic}/{order}"), body, 1, "", topic, now, now, 0))
            for topic in topics
        ]

    def ring(self, kind: str) -> None:
        """Wake those who observe a kind, when its changes are written."""
        for topic in self._topics.get(kind, ()):
            self._wake(topic)
