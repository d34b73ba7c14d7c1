"""Results as objects: rows of a query as CSV, answers of statements as text, manifests of what was written."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from clary.systems.athena.contract import UTILITY, Outcome, OutputColumn
from clary.systems.athena.language.statements import (
    CreateTableAs,
    Delete,
    Execute,
    InsertInto,
    Merge,
    Optimize,
    Query,
    Statement,
    Unload,
    Update,
)
from clary.systems.athena.running.access import Access
from clary.systems.athena.running.columns_file import columns_file

CSV, TEXT, MANIFEST, METADATA = ".csv", ".txt", "-manifest.csv", ".metadata"
_WRITTEN = (OutputColumn("rows", "bigint"),)


class Stored(NamedTuple):
    """Where a result lies: what AWS shows as OutputLocation and as DataManifestLocation; and its bytes."""

    location: str
    manifest: str
    size_bytes: int


def check(access: Access, output: str, statement: Statement) -> None:
    """Raise AwsError where the results of a statement could not be stored now."""
    endings: Sequence[str] = (TEXT,)
    if isinstance(statement, Query):
        endings = CSV, CSV + METADATA
    elif isinstance(statement, InsertInto | CreateTableAs | Unload | Delete | Update | Merge):
        endings = MANIFEST, METADATA
    elif isinstance(statement, Execute):
        endings = ()  # those of what was prepared, which asks by itself
    elif statement.kind == UTILITY:
        endings = TEXT, TEXT + METADATA
    for ending in endings:
        access.check_put(output + ending)


def places(output: str, outcome: Outcome) -> Stored:
    """Where a result lies, or would lie."""
    if outcome.result is not None:
        return Stored(output + CSV, "", 0)
    if outcome.manifest is not None:
        return Stored(output, output + MANIFEST, 0)
    return Stored(output + TEXT, "", 0)


def announced(output: str, substatement: str) -> Stored:
    """Where the results of a statement lie that writes a table."""
    if substatement == Optimize.substatement:  # the same rows in other files: it answers by text
        return Stored(output + TEXT, "", 0)
    return Stored(output, output + MANIFEST, 0)


def store(access: Access, output: str, outcome: Outcome, settings: Mapping[str, Any]) -> Stored:
    """Store what a statement came to, and beside it what its columns are: durably once it returns.

    Raises AwsError where it may not be written.
    """
    stored = places(output, outcome)
    key = stored.manifest or stored.location
    if outcome.result is not None:
        content: Path | bytes = outcome.result
        size = outcome.result.stat().st_size
    else:
        content = _manifest(outcome.manifest) if outcome.manifest is not None else as_text(outcome.rows or ())
        size = len(content)
    said = _columns_file(output.rpartition("/")[2], outcome)
    if said is None:
        access.put(key, content, settings)
    else:
        # Side by side they are made durable together.
        with ThreadPoolExecutor(1) as beside:
            written = beside.submit(access.put, stored.location + METADATA, said, settings)
            access.put(key, content, settings)
            written.result()
    return stored._replace(size_bytes=size)


def _columns_file(execution_id: str, outcome: Outcome) -> bytes | None:
    if outcome.manifest is not None and outcome.update_count is not None:
        return columns_file(execution_id, _WRITTEN, (outcome.substatement, outcome.update_count))
    return columns_file(execution_id, outcome.columns) if outcome.columns else None


def _manifest(uris: Sequence[str]) -> bytes:
    return "".join(f"{uri}\n" for uri in uris).encode()


def as_text(rows: Sequence[Sequence[str | None]]) -> bytes:
    """Rows of a statement's answer, a line each, their values parted by tabs."""
    return "".join("\t".join("" if value is None else value for value in row) + "\n" for row in rows).encode()
