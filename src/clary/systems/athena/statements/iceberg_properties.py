"""Athena's properties of Iceberg tables, and what Iceberg itself calls them.

Source: "Iceberg table properties" and "CREATE TABLE AS" of the user guide.
"""

from collections.abc import Callable, Mapping
from typing import Any

from clary.systems.athena.contract import StatementFailed

FORMAT, COMPRESSION = "format", "write_compression"

_CODECS = {"NONE": "uncompressed", "UNCOMPRESSED": "uncompressed", "SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd",
           "LZ4": "lz4"}  # fmt: skip
# Properties that both have, by other names.
_ICEBERG = {
    FORMAT: "write.format.default",
    COMPRESSION: "write.parquet.compression-codec",
    "compression_level": "write.parquet.compression-level",
    "write_target_data_file_size_bytes": "write.target-file-size-bytes",
}
_ATHENA = {name: ours for ours, name in _ICEBERG.items()}
_COUNTS = (
    "write_target_data_file_size_bytes", "optimize_rewrite_data_file_threshold",
    "optimize_rewrite_delete_file_threshold", "optimize_rewrite_min_data_file_size_bytes",
    "optimize_rewrite_max_data_file_size_bytes", "vacuum_max_snapshot_age_seconds", "vacuum_min_snapshots_to_keep",
    "vacuum_max_metadata_files_to_keep",
)  # fmt: skip
_IGNORED = ("table_type", "is_external", "location", "partitioning")
_SHOWN = (FORMAT, COMPRESSION, "compression_level", *_COUNTS)


def iceberg_properties(given: Mapping[str, Any]) -> dict[str, str]:
    """Properties of TBLPROPERTIES or WITH as the table keeps them. Raises StatementFailed for one that is not known."""
    found = {}
    for name, value in given.items():
        key = name.lower()
        if key in _IGNORED:
            continue
        if key not in _CHECKS:
            raise StatementFailed("INVALID_TABLE_PROPERTY", f"Unsupported table property key: {name}")
        found[_ICEBERG.get(key, key)] = _CHECKS[key](name, str(value))
    return found


def created_properties(given: Mapping[str, Any]) -> dict[str, str]:
    """Those of a new table, with what Athena sets by itself."""
    defaults = {_ICEBERG[FORMAT]: "parquet", _ICEBERG[COMPRESSION]: "zstd"}
    return defaults | iceberg_properties(given)


def athena_properties(kept: Mapping[str, str]) -> dict[str, str]:
    """The properties that a table keeps, as statements of Athena write them; less those that it cannot write."""
    found = {_ATHENA.get(name, name): value for name, value in kept.items()}
    return {name: found[name] for name in _SHOWN if name in found}


def kept_name(name: str) -> str:
    """What a table keeps a property under."""
    return _ICEBERG.get(name.lower(), name)


def _format(name: str, value: str) -> str:
    if value.lower() in ("orc", "avro"):
        raise StatementFailed("NOT_SUPPORTED", f"{name} {value}: Clary writes Iceberg tables in parquet")
    if value.lower() != "parquet":
        raise StatementFailed("INVALID_TABLE_PROPERTY", f"{name} is {value}, and must be parquet")
    return "parquet"


def _codec(name: str, value: str) -> str:
    found = _CODECS.get(value.upper())
    if found is None:
        raise StatementFailed(
            "INVALID_TABLE_PROPERTY", f"{name} is {value}, and must be one of {', '.join(sorted(_CODECS))}"
        )
    return found


def _level(name: str, value: str) -> str:
    if not value.isdigit() or not 1 <= int(value) <= 22:
        raise StatementFailed("INVALID_TABLE_PROPERTY", f"{name} is {value}, and must be a number from 1 to 22")
    return value


def _count(name: str, value: str) -> str:
    if not value.isdigit() or int(value) < 1:
        raise StatementFailed("INVALID_TABLE_PROPERTY", f"{name} is {value}, and must be a number above 0")
    return value


_CHECKS: Mapping[str, Callable[[str, str], str]] = {
    FORMAT: _format, COMPRESSION: _codec, "compression_level": _level, **dict.fromkeys(_COUNTS, _count),
}  # fmt: skip
