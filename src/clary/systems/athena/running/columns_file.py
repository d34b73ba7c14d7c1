"""The file beside a result that says what its columns are: `<result>.metadata`, in the wire format of protobuf.

AWS documents it nowhere. Its fields are those that open drivers have found in it (burtcorp's athena-jdbc, whose parser
reads these numbers): the id of the query is 1; what was updated is 2, and how much 3; each column is a message 4.
"""

from collections.abc import Iterable, Sequence

from clary.systems.athena.contract import OutputColumn
from clary.systems.athena.result_types import column_info

_QUERY_ID, _UPDATE_TYPE, _UPDATE_COUNT, _COLUMN = 1, 2, 3, 4
_CATALOG, _NAME, _LABEL, _TYPE, _PRECISION, _SCALE, _NULLABLE, _CASE_SENSITIVE = 1, 4, 5, 6, 7, 8, 9, 10
_UNKNOWN = 3  # whether a column may be NULL


def columns_file(execution_id: str, columns: Sequence[OutputColumn], update: tuple[str, int] | None = None) -> bytes:
    """The content of the file; `update` is what a statement that writes says of itself, such as INSERT and its rows."""
    parts = [_text(_QUERY_ID, execution_id)]
    if update is not None:
        parts += [_text(_UPDATE_TYPE, update[0]), _number(_UPDATE_COUNT, update[1])]
    parts += [_bytes(_COLUMN, b"".join(_column(column))) for column in columns]
    return b"".join(parts)


def _column(column: OutputColumn) -> Iterable[bytes]:
    info = column_info(column.name, column.type)
    yield _text(_CATALOG, info["CatalogName"])
    yield _text(_NAME, info["Name"])
    yield _text(_LABEL, info["Label"])
    yield _text(_TYPE, info["Type"])
    yield _number(_PRECISION, info["Precision"])
    yield _number(_SCALE, info["Scale"])
    yield _number(_NULLABLE, _UNKNOWN)
    yield _number(_CASE_SENSITIVE, int(info["CaseSensitive"]))


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the highest bit set."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
