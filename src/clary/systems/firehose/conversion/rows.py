"""Records of JSON as rows: a table of those that fit a schema, and why the others do not."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa

from clary.systems.firehose.conversion.columns import Reading, columns_of
from clary.systems.firehose.conversion.documents import exact_objects_of, objects_of
from clary.systems.firehose.destinations.contract import Failure, Record

PARSE_ERROR = "DataFormatConversion.ParseError"
MALFORMED_DATA = "DataFormatConversion.MalformedData"

_READ_AT_ONCE_BYTES = 4 * 1024 * 1024


class Rows(NamedTuple):
    """What came of records: a batch or table of Arrow, whose fields may all be NULL, and those that are no row.

    `owners` says for each row which record it is from.
    """

    batch: Any
    owners: list[int]
    failures: list[Failure]


def rows_of(records: Sequence[Record], schema: Any, reading: Reading) -> Rows:
    """The rows of records by a schema of Arrow. A record of several objects is rows for all of them, or fails whole."""
    parse = exact_objects_of if any(_is_exact(each.type) for each in schema) else objects_of
    failures: list[Failure] = []
    objects: list[dict[str, Any]] = []
    owners: list[int] = []
    for index, record in enumerate(records):
        try:
            found = parse(record.data)
        except ValueError as error:
            failures.append(Failure(index, PARSE_ERROR, f"The record is not JSON as it should be: {error}"))
            continue
        objects += found
        owners += [index] * len(found)
    columns, bad = columns_of(objects, list(schema), reading)
    rows = pa.RecordBatch.from_arrays(columns, schema=nullable(schema))
    if bad:
        reasons = {owners[row]: reason for row, reason in sorted(bad.items(), reverse=True)}
        rows = rows.filter(pa.array([owner not in reasons for owner in owners], pa.bool_()))
        owners = [owner for owner in owners if owner not in reasons]
        failures += [
            Failure(index, MALFORMED_DATA, f"Data does not match the schema. {reason}")
            for index, reason in reasons.items()
        ]
    return Rows(rows, owners, sorted(failures, key=lambda failure: failure.index))


def table_of(records: Sequence[Record], schema: Any, reading: Reading) -> Rows:
    """`rows_of` for many records, as a table: read some megabytes at a time, of which only the columns are kept."""
    batches, owners, failures = [], [], []
    for start, part in _parts(records):
        rows = rows_of(part, schema, reading)
        batches.append(rows.batch)
        owners += [start + owner for owner in rows.owners]
        failures += [replace(failure, index=start + failure.index) for failure in rows.failures]
    return Rows(pa.Table.from_batches(batches, nullable(schema)), owners, failures)


def _parts(records: Sequence[Record]) -> Iterator[tuple[int, Sequence[Record]]]:
    """The records in parts of some megabytes, each with the index of its first."""
    start, size = 0, 0
    for index, record in enumerate(records):
        if size and size + len(record.data) > _READ_AT_ONCE_BYTES:
            yield start, records[start:index]
            start, size = index, 0
        size += len(record.data)
    yield start, records[start:]


def nullable(schema: Any) -> Any:
    """The schema with all that is required optional."""
    return pa.schema([each.with_nullable(True) for each in schema])


def _is_exact(type_: Any) -> bool:
    """Whether a type holds decimals, which a float on the way would spoil."""
    if pa.types.is_nested(type_):
        return any(_is_exact(type_.field(place).type) for place in range(type_.num_fields))
    return bool(pa.types.is_decimal(type_))
