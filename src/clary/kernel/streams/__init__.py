"""Streams: records in the order they came, in shards, kept until their time is over or whoever reads them is done.

`contract` states the promises.
"""

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
)

__all__ = ["Bounds", "Ear", "Entry", "NoSuchStream", "Page", "Placed", "Record", "StreamError", "Streams"]
