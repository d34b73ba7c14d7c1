"""Streams: records in the order they came, in shards, kept until their time is over or whoever reads them is done.

`contract` states the promises; `embedded` keeps them in the folders of a home, for any number of processes;
`jetstream` keeps them in a NATS server, for homes on several machines.
"""

from pathlib import Path

from clary.kernel.core.clock import Clock
from clary.kernel.streams.contract import (
    Bounds,
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


def open_streams(home: Path, clock: Clock, *, durable: bool = True, url: str = "") -> Streams:
    """Open the streams of a home, or those at `url`: nats://HOST:PORT is NATS JetStream.

    Without `durable`, what was appended survives the end of any process but not a power cut; for throw-away servers.
    Raises StreamError when the URL is not understood or its library is missing.
    """
    if not url:
        return open_embedded(home / "streams", clock, durable=durable)
    if not url.startswith(("nats://", "tls://")):
        raise StreamError(f"{url!r} is no place for streams: leave it empty, or name a server as nats://HOST:PORT")
    from clary.kernel.streams.jetstream import open_jetstream

    return open_jetstream(url, clock)
