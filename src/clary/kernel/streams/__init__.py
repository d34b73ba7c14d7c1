"""Streams: records in the order they came, in shards, kept until their time is over or whoever reads them is done.

`contract` states the promises; `embedded` keeps them in the folders of a home, for any number of processes.
"""

from pathlib import Path

from clary.kernel.core.clock import Clock
from clary.kernel.streams.contract import (
    Bounds,
    Ear,
    Entry,
    NoSuchStream,
    Page,
    Placed,
    Record,
    StreamError,
    Streams,
    checked_name,
)
from clary.kernel.streams.embedded import open_embedded

__all__ = [
    "Bounds",
    "Ear",
    "Entry",
    "NoSuchStream",
    "Page",
    "Placed",
    "Record",
    "StreamError",
    "Streams",
    "checked_name",
    "open_streams",
]


def open_streams(home: Path, clock: Clock, *, durable: bool = True) -> Streams:
    """Open the streams of a home. Without `durable`, what was appended survives the end of any process but not a
    power cut; for throw-away servers."""
    return open_embedded(home / "streams", clock, durable=durable)
