"""What the error output says of records that were not processed or not delivered, in AWS's words."""

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from clary.systems.firehose.destinations.contract import Failure, Record
from clary.systems.firehose.processors.chain import Failed

PROCESSING, CONVERSION = "processing-failed", "format-conversion-failed"


def processing_line(failed: Failed, now: float) -> bytes:
    """The line about a record that a processor failed on."""
    document = _document(failed.record, failed.code, failed.message, failed.attempts, now)
    if failed.function:
        document["lambdaArn"] = failed.function
    return orjson.dumps(document) + b"\n"


def delivery_line(
    record: Record, failure: Failure, attempts: int, now: float, details: Mapping[str, str] | None = None
) -> bytes:
    """The line about a record that a destination refused, or that was given up, with what the destination adds."""
    document = _document(record, failure.code, failure.message, attempts, now)
    document |= {"subsequenceNumber": record.place[1], **(details or {"dataId": record.id})}
    return orjson.dumps(document) + b"\n"


def conversion_line(record: Record, failure: Failure, table: Mapping[str, str], attempts: int, now: float) -> bytes:
    """The line about a record that does not fit the schema of its table, which `table` names."""
    document = {
        "attemptsMade": attempts,
        "arrivalTimestamp": record.at_ms,
        "lastErrorCode": failure.code,
        "lastErrorMessage": failure.message,
        "attemptEndingTimestamp": int(now * 1000),
        "rawData": base64.b64encode(record.data).decode(),
        "sequenceNumber": str(record.place[0]),
        "subSequenceNumber": record.place[1],
        "dataCatalogTable": table,
    }
    return orjson.dumps(document) + b"\n"


def _document(record: Record, code: str, message: str, attempts: int, now: float) -> dict[str, Any]:
    return {
        "attemptsMade": attempts,
        "arrivalTimestamp": record.at_ms,
        "errorCode": code,
        "errorMessage": message,
        "attemptEndingTimestamp": int(now * 1000),
        "rawData": base64.b64encode(record.data).decode(),
    }
