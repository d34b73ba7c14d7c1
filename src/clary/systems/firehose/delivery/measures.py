"""What is told of deliveries: AWS's metrics, and errors in the log that was asked for."""

from collections.abc import Sequence
from itertools import groupby

from clary.kernel.core.clock import Clock
from clary.kernel.store import Entry
from clary.kernel.streams import Record as Buffered
from clary.systems.firehose.configurations import object_part, without_password
from clary.systems.firehose.delivery.lanes import Lane, StoredLane
from clary.systems.firehose.delivery.ledger import Ledger
from clary.systems.firehose.delivery.reports import Reports
from clary.systems.firehose.destinations.contract import Record
from clary.systems.firehose.processors.chain import Failed
from clary.systems.firehose.records import DeliveryStream

_MOST_REASONS = 10
_PARTITIONS_EVERY_SECONDS = 1.0


class Measures:
    """What one configuration of a delivery stream does, told to its reports."""

    def __init__(self, stream: Entry[DeliveryStream], reports: Reports, clock: Clock) -> None:
        self._configuration = stream.value.configuration
        self._from_kinesis = bool(stream.value.source)
        self._reports = reports
        self._clock = clock
        self._partitions_told_at = 0.0
        self.destination = _destination_name(stream.value)

    def incoming(self, records: Sequence[Buffered], ledger: Ledger) -> None:
        """Count records that were read and were not counted before."""
        new = [each for each in records if each.offset >= ledger.counted]
        ledger.counted = records[-1].offset + 1
        names = ("IncomingRecords", "IncomingBytes")
        if self._from_kinesis:
            names = ("DataReadFromKinesisStream.Records", "DataReadFromKinesisStream.Bytes")
        for minute, group in groupby(new, key=lambda each: each.at_ms // 60_000):
            sizes = [len(each.data) for each in group]
            self._reports.count(names[0], len(sizes), at_ms=minute * 60_000)
            self._reports.count(names[1], sum(sizes), unit="Bytes", at_ms=minute * 60_000)

    def delivered(self, metric: str, lane: Lane, size: int) -> None:
        failed = lane.failed if isinstance(lane, StoredLane) else ()
        self._reports.count(f"{metric}.Records", lane.records - len(failed))
        self._reports.count(f"{metric}.Bytes", size, unit="Bytes")
        self._reports.sample(f"{metric}.Success", 1)
        age = self._clock.now() - lane.oldest_ms / 1000
        self._reports.sample(f"{metric}.DataFreshness", max(age, 0.0), unit="Seconds")

    def not_delivered(self, metric: str) -> None:
        self._reports.sample(f"{metric}.Success", 0)

    def destination_error(self, code: str, message: str, processor: str = "") -> None:
        """Say in the destination's log what went wrong."""
        options = self._configuration["CloudWatchLoggingOptions"]
        self._reports.error(options, self.destination, code, message, processor)

    def object_error(self, lane: StoredLane, code: str, message: str) -> None:
        """Say in the log of an object's S3 configuration what went wrong."""
        self._reports.error(lane.target.logging, lane.target.bucket_arn, code, message)

    def error_output_error(self, code: str, message: str) -> None:
        part = object_part(self._configuration)
        self._reports.error(part["CloudWatchLoggingOptions"], part["BucketARN"], code, message)

    def converted(self, lane: StoredLane) -> None:
        sizes = [len(record.data) for record, _ in lane.failed]
        self._reports.count("SucceedConversion.Records", lane.records - len(sizes))
        self._reports.count("SucceedConversion.Bytes", lane.size - sum(sizes), unit="Bytes")
        self._reports.count("FailedConversion.Records", len(sizes))
        self._reports.count("FailedConversion.Bytes", sum(sizes), unit="Bytes")
        for code, message in sorted({(failure.code, failure.message) for _, failure in lane.failed})[:_MOST_REASONS]:
            self.object_error(lane, code, message)

    def transformed(self, function: str, done: Sequence[Record], failed: Sequence[Failed], seconds: float) -> None:
        """Tell how a function did with a batch."""
        self._reports.sample("ExecuteProcessing.Duration", seconds * 1000, unit="Milliseconds")
        troubles = {(each.code, each.message) for each in failed if each.function}
        self._reports.sample("ExecuteProcessing.Success", 0 if troubles else 1)
        self._reports.count("SucceedProcessing.Records", len(done))
        self._reports.count("SucceedProcessing.Bytes", sum(len(each.data) for each in done), unit="Bytes")
        for code, message in sorted(troubles)[:_MOST_REASONS]:
            self.destination_error(code, message, function)

    def partitions(self, count: int) -> None:
        """Tell about once a second how many partitions there are."""
        now = self._clock.monotonic()
        if count and now - self._partitions_told_at > _PARTITIONS_EVERY_SECONDS:
            self._partitions_told_at = now
            self._reports.sample("PartitionCount", count)

    def too_many_partitions(self) -> None:
        self._reports.sample("PartitionCountExceeded", 1)


def _destination_name(stream: DeliveryStream) -> str:
    """How error logs call the destination."""
    configuration = stream.configuration
    endpoint = configuration.get("EndpointConfiguration", {}).get("Url")
    names = ("ClusterJDBCURL", "ClusterEndpoint", "DomainARN")
    found = endpoint or next((configuration[name] for name in names if name in configuration), None)
    return without_password(str(found or object_part(configuration)["BucketARN"]))
