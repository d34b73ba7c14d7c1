"""The buckets that Hive puts rows into: its first way of hashing, and the second (`bucketing_version` 2, Murmur3)."""

import struct
from collections.abc import Callable, Sequence
from functools import partial
from math import isnan
from typing import Any

import pyarrow as pa

from clary.lake.engine.tasks import TaskFailed
from clary.lake.tables import Column
from clary.lake.types import Type, duckdb_type, quoted

_MASK = 0xFFFFFFFF
_MOST = 0x7FFFFFFF
_WHOLE = frozenset({"tinyint", "smallint", "int"})
_TEXTS = frozenset({"string", "varchar", "char"})
_SEED = 104_729
_NAN = float("nan")
_C1, _C2 = 0xCC9E2D51, 0x1B873593


def bucket_sql(connection: Any, columns: Sequence[Column], buckets: int, version: int = 1) -> str:
    """The SQL of a row's bucket, counted from 0, for which functions are made in the connection.

    Raises TaskFailed for a column of a type that has no hash.
    """
    hashes = [_hash_sql(connection, column, version) for column in columns]
    total = hashes[0] if hashes else "0"
    for each in hashes[1:]:
        total = f"((({total}) * 31 + ({each})) & {_MASK})"
    return f"CAST((({total}) & {_MOST}) % {buckets} AS INTEGER)"


def hash_of(value: Any, of: Type, version: int = 1) -> int:
    """The hash of a value as Arrow gives it to Python, as 32 bits without a sign."""
    return 0 if value is None else _hasher(of, version)(value)


def _hash_sql(connection: Any, column: Column, version: int) -> str:
    hasher = _hasher(column.type, version)
    name = f"hive_hash_{version}_{column.type.name}"
    exists = connection.execute("SELECT count(*) FROM duckdb_functions() WHERE function_name = $1", [name]).fetchall()
    if not exists[0][0]:

        def hashed(values: Any) -> Any:
            return pa.array([0 if value is None else hasher(value) for value in values.to_pylist()], pa.int64())

        kind = connection.sqltype(duckdb_type(column.type))
        connection.create_function(
            name, hashed, [kind], connection.sqltype("BIGINT"), type="arrow", null_handling="special"
        )
    return f"{name}({quoted(column.name)})"


def _hasher(of: Type, version: int) -> Callable[[Any], int]:
    if version not in (1, 2):
        raise TaskFailed("INVALID_TABLE_PROPERTY", f"bucketing_version is 1 or 2, and is {version}")
    made = (_FIRST if version == 1 else _SECOND).get(of.name)
    if made is None:
        raise TaskFailed("NOT_SUPPORTED", f"Bucketing is not supported for columns of the type {of}")
    return made


def _text_first(value: str, begin: int = 0) -> int:
    made = begin
    for byte in value.encode():
        made = (made * 31 + (byte - 256 if byte > 127 else byte)) & _MASK
    return made


def _long_first(value: int) -> int:
    value &= 0xFFFFFFFFFFFFFFFF
    return (value ^ (value >> 32)) & _MASK


def _double_bits(value: float) -> int:
    return int(struct.unpack(">q", struct.pack(">d", _NAN if isnan(value) else value))[0])


def _float_bits(value: float) -> int:
    return int(struct.unpack(">i", struct.pack(">f", _NAN if isnan(value) else value))[0])


def _days(value: Any) -> int:
    return int(value.toordinal()) - 719_163


def murmur3(data: bytes, seed: int = _SEED) -> int:
    """Murmur3 of 32 bits, as Hive's Murmur3.hash32 has it."""
    made, whole = seed, len(data) // 4 * 4
    for at in range(0, whole, 4):
        block = int.from_bytes(data[at : at + 4], "little")
        made ^= _mixed(block)
        made = ((made << 13 | made >> 19) * 5 + 0xE6546B64) & _MASK
    if len(data) > whole:
        # Java's bytes have signs, which Hive's hash of the last few of them takes along.
        tail = 0
        for place, byte in enumerate(data[whole:]):
            tail ^= ((byte - 256 if byte > 127 else byte) << 8 * place) & _MASK
        made ^= _mixed(tail)
    made ^= len(data)
    made = ((made ^ made >> 16) * 0x85EBCA6B) & _MASK
    made = ((made ^ made >> 13) * 0xC2B2AE35) & _MASK
    return made ^ made >> 16


def _mixed(block: int) -> int:
    block = (block * _C1) & _MASK
    block = (block << 15 | block >> 17) & _MASK
    return (block * _C2) & _MASK


_FIRST: dict[str, Callable[[Any], int]] = {
    "boolean": lambda value: int(value),
    **dict.fromkeys(_WHOLE, lambda value: value & _MASK),
    "bigint": _long_first,
    "float": lambda value: _float_bits(value) & _MASK,
    "double": lambda value: _long_first(_double_bits(value)),
    "string": _text_first,
    **dict.fromkeys(("varchar", "char"), partial(_text_first, begin=1)),
    "date": lambda value: _days(value) & _MASK,
}
_SECOND: dict[str, Callable[[Any], int]] = {
    "boolean": lambda value: int(value),
    "tinyint": lambda value: value & _MASK,
    "smallint": lambda value: murmur3(struct.pack(">h", value)),
    "int": lambda value: murmur3(struct.pack(">i", value)),
    "bigint": lambda value: murmur3(struct.pack(">q", value)),
    # Hive takes the bits of a fraction for a number, makes that a fraction, and hashes the bits of it.
    "float": lambda value: murmur3(struct.pack(">f", _float_bits(value))),
    "double": lambda value: murmur3(struct.pack(">d", _double_bits(value))),
    **dict.fromkeys(_TEXTS, lambda value: murmur3(value.encode())),
    "date": lambda value: murmur3(struct.pack(">i", _days(value))),
}
