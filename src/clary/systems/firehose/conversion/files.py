"""Files of columns, Parquet and ORC, made of records as these come.

Records are read some megabytes at a time, and only their columns are kept: in memory while they are few, in a file
beside when they are not. So what a file in the making takes of memory does not grow with it.
"""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from clary.kernel.core.ids import new_id
from clary.lake.types import arrow_type
from clary.systems.firehose.conversion.columns import Reading
from clary.systems.firehose.conversion.rows import nullable, rows_of
from clary.systems.firehose.conversion.timestamps import joda_reader, nanoseconds
from clary.systems.firehose.delivery.objects import Trouble
from clary.systems.firehose.destinations.contract import Failure, Record

_MIB = 1024 * 1024
# There may be five hundred files in the making at once.
_READ_AT_ONCE_BYTES = _MIB
_IN_MEMORY_BYTES = _MIB
_CODECS = {"SNAPPY": "snappy", "GZIP": "gzip", "UNCOMPRESSED": "none", "NONE": "uncompressed", "ZLIB": "zlib"}


class Format:
    """How files are made, by a table's columns and a DataFormatConversionConfiguration that was checked.

    Raises ValueError for columns that no file can have.
    """

    def __init__(self, columns: Sequence[Mapping[str, Any]], configuration: Mapping[str, Any]) -> None:
        if not columns:
            raise ValueError("the table has no columns")
        self.schema = pa.schema([(each["Name"], arrow_type(each.get("Type") or "string")) for each in columns])
        self.reading = reading_of(configuration["InputFormatConfiguration"]["Deserializer"])
        self._serializer = configuration["OutputFormatConfiguration"]["Serializer"]
        unknown = set(self._orc.get("BloomFilterColumns") or ()) - set(self.schema.names)
        if unknown:
            raise ValueError(f"BloomFilterColumns names {', '.join(sorted(unknown))}, which the table does not have")

    def write(self, table: Any, out: Any) -> None:
        """Write a table as a file to a path or a file that is open."""
        if "OrcSerDe" in self._serializer:
            _write_orc(table, out, self._orc)
        else:
            _write_parquet(table, out, self._serializer["ParquetSerDe"] or {})

    @property
    def _orc(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._serializer.get("OrcSerDe") or {}
        return found


class Conversion:
    """One file in the making, of the records that are added. `failures` are those that are no rows, known in the end.

    What does not fit into memory lies below `folder`. Writing there raises OSError when the disk is full. `find` gives
    the format when there is something to read, and raises Trouble while it cannot: then records are kept as they are.
    """

    def __init__(self, find: Callable[[], Format], folder: Path) -> None:
        self.failures: list[tuple[Record, Failure]] = []
        self._find = find
        self._format: Format | None = None
        self._pending: list[Record] = []
        self._pending_bytes = 0
        self._read_at_bytes = _READ_AT_ONCE_BYTES
        self._rows: list[Any] = []
        self._place = folder / new_id()
        self._spilled: Any = None
        self._finished: bytes | Path | None = None

    def add(self, record: Record) -> None:
        self._pending.append(record)
        self._pending_bytes += len(record.data)
        if self._pending_bytes >= self._read_at_bytes:
            try:
                self._read(self._found())
            except Trouble:
                self._read_at_bytes *= 2

    def finish(self) -> bytes | Path:
        """The file, the same when asked again; no bytes where no record is a row. Raises Trouble."""
        if self._finished is None:
            found = self._found()
            self._read(found)
            self._finished = self._file(found)
        return self._finished

    def discard(self) -> None:
        if self._spilled is not None:
            self._spilled.close()
            self._spilled = None
        for path in (self._place, self._place.with_suffix(".rows")):
            with contextlib.suppress(OSError):
                path.unlink()

    def _found(self) -> Format:
        if self._format is None:
            self._format = self._find()
        return self._format

    def _read(self, found: Format) -> None:
        rows = rows_of(self._pending, found.schema, found.reading)
        self.failures += [(self._pending[failure.index], failure) for failure in rows.failures]
        self._pending, self._pending_bytes = [], 0
        if rows.batch.num_rows:
            self._rows.append(rows.batch)
        if sum(each.nbytes for each in self._rows) > _IN_MEMORY_BYTES:
            self._spill(found)

    def _spill(self, found: Format) -> None:
        if self._spilled is None:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            self._spilled = pa.ipc.new_stream(str(self._place.with_suffix(".rows")), nullable(found.schema))
        for rows in self._rows:
            self._spilled.write_batch(rows)
        self._rows = []

    def _file(self, found: Format) -> bytes | Path:
        if self._spilled is None:
            if not self._rows:
                return b""
            out = io.BytesIO()
            found.write(pa.Table.from_batches(self._rows, nullable(found.schema)), out)
            return out.getvalue()
        self._spill(found)
        self._spilled.close()
        with pa.memory_map(str(self._place.with_suffix(".rows"))) as source:
            found.write(pa.ipc.open_stream(source).read_all(), str(self._place))
        return self._place


def reading_of(deserializer: Mapping[str, Any]) -> Reading:
    """How a Deserializer reads. Raises ValueError for a timestamp format that is none."""
    if "HiveJsonSerDe" in deserializer:
        formats = (deserializer["HiveJsonSerDe"] or {}).get("TimestampFormats")
        return Reading(time=joda_reader(formats) if formats else nanoseconds)
    given = deserializer["OpenXJsonSerDe"] or {}
    return Reading(
        keys=dict(given.get("ColumnToJsonKeyMappings") or {}),
        folded=given.get("CaseInsensitive") is not False,
        dotless=bool(given.get("ConvertDotsInJsonKeysToUnderscores")),
    )


def _write_parquet(table: Any, out: Any, serde: Mapping[str, Any]) -> None:
    from pyarrow import parquet

    block = serde.get("BlockSizeBytes") or 256 * _MIB
    parquet.write_table(
        table,
        out,
        row_group_size=max(1, table.num_rows * block // max(table.nbytes, 1)),
        compression=_CODECS[serde.get("Compression") or "SNAPPY"],
        data_page_size=serde.get("PageSizeBytes") or _MIB,
        data_page_version="2.0" if serde.get("WriterVersion") == "V2" else "1.0",
        use_dictionary=bool(serde.get("EnableDictionaryCompression")),
        use_deprecated_int96_timestamps=True,  # as Hive's own writer, whose files all engines read
        store_schema=False,
    )


def _write_orc(table: Any, out: Any, serde: Mapping[str, Any]) -> None:
    from pyarrow import orc

    ids = _orc_ids(table.schema)
    probability = serde.get("BloomFilterFalsePositiveProbability")
    orc.write_table(
        table,
        out,
        file_version="0.11" if serde.get("FormatVersion") == "V0_11" else "0.12",
        stripe_size=serde.get("StripeSizeBytes") or 64 * _MIB,
        compression=_CODECS[serde.get("Compression") or "SNAPPY"],
        row_index_stride=serde.get("RowIndexStride") or 10_000,
        dictionary_key_size_threshold=serde.get("DictionaryKeyThreshold") or 0.0,
        bloom_filter_columns=[ids[name] for name in serde.get("BloomFilterColumns") or ()] or None,
        bloom_filter_fpp=0.05 if probability is None else probability,
    )


def _orc_ids(schema: Any) -> dict[str, int]:
    """ORC numbers all types of a file, the nested ones too, from 1 on."""
    ids, following = {}, 1
    for each in schema:
        ids[each.name] = following
        following += _types_in(each.type)
    return ids


def _types_in(type_: Any) -> int:
    if not pa.types.is_nested(type_):
        return 1
    if pa.types.is_map(type_):
        return 1 + _types_in(type_.key_type) + _types_in(type_.item_type)
    return 1 + sum(_types_in(type_.field(place).type) for place in range(type_.num_fields))
