"""text/csv as SageMaker means it: no header, numbers only, an empty field is a missing value."""

from clary.runtime.formats.table import Floats, FormatError

MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]
MISSING_BYTES = frozenset(value.encode() for value in MISSING)


def decode_csv(data: bytes, name: str = "the request body") -> Floats:
    """A matrix of the lines in `data`. Raises FormatError naming `name`, the line and the column of what is wrong."""
    from pyarrow import ArrowInvalid, BufferReader, csv, float32, py_buffer

    from clary.runtime.formats.arrow import to_matrix

    data = data.removeprefix(b"\xef\xbb\xbf")
    first = _first_line(data, name)
    delimiter = find_delimiter(first)
    names = [str(index) for index in range(first.count(delimiter) + 1)]
    try:
        table = csv.read_csv(
            BufferReader(py_buffer(data)),
            read_options=csv.ReadOptions(
                column_names=names, use_threads=len(data) > 1 << 20, block_size=max(1 << 22, len(first) * 4)
            ),
            parse_options=csv.ParseOptions(delimiter=delimiter.decode()),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, float32()), null_values=MISSING),
        )
    except ArrowInvalid as error:
        raise _located(data, delimiter, len(names), name) or FormatError(
            f"{name} is not CSV of numbers: {error}"
        ) from None
    return to_matrix(table)


def find_delimiter(line: bytes) -> bytes:
    """The first of comma, semicolon, tab and bar that the line holds; a comma for a single column."""
    for delimiter in (b",", b";", b"\t", b"|"):
        if delimiter in line:
            return delimiter
    return b","


def _first_line(data: bytes, name: str) -> bytes:
    for line in data[: 1 << 20].splitlines():
        if line.strip():
            return line
    raise FormatError(f"{name} is empty: expected lines of comma-separated numbers")


def _located(data: bytes, delimiter: bytes, columns: int, name: str) -> FormatError | None:
    """Look through the text again for the first line that is wrong, to say where and what."""
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        fields = line.split(delimiter)
        for column, field in enumerate(fields, start=1):
            value = field.strip().strip(b'"').strip()
            if value in MISSING_BYTES or _is_number(value):
                continue
            shown = value[:40].decode(errors="replace")
            if number == 1:
                return FormatError(
                    f"{name}, line 1, column {column}: {shown!r} is not a number. "
                    "CSV data must have no header line; if this is data, encode it as numbers"
                )
            return FormatError(f"{name}, line {number}, column {column}: {shown!r} is not a number")
        if len(fields) != columns:
            return FormatError(f"{name}, line {number}: has {len(fields)} columns where the first line has {columns}")
    return None


def _is_number(value: bytes) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return b"_" not in value
