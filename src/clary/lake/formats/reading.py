"""Scans as relations: their columns by the table's names and types, whatever their files hold."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from clary.lake import tables
from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats import avro, fields, json_lines, lazy_simple, orc, parquet
from clary.lake.formats.parts import HIDDEN, BytesRead, Part, hidden_of, null, parts_of
from clary.lake.scans import Scan
from clary.lake.types import quoted

Reader = Callable[[Any, Part, str, BytesRead], list[str]]
"""Makes the SELECTs that give a part's rows, all with the columns of the scan in their order.

It is given the connection, and a name for what it registers there.
"""

_READERS: dict[str, Reader] = {
    tables.CSV: lazy_simple.selects,
    tables.OPEN_CSV: fields.open_csv,
    tables.JSON: json_lines.selects,
    tables.CLOUDTRAIL: json_lines.selects,
    tables.ORC: orc.selects,
    tables.AVRO: avro.selects,
    tables.REGEX: fields.regex,
    tables.GROK: fields.grok,
}
_OURS = re.compile(r"\b(HIVE_[A-Z_]+): (.*)", re.DOTALL)
_CAST = re.compile(
    r'Error while reading file "(?P<file>.*?)": failed to cast column "(?P<column>.*?)" from type (?P<given>.*?) to '
    r"(?P<wanted>.*?): ",
    re.DOTALL,
)
_FILE = re.compile(r"""(?:file|filename|File)[ :='"]+(?P<file>/[^'"\s]+)""")


def over(connection: Any, sql: str, scans: Sequence[Scan], read: BytesRead | None = None) -> str:
    """A query that names scans as one that DuckDB can run: each is a relation with the table's columns, its keys, and
    the hidden columns that the query asks for.

    What the query does not use is NULL there. `read` counts what readers other than DuckDB's own read of files.
    Raises TaskFailed where the files cannot be the table's.
    """
    if not scans:
        return sql
    read = BytesRead() if read is None else read
    parts = {scan.name: parts_of(scan) for scan in scans if not scan.sql}
    schemas = parquet.schemas_of(connection, (part for those in parts.values() for part in those))
    readers: dict[str, Reader] = {**_READERS, tables.PARQUET: partial(parquet.selects, schemas)}
    bodies = [(scan.name, scan.sql or _body(connection, scan, parts[scan.name], readers, read)) for scan in scans]
    # Not views: making one, DuckDB would look at the files as it does again for the query.
    relations = ", ".join(f"{quoted(name)} AS NOT MATERIALIZED ({body})" for name, body in bodies)
    return f"WITH {relations} SELECT * FROM ({sql})"


def _body(connection: Any, scan: Scan, parts: Iterable[Part], readers: Mapping[str, Reader], read: BytesRead) -> str:
    selects: list[str] = []
    for place, part in enumerate(parts):
        reader = readers.get(part.format)
        if reader is None:
            raise TaskFailed(
                "HIVE_UNSUPPORTED_FORMAT", f"Clary reads no files of the format {part.format or 'unknown'}"
            )
        selects += reader(connection, part, f"{scan.name}#{place}", read)
    return " UNION ALL ".join(selects) if selects else _no_rows(scan)


def failure_of(error: Exception, scans: Iterable[Scan], read: BytesRead) -> TaskFailed | None:
    """What is wrong with a file, when that is why DuckDB failed; None where it failed for another reason."""
    if read.failure is not None:
        return read.failure
    if isinstance(error, TaskFailed):
        return error
    text = str(error)
    ours = _OURS.search(text)
    if ours is not None:
        return TaskFailed(ours[1], ours[2].strip().splitlines()[0])
    files = {file.path: file.uri for scan in scans for file in scan.files}
    cast = _CAST.search(text)
    if cast is not None and cast["file"] in files:
        return TaskFailed(
            "HIVE_BAD_DATA", parquet.mismatch(files[cast["file"]], cast["column"], cast["given"], cast["wanted"])
        )
    named = _FILE.search(text)
    if named is not None and named["file"] in files:
        return TaskFailed("HIVE_CANNOT_OPEN_SPLIT", f"Error opening {files[named['file']]}: {_reason(text, files)}")
    return None


def _no_rows(scan: Scan) -> str:
    columns = [f"{null(each.type)} AS {quoted(each.name)}" for each in (*scan.columns, *scan.keys)]
    columns += [f"CAST(NULL AS {HIDDEN[name]}) AS {quoted(name)}" for name in hidden_of(scan)]
    return f"SELECT {', '.join(columns)} WHERE false"


def _reason(text: str, files: dict[str, str]) -> str:
    """The first line of an error, which names files as their objects."""
    line = text.splitlines()[0]
    for path, uri in sorted(files.items(), key=lambda pair: -len(pair[0])):
        line = line.replace(path, uri)
    return line
