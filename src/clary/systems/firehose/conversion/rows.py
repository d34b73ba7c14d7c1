"""Records of JSON as rows: a table of those that fit a schema, and why the others do not."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from clary.systems.firehose.conversion.columns import Reading, columns_of
from clary.systems.firehose.conversion.documents import exact_objects_of, objects_of
from clary.systems.firehose.destinations.contract import Failure, Record

PARSE_ERROR = "DataFormatConversion.ParseError"
MALFORMED_DATA = "DataFormatConversion.MalformedData"


class Rows(NamedTuple):
    """What came of records: a record batch of Arrow, whose fields may all be NULL, and those that are no row.

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


def nullable(schema: Any) -> Any:
    """The schema with all that is required optional."""
    return pa.schema([each.with_nullable(True) for each in schema])


def _is_exact(type_: Any) -> bool:
    """Whether a type holds decimals, which a float on the way would spoil."""
    if pa.types.is_nested(type_):
        return any(_is_exact(type_.field(place).type) for place in range(type_.num_fields))
    return bool(pa.types.is_decimal(type_))
