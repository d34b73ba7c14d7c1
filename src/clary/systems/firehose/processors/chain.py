"""All processors of a delivery stream, in the order in which AWS applies them:

records of the Kinesis Producer Library are taken apart, then come decompression, messages of CloudWatch Logs,
de-aggregation, the function, and partition keys. The delimiter is appended by who writes objects.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.kernel.streams import Record as Buffered
from clary.systems.firehose.destinations.contract import Record
from clary.systems.firehose.processors import parameters as names
from clary.systems.firehose.processors.deaggregation import delimited, json_values, producer_records
from clary.systems.firehose.processors.functions import Function
from clary.systems.firehose.processors.messages import gunzipped, log_messages
from clary.systems.firehose.records import DeliveryStream

Split = Callable[[bytes], list[bytes]]


class Failed(NamedTuple):
    """A record that was not processed, for the error output."""

    record: Record
    code: str
    message: str
    attempts: int = 1
    function: str = ""


class Outcome(NamedTuple):
    """What came out of records."""

    records: list[Record]
    failed: list[Failed]


class _Step(NamedTuple):
    split: Split
    code: str


class Chain:
    """The processors of one configuration. For one thread."""

    def __init__(
        self,
        platform: Platform,
        stream: Entry[DeliveryStream],
        configuration: Mapping[str, Any],
        *,
        pause: Callable[[float], bool],
        metadata: Callable[[Record], Mapping[str, Any] | None],
    ) -> None:
        processors = names.processors_of(configuration)
        self._buffer = stream.value.buffer
        self._steps = _steps(processors, from_kinesis=bool(stream.value.source))
        self.function = _function(platform, stream, configuration, processors, pause, metadata)
        self._extract: Callable[[bytes], dict[str, str]] | None = None
        if names.EXTRACTION in processors:
            from clary.systems.firehose.processors.extraction import Extraction

            self._extract = Extraction(processors[names.EXTRACTION]["MetadataExtractionQuery"]).keys
        self.delimiter = names.appended(processors)

    @property
    def changes_nothing(self) -> bool:
        return not self._steps and self.function is None and self._extract is None

    def process(self, buffered: Iterable[Buffered]) -> Outcome:
        """Process records. Blocks while a function works; a failure is told, never raised."""
        failed: list[Failed] = []
        records = [part for each in buffered for part in self._split(each, failed)]
        if self.function is not None:
            records = self._through(self.function, records, failed)
        if self._extract is not None:
            records = self._with_keys(records, failed)
        return Outcome(records, failed)

    def source_record(self, each: Buffered) -> Record:
        """A record as it came."""
        return Record(record_id(self._buffer, each.offset, 0), each.at_ms, each.data, {}, (each.offset, 0))

    def _split(self, each: Buffered, failed: list[Failed]) -> list[Record]:
        parts = [each.data]
        for step in self._steps:
            try:
                parts = [part for whole in parts for part in step.split(whole)]
            except ValueError as error:
                failed.append(Failed(self.source_record(each), step.code, str(error)))
                return []
        offset, at_ms = each.offset, each.at_ms
        return [
            Record(record_id(self._buffer, offset, number), at_ms, part, {}, (offset, number))
            for number, part in enumerate(parts)
        ]

    def _through(self, function: Function, records: Sequence[Record], failed: list[Failed]) -> list[Record]:
        done = []
        for batch in function.batches(records):
            for answer in function.process(batch):
                if answer.record is not None:
                    done.append(answer.record)
                elif answer.code:
                    failed.append(Failed(answer.source, answer.code, answer.message, answer.attempts, function.arn))
        return done

    def _with_keys(self, records: Sequence[Record], failed: list[Failed]) -> list[Record]:
        assert self._extract is not None
        done = []
        for record in records:
            try:
                done.append(record._replace(partition={**record.partition, **self._extract(record.data)}))
            except ValueError as error:
                failed.append(Failed(record, "DynamicPartitioning.MetadataExtractionFailed", str(error)))
        return done


def record_id(buffer: str, offset: int, number: int) -> str:
    """What a record is called: the id that PutRecord answered, with a number for the further ones that came out."""
    return f"{buffer}{offset:020d}" + (f".{number}" if number else "")


def _steps(processors: names.Processors, *, from_kinesis: bool) -> list[_Step]:
    steps = []
    if from_kinesis:
        steps.append(_Step(producer_records, "Deaggregation.Failed"))
    if names.DECOMPRESSION in processors:
        steps.append(_Step(lambda data: [gunzipped(data)], "Decompression.Failed"))
    if processors.get(names.MESSAGES, {}).get("DataMessageExtraction") == "true":
        ending = b"" if names.DELIMITER in processors else b"\n"
        steps.append(
            _Step(lambda data: [message + ending for message in log_messages(data)], "MessageExtraction.Failed")
        )
    deaggregation = processors.get(names.DEAGGREGATION)
    if deaggregation is not None:
        split: Split = json_values
        if deaggregation["SubRecordType"] == "DELIMITED":
            split = partial(delimited, delimiter=names.delimiter_of(deaggregation["Delimiter"]))
        steps.append(_Step(split, "DynamicPartitioning.DeaggregationFailed"))
    return steps


def _function(
    platform: Platform,
    stream: Entry[DeliveryStream],
    configuration: Mapping[str, Any],
    processors: names.Processors,
    pause: Callable[[float], bool],
    metadata: Callable[[Record], Mapping[str, Any] | None],
) -> Function | None:
    parameters = processors.get(names.FUNCTION)
    if parameters is None:
        return None
    role = parameters.get("RoleArn") or configuration.get("RoleARN") or configuration["S3Configuration"]["RoleARN"]
    return Function(platform, stream, parameters, role=stream.value.roles[role], pause=pause, metadata=metadata)
