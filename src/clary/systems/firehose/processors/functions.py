"""The Lambda processor: batches of records go through a function, by AWS's contract.

The function gets `records` with `recordId`, `approximateArrivalTimestamp` and `data` in base64, and answers each id
with a `result` (Ok, Dropped or ProcessingFailed), `data`, and perhaps `metadata.partitionKeys`.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.systems.firehose.delivery.pauses import Pause, Stopped
from clary.systems.firehose.destinations.contract import Record
from clary.systems.firehose.processors.keys import key_text
from clary.systems.firehose.records import DeliveryStream, stream_arn
from clary.systems.firehose.sources import call_as

_DEFAULT_RETRIES = 3
_DEFAULT_MIB = 1.0
_DEFAULT_INTERVAL_SECONDS = 60.0
_MOST_PAYLOAD_BYTES = 6 * 1024 * 1024 - 64 * 1024
_OVERHEAD_BYTES = 256  # of a record in the event, its data aside
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.25, 10.0

_MESSAGES = {
    "Lambda.InvokeAccessDenied": (
        "Access was denied. Ensure that the access policy allows access to the Lambda function."
    ),
    "Lambda.ResourceNotFound": (
        "The specified Lambda function does not exist. Use a different function that does exist."
    ),
    "Lambda.InvokeLimitExceeded": "The limit of concurrent executions of the Lambda function is exceeded.",
    "Lambda.FunctionError": "The Lambda function was successfully invoked but it returned an error result.",
    "Lambda.FunctionTimedOut": "The Lambda function timed out. Increase its timeout.",
    "Lambda.JsonProcessingException": (
        "There was an error parsing returned records from the Lambda function. Ensure that the returned records follow "
        "the status model required by Firehose."
    ),
    "Lambda.DuplicatedRecordId": (
        "Multiple records were returned with the same record ID. Ensure that the Lambda function returns unique record "
        "IDs for each record."
    ),
    "Lambda.MissingRecordId": (
        "One or more record IDs were not returned. Ensure that the Lambda function returns all received record IDs."
    ),
    "Lambda.ProcessingFailedStatus": "ProcessingFailed status set for record",
}
_CODES = {
    "AccessDeniedException": "Lambda.InvokeAccessDenied",
    "AccessDenied": "Lambda.InvokeAccessDenied",
    "ResourceNotFoundException": "Lambda.ResourceNotFound",
    "TooManyRequestsException": "Lambda.InvokeLimitExceeded",
}


class Trouble(Exception):
    """A batch was not processed: AWS's error code, and what is to be said of it."""

    def __init__(self, code: str, detail: str = "") -> None:
        message = _MESSAGES.get(code, "")
        super().__init__(f"{message} {detail}".strip())
        self.code = code


class Answer(NamedTuple):
    """What became of a record: what it is now, None when it was dropped, or the code and message of its failure."""

    source: Record
    record: Record | None = None
    code: str = ""
    message: str = ""
    attempts: int = 1


