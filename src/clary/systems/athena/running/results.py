"""Results as objects: rows of a query as CSV, answers of statements as text, manifests of what was written."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clary.systems.athena.contract import Outcome
from clary.systems.athena.running.access import Access

CSV, TEXT, MANIFEST = ".csv", ".txt", "-manifest.csv"


class Stored(NamedTuple):
    """Where a result lies: what AWS shows as OutputLocation and as DataManifestLocation; and its bytes."""

    location: str
    manifest: str
    size_bytes: int


def store(access: Access, output: str, outcome: Outcome, settings: Mapping[str, Any]) -> Stored:
    """Store what a statement came to, durably once it returns. Raises AwsError where it may not be written."""
    if outcome.result is not None:
        location = output + CSV
        access.put(location, outcome.result, settings)
        return Stored(location, "", outcome.result.stat().st_size)
    if outcome.manifest is not None:
        manifest = output + MANIFEST
        data = "".join(f"{uri}\n" for uri in outcome.manifest).encode()
        access.put(manifest, data, settings)
        return Stored(output, manifest, len(data))
    data = as_text(outcome.rows or ())
    location = output + TEXT
    access.put(location, data, settings)
    return Stored(location, "", len(data))


def as_text(rows: Sequence[Sequence[str | None]]) -> bytes:
    """Rows of a statement's answer, a line each, their values parted by tabs."""
    return "".join("\t".join("" if value is None else value for value in row) + "\n" for row in rows).encode()
