"""The files of a flush: entries parted by the hour of their events, each part a file of Parquet with its own name."""

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from clary.systems.feature_store.offline.columns import table_of
from clary.systems.feature_store.offline.flushes import Flush
from clary.systems.feature_store.offline.layout import file_name, hour_of, hour_path
from clary.systems.feature_store.offline.store import Store, partition_moment

_COMPRESSION = "snappy"

Entry = Mapping[str, Any]


class Part(NamedTuple):
    """Entries of one hour: the values of the partition's keys, and the latest event among them."""

    partition: tuple[str, str, str, str]
    latest: datetime
    entries: Sequence[Entry]

    def path(self, store: Store, flush: Flush) -> str:
        """Where the part's file lies below the store's location."""
        folder = hour_path(self.partition)
        return f"{folder}/{file_name(self.latest, flush.seed(store.uid, folder))}"


def parts_of(store: Store, entries: Sequence[Entry]) -> Iterator[Part]:
    """The entries by hour, in the order in which the hours first occur; those of one in the order of the log."""
    by_hour: dict[tuple[str, str, str, str], tuple[datetime, list[Entry]]] = {}
    for entry in entries:
        moment = partition_moment(store, entry["t"])
        hour = hour_of(moment)
        latest, some = by_hour.get(hour, (moment, []))
        some.append(entry)
        by_hour[hour] = max(latest, moment), some
    for hour, (latest, some) in by_hour.items():
        yield Part(hour, latest, some)


def parquet(store: Store, entries: Sequence[Entry], write_time: float) -> bytes:
    """The entries as a file."""
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(table_of(entries, store.definitions, write_time), out, compression=_COMPRESSION)
    return out.getvalue()
