"""The online store of features: the latest record of each key of a group, and its journal.

`contract` states the promises; `embedded` keeps them in a key-value domain of the home, where record and journal share
one commit.
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
    "Outcome",
    "Size",
    "Write",
    "open_online",
]


def open_online(kv: KeyValue, clock: Clock, journal: Journal) -> OnlineStore:
    """The online store over a domain, which may hold other things under keys that begin with other letters than those
    that `embedded` names."""
    return EmbeddedStore(kv, clock, journal)
