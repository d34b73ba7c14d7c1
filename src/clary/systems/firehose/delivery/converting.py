"""A lane whose records become a file of columns: Parquet or ORC, by the schema of a table of the catalog."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.systems.firehose.configurations import Configuration, Hints, conversion_part
from clary.systems.firehose.conversion.files import Conversion, Format
from clary.systems.firehose.conversion.schema import CatalogTable, catalog_table
from clary.systems.firehose.delivery.failures import CONVERSION, conversion_line
from clary.systems.firehose.delivery.lanes import StoredLane
from clary.systems.firehose.delivery.objects import Stored, Target, Trouble
from clary.systems.firehose.destinations.contract import Failure, Record
from clary.systems.firehose.records import DeliveryStream

_CODES = {"EntityNotFoundException": "EntityNotFound", "ValidationException": "AccessDenied"}


class ConvertedLane(StoredLane):
    """Records that become one file. While their table cannot be read, which it is only once, they wait."""

    is_converted = True

    def __init__(
        self,
        key: str,
        hints: Hints,
        first: Record,
        due_at: float,
        *,
        platform: Platform,
        stream: Entry[DeliveryStream],
        target: Target,
        folder: Path,
        partition: Mapping[str, str],
    ) -> None:
        super().__init__(key, hints, first, due_at)
        self.target = target
        self._platform = platform
        self._stream = stream
        self._table: CatalogTable | None = None
        self._naming = target.naming(self.first, self.oldest_ms, key, partition, "")
        self._failed_naming = target.naming(self.first, self.oldest_ms, key, partition, CONVERSION)
        self._conversion = Conversion(self._format, folder)

    def add(self, record: Record, data: bytes) -> None:
        self._conversion.add(record)
        self.count(record, len(record.data))

    def store(self) -> Stored:
        """Store the file, and in the error output what is not in it. Raises Trouble; to be tried again then."""
        try:
            content = self._conversion.finish()
        except OSError as error:
            raise Trouble("S3.InternalError", str(error)) from None
        failures = self._conversion.failures
        if failures:
            assert self._table is not None
            now, table = self._platform.clock.now(), self._table.document()
            lines = [conversion_line(record, failure, table, self.attempts + 1, now) for record, failure in failures]
            self.target.put(self._failed_naming, b"".join(lines))
        return self.target.put(self._naming, content) if content else Stored("", 0)

    @property
    def failed(self) -> Sequence[tuple[Record, Failure]]:
        return self._conversion.failures

    def discard(self) -> None:
        self._conversion.discard()

    def _format(self) -> Format:
        configuration: Configuration = conversion_part(self._stream.value.configuration)
        try:
            self._table = catalog_table(self._platform, self._stream, configuration["SchemaConfiguration"])
            return Format(self._table.columns, configuration)
        except AwsError as error:
            code = _CODES.get(error.code, error.code.removesuffix("Exception"))
            raise Trouble(f"DataFormatConversion.{code}", error.message) from None
        except ValueError as error:
            raise Trouble("DataFormatConversion.InvalidSchema", f"The schema is invalid: {error}") from None
