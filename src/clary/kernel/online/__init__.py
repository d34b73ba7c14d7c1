"""The online store of features: the latest record of each key of a group, and its journal.

`contract` states the promises; `embedded` keeps them in a key-value domain of the home, where record and journal share
one commit; `redis` keeps the records in Redis or Valkey, and the journal in the home.
"""

from clary.kernel.core.clock import Clock
from clary.kernel.kv import KeyValue
from clary.kernel.online.contract import (
    HARD_DELETE,
    PUT,
    REPLACE,
    SOFT_DELETE,
    Farewell,
    Item,
    Journal,
    OnlineStore,
    OnlineStoreError,
    Outcome,
    Size,
    Write,
)
from clary.kernel.online.embedded import EmbeddedStore

__all__ = [
    "HARD_DELETE",
    "PUT",
    "REPLACE",
    "SOFT_DELETE",
    "Farewell",
    "Item",
    "Journal",
    "OnlineStore",
    "OnlineStoreError",
    "Outcome",
    "Size",
    "Write",
    "open_online",
    "ping_online",
]


def open_online(kv: KeyValue, clock: Clock, journal: Journal, url: str = "") -> OnlineStore:
    """The online store over a domain of the home, or the one at `url`: redis://HOST:PORT/NUMBER, rediss:// with TLS.

    The domain may hold other things under keys that begin with other letters than those that the backends name. Raises
    OnlineStoreError when the URL is not understood or its library is missing.
    """
    if not url:
        return EmbeddedStore(kv, clock, journal)
    _check(url)
    from clary.kernel.online.redis import RedisStore

    return RedisStore(url, kv, clock, journal)


def ping_online(url: str) -> None:
    """Raise OnlineStoreError unless there is an online store at a URL."""
    _check(url)
    from clary.kernel.online.redis import ping

    ping(url)


def _check(url: str) -> None:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise OnlineStoreError(
            f"{url!r} is no place for the online store: leave it empty, or name a server as redis://HOST:PORT"
        )
