"""What a crawl found that is to be in the catalog."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class WantedTable:
    """A table as it is to be in a database: `document` is its TableInput, `partitions` are PartitionInputs.

    `named` is the name of a table of the catalog that it is, empty where that is to be found by its location.
    `whole`: these are all of its partitions; else they are some to be added.
    """

    database: str
    document: Mapping[str, Any]
    partitions: Sequence[Mapping[str, Any]] = ()
    named: str = ""
    whole: bool = True

    @property
    def location(self) -> str:
        return str(self.document["StorageDescriptor"]["Location"])


@dataclass(slots=True)
class Findings:
    """All tables that were found, and of which locations a crawl would have found the table."""

    tables: list[WantedTable] = field(default_factory=list)
    looked_into: list[Callable[[str], bool]] = field(default_factory=list)

    def missing(self, location: str) -> bool:
        """Whether a table lies where was looked; asked of those that were not found."""
        return any(covers(location) for covers in self.looked_into)
