"""The lines of texts, as a stream that DuckDB asks for them in: batches of lines and the numbers of their files."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clary.lake.engine.tasks import TaskFailed
from clary.lake.formats.compression import chunks
from clary.lake.formats.parts import FILE_NUMBER, BytesRead, Part

LINE = "#line"
_SCHEMA = pa.schema([(LINE, pa.string()), (FILE_NUMBER, pa.int32())])
_LONGEST = 256 << 20


class Lines:
    """Hands out a part's lines anew each time it is asked, so that a view may be read more than once.

    A line ends at LF, CR or CR LF, as Hadoop has it. `skip.header.line.count` and `skip.footer.line.count` of them are
    left out of each file. Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self, part: Part, read: BytesRead) -> None:
        skipped_of(part)
        self._part = part
        self._read = read

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        batches = pa.RecordBatchReader.from_batches(_SCHEMA, self._batches())
        return batches.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[Any]:
        for number, lines in self.batches():
            yield pa.record_batch([lines, pa.repeat(pa.scalar(number, pa.int32()), len(lines))], schema=_SCHEMA)

    def batches(self) -> Iterator[tuple[int, Any]]:
        """Lines and the numbers of their files."""
        return lines_of(self._part, self._read)


def lines_of(part: Part, read: BytesRead) -> Iterator[tuple[int, Any]]:
    """The number of a file and an array of some of its lines, for all files of a part."""
    header, footer = skipped_of(part)
    for number, file in zip(part.numbers, part.files, strict=True):
        try:
            for lines in _skipped(_arrays(chunks(file.path, file.uri, read)), header, footer):
                yield number, lines
        except ValueError as error:
            raise read.failed("HIVE_CURSOR_ERROR", f"Failed to read file {file.uri}: {error}") from None


def skipped_of(part: Part) -> tuple[int, int]:
    """How many lines of each file are left out at its begin and at its end. Raises TaskFailed for what is no number."""
    return _count(part, "skip.header.line.count"), _count(part, "skip.footer.line.count")


def _count(part: Part, name: str) -> int:
    text = properties_of(part).get(name, "")
    if text and not (text.isascii() and text.isdigit()):
        raise TaskFailed("HIVE_INVALID_METADATA", f"Invalid value for {name} property: {text}")
    return int(text or 0)


def properties_of(part: Part) -> Mapping[str, str]:
    """What is said of a part's files: the table's properties, and above them those of its serializer."""
    return {**part.scan.properties, **part.serde}


def _arrays(pieces: Iterator[bytes]) -> Iterator[Any]:
    """Lines, as many at a time as a piece of a file ends."""
    rest = b""
    for piece in pieces:
        data = rest + piece if rest else piece
        # A CR at the very end may be half of a CR LF.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        rest = data[end:]
        if len(rest) > _LONGEST:
            raise ValueError(f"a line is longer than {_LONGEST >> 20} MiB")
        if end:
            yield _split(data[:end])
    if rest:
        yield _split(rest)


def _split(data: bytes) -> Any:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    whole = pa.array([data[:-1] if data.endswith(b"\n") else data], pa.binary())
    lines = pc.split_pattern(whole, pattern=b"\n").values
    try:
        return lines.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([line.decode(errors="replace") for line in lines.to_pylist()], pa.string())


def _skipped(arrays: Iterator[Any], header: int, footer: int) -> Iterator[Any]:
    held: Any = None
    for array in arrays:
        dropped = min(header, len(array))
        header -= dropped
        lines = array[dropped:]
        if footer:
            all_ = lines if held is None else pa.concat_arrays([held, lines])
            end = max(len(all_) - footer, 0)
            held, lines = all_[end:], all_[:end]
        if len(lines):
            yield lines
