"""What was found out about a file, or about many that are alike. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clary.lake.inference.merging import NOTHING
from clary.lake.tables import Column
from clary.lake.types import parse_type

UNKNOWN = "UNKNOWN"
NO_COMPRESSION = "none"


@dataclass(frozen=True, slots=True)
class Found:
    """A format and the columns of what is in it, whose types may be unknown in part; see `merging.settled`.

    `serde` are properties of what reads it, `properties` those of the table. `records` is how many there are, or about
    how many, `record_bytes` how long one is on the average; 0 where neither is known. `paths` are names of columns as
    they are written in the file.
    """

    classification: str
    columns: tuple[Column, ...] = ()
    compression: str = NO_COMPRESSION
    reader: str = ""
    serde: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    records: int = 0
    record_bytes: int = 0
    paths: tuple[str, ...] = ()

    def with_columns(self, columns: tuple[Column, ...]) -> "Found":
        return replace(self, columns=columns)

    def compatible(self, other: "Found") -> bool:
        """Whether the same reader, set up in the same way, reads both."""
        return (
            self.classification == other.classification
            and self.compression == other.compression
            and self.reader == other.reader
            and self._setting() == other._setting()
        )

    def _setting(self) -> dict[str, str]:
        """What the reader is told, besides the columns that it is told of."""
        return {key: value for key, value in {**self.serde, **self.properties}.items() if key not in _OF_COLUMNS}

    def document(self) -> dict[str, Any]:
        """As values of JSON."""
        return {
            "classification": self.classification,
            "columns": [[column.name, str(column.type)] for column in self.columns],
            "compression": self.compression,
            "reader": self.reader,
            "serde": dict(self.serde),
            "properties": dict(self.properties),
            "records": self.records,
            "record_bytes": self.record_bytes,
            "paths": list(self.paths),
        }


# What differs between files that the same reader reads.
_OF_COLUMNS = frozenset({"avro.schema.literal", "areColumnsQuoted"})


def read_found(document: Mapping[str, Any]) -> Found:
    """What `Found.document` made."""
    columns = tuple(Column(name, parse_type(text, also=(NOTHING.name,))) for name, text in document["columns"])
    return Found(**{**document, "columns": columns, "paths": tuple(document["paths"])})
