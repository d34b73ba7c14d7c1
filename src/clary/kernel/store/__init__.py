"""Records: what the platform remembers about the things that users create.

`contract` says what a backend promises, `sqlite` is the embedded one, and `records` is what rooms use:
dataclasses marked with `@record`, read and written through a `Table`. `changes` keeps what observers are to be told.
"""

from clary.kernel.store.changes import Change
from clary.kernel.store.contract import AlreadyExists, Conflict, Store
from clary.kernel.store.records import Batch, Entry, Page, Table, record

__all__ = ["AlreadyExists", "Batch", "Change", "Conflict", "Entry", "Page", "Store", "Table", "record"]
