"""The files of a flush: entries parted by the time of their events, each part a file of Parquet with its own name."""

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from clary.systems.feature_store.offline.columns import table_of
from clary.systems.feature_store.offline.flushes import Flush
from clary.systems.feature_store.offline.layout import day_of, day_path, file_name, hour_of, hour_path, spread_of
from clary.systems.feature_store.offline.store import Store, partition_moment

_COMPRESSION = "snappy"

Entry = Mapping[str, Any]


class Part(NamedTuple):
    """Entries that lie in one file: the values of their partition, the folder of it, the latest event among them."""

    partition: tuple[str, ...]
    folder: str
    latest: datetime
    entries: Sequence[Entry]

    def path(self, store: Store, flush: Flush) -> str:
        """Where the part's file lies below the store's location."""
        seed = flush.seed(store.uid, self.folder)
        spread = f"{spread_of(seed)}/" if store.is_iceberg else ""
        return f"{spread}{self.folder}/{file_name(self.latest, seed)}"


def parts_of(store: Store, entries: Sequence[Entry]) -> Iterator[Part]:
    """The entries by partition, in the order in which these first occur; those of one in the order of the log."""
    found: dict[tuple[str, ...], tuple[datetime, list[Entry]]] = {}
    for entry in entries:
        moment = partition_moment(store, entry["t"])
        partition: tuple[str, ...] = (day_of(moment),) if store.is_iceberg else hour_of(moment)
        latest, some = found.get(partition, (moment, []))
        some.append(entry)
        found[partition] = max(latest, moment), some
    for partition, (latest, some) in found.items():
        folder = day_path(store.event_time.lower(), partition[0]) if store.is_iceberg else hour_path(partition)
        yield Part(partition, folder, latest, some)


def parquet(store: Store, entries: Sequence[Entry], write_time: float) -> bytes:
    """The entries as a file."""
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(table_of(entries, store.definitions, write_time), out, compression=_COMPRESSION)
    return out.getvalue()
