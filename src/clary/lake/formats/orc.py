"""ORC, read by Arrow stripe by stripe, only the columns that are used; files whose columns are alike go together.

Columns are found by their place, as Athena does by default, or by their name with `orc.column.index.access` false.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats.coercion import may_be_read_as
from clary.lake.formats.counted import CountedFile
from clary.lake.formats.lines import properties_of
from clary.lake.formats.parts import FILE_NUMBER, BytesRead, Part, null, of_files
from clary.lake.types import duckdb_type, quoted

_BY_POSITION = "orc.column.index.access"
_BATCH_ROWS = 16_384


class OrcRows:
    """Hands out rows of files anew each time it is asked: `names` are the files' columns, `shown` what to call them."""

    def __init__(
        self,
        part: Part,
        places: Sequence[int],
        schema: Any,
        names: Sequence[str],
        shown: Sequence[str],
        read: BytesRead,
    ) -> None:
        self._part = part
        self._places = places
        self._names = list(names)
        self._read = read
        fields = [pa.field(one, schema.field(name).type) for one, name in zip(shown, names, strict=True)]
        self._schema = pa.schema([*fields, pa.field(FILE_NUMBER, pa.int32())])

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pa.RecordBatchReader.from_batches(self._schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[Any]:
        for place in self._places:
            file = self._part.files[place]
            number = pa.scalar(self._part.numbers[place], pa.int32())
            try:
                with CountedFile(file.path, self._read) as opened:
                    for batch in _fragment(opened).to_batches(
                        columns=self._names, batch_size=_BATCH_ROWS, batch_readahead=1, fragment_readahead=1
                    ):
                        columns = [*batch.columns, pa.repeat(number, batch.num_rows)]
                        yield pa.record_batch(columns, schema=self._schema)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(self._read, file.uri, error) from None


def selects(connection: Any, part: Part, name: str, read: BytesRead) -> list[str]:
    """The rows of a part, as SELECTs over files whose columns are of the same types."""
    groups: dict[str, tuple[Any, list[int]]] = {}
    for place, file in enumerate(part.files):
        schema = _schema(file.path, file.uri, read)
        groups.setdefault(str(schema), (schema, []))[1].append(place)
    return [
        _select(connection, part, schema, places, f"{name}#{number}", read)
        for number, (schema, places) in enumerate(groups.values())
    ]


def _select(connection: Any, part: Part, schema: Any, places: Sequence[int], name: str, read: BytesRead) -> str:
    by_position = properties_of(part).get(_BY_POSITION, "true").lower() != "false"
    by_name = {each.lower(): each for each in reversed(schema.names)}
    found = {}
    for column in part.wanted:
        at = part.positions[column.name]
        if by_position and at < len(schema.names):
            found[column.name] = schema.names[at]
        elif not by_position and column.name in by_name:
            found[column.name] = by_name[column.name]
    connection.register(name, OrcRows(part, places, schema, list(found.values()), list(found), read))
    types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {quoted(name)}").fetchall()}
    items = []
    for column in part.scan.columns:
        if column.name not in found:
            items.append(f"{null(column.type)} AS {quoted(column.name)}")
            continue
        if not may_be_read_as(connection.sqltype(types[column.name]), column.type):
            where = part.files[places[0]].uri
            raise TaskFailed(
                "HIVE_BAD_DATA",
                f"Field {column.name}'s type {types[column.name]} in ORC file {where} is incompatible with type "
                f"{column.type} defined in table schema",
            )
        items.append(f"CAST({quoted(column.name)} AS {duckdb_type(column.type)}) AS {quoted(column.name)}")
    items += of_files(part.scan, quoted(FILE_NUMBER))
    return f"SELECT {', '.join(items)} FROM {quoted(name)}"


def _schema(path: str, uri: str, read: BytesRead) -> Any:
    try:
        # Its tail is read again, and counted, when the rows are.
        with CountedFile(path, BytesRead()) as opened:
            return _fragment(opened).physical_schema
    except (pa.ArrowException, OSError) as error:
        raise _damaged(read, uri, error) from None


def _fragment(opened: CountedFile) -> Any:
    return ds.OrcFileFormat().make_fragment(pa.PythonFile(opened, mode="r"))


def _damaged(read: BytesRead, uri: str, error: Exception) -> TaskFailed:
    return read.failed("HIVE_CANNOT_OPEN_SPLIT", f"Error opening Hive split {uri}: {str(error).splitlines()[0]}")