class Function:
    """A function as a processor. Everything here blocks."""

    def __init__(
        self,
        platform: Platform,
        stream: Entry[DeliveryStream],
        parameters: Mapping[str, str],
        *,
        role: str,
        pause: Pause,
        metadata: Callable[[Record], Mapping[str, Any] | None],
    ) -> None:
        """`pause` waits so many seconds and says whether to give up; `metadata` is what the source says of a record."""
        self.arn = parameters["LambdaArn"]
        self.batch_bytes = int(float(parameters.get("BufferSizeInMBs", _DEFAULT_MIB)) * 1024 * 1024)
        self.interval_seconds = float(parameters.get("BufferIntervalInSeconds", _DEFAULT_INTERVAL_SECONDS))
        self._retries = int(parameters.get("NumberOfRetries", _DEFAULT_RETRIES))
        self._platform = platform
        self._stream = stream
        self._role = role
        self._pause = pause
        self._metadata = metadata

    def batches(self, records: Sequence[Record]) -> Iterator[list[Record]]:
        """Records as they are sent: as many as fit into the buffer and into what a function takes."""
        batch: list[Record] = []
        data_bytes = payload_bytes = 0
        for record in records:
            size = len(record.data)
            payload = size * 4 // 3 + _OVERHEAD_BYTES
            if batch and (data_bytes + size > self.batch_bytes or payload_bytes + payload > _MOST_PAYLOAD_BYTES):
                yield batch
                batch, data_bytes, payload_bytes = [], 0, 0
            batch.append(record)
            data_bytes += size
            payload_bytes += payload
        if batch:
            yield batch

    def process(self, batch: Sequence[Record]) -> list[Answer]:
        """Have a batch processed, trying again as often as was asked for; what then fails, fails as a whole.

        Raises Stopped when it is to end meanwhile.
        """
        wait, attempts = _FIRST_WAIT_SECONDS, 0
        while True:
            attempts += 1
            try:
                return [answer._replace(attempts=attempts) for answer in self._invoke(batch)]
            except Trouble as trouble:
                if self._pause(0.0 if attempts > self._retries else wait):
                    raise Stopped from trouble
                if attempts > self._retries:
                    return [Answer(record, None, trouble.code, str(trouble), attempts) for record in batch]
                wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _invoke(self, batch: Sequence[Record]) -> list[Answer]:
        payload = orjson.dumps(self._event(batch))
        try:
            output = call_as(
                self._platform,
                self._role,
                parse_arn(self.arn),
                "Invoke",
                FunctionName=self.arn,
                InvocationType="RequestResponse",
                Payload=payload,
            )
        except AwsError as error:
            raise Trouble(_CODES.get(error.code, f"Lambda.{error.code}"), error.message) from None
        answered = output.get("Payload") or b""
        text = answered if isinstance(answered, bytes) else answered.read()
        if output.get("FunctionError"):
            code = "Lambda.FunctionTimedOut" if b"Task timed out" in text else "Lambda.FunctionError"
            raise Trouble(code, text[:1000].decode(errors="replace"))
        return self._read(batch, text)

    def _event(self, batch: Sequence[Record]) -> dict[str, Any]:
        event: dict[str, Any] = {
            "invocationId": new_uuid(),
            "deliveryStreamArn": stream_arn(self._stream),
            "region": self._stream.region,
            "records": [self._entry(record) for record in batch],
        }
        source = self._stream.value.source.get("KinesisStreamARN")
        if source:
            event["sourceKinesisStreamArn"] = source
        return event

    def _entry(self, record: Record) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "recordId": record.id,
            "approximateArrivalTimestamp": record.at_ms,
            "data": base64.b64encode(record.data).decode(),
        }
        metadata = self._metadata(record)
        if metadata is not None:
            entry["kinesisRecordMetadata"] = metadata
        return entry

    def _read(self, batch: Sequence[Record], text: bytes) -> list[Answer]:
        try:
            returned = orjson.loads(text)["records"]
            by_id = {each["recordId"]: each for each in returned}
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Trouble("Lambda.JsonProcessingException", repr(error)) from None
        if len(by_id) != len(returned):
            raise Trouble("Lambda.DuplicatedRecordId")
        return [self._answer(record, by_id.get(record.id)) for record in batch]

    def _answer(self, record: Record, returned: Any) -> Answer:
        if returned is None:
            return Answer(record, None, "Lambda.MissingRecordId", _MESSAGES["Lambda.MissingRecordId"])
        result = returned.get("result")
        if result == "Dropped":
            return Answer(record)
        if result == "ProcessingFailed":
            code = "Lambda.ProcessingFailedStatus"
            return Answer(record, None, code, _MESSAGES[code])
        try:
            if result != "Ok":
                raise ValueError(f"result is {result!r}")
            data = base64.b64decode(returned["data"], validate=True)
            partition = _partition(returned.get("metadata") or {})
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise Trouble("Lambda.JsonProcessingException", f"Record {record.id}: {error!r}") from None
        return Answer(record, record._replace(data=data, partition={**record.partition, **partition}))


def _partition(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The partition keys a function gives a record, and where it says the record is to go."""
    keys = {str(name): key_text(value) for name, value in (metadata.get("partitionKeys") or {}).items()}
    return keys | {str(name): str(value) for name, value in (metadata.get("otfMetadata") or {}).items()}
