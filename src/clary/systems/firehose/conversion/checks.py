"""What a DataFormatConversionConfiguration must be, checked when it is given, and what follows from one."""

import importlib.util
from collections.abc import Mapping
from typing import Any

from clary.systems.firehose.conversion.timestamps import joda_reader
from clary.systems.firehose.refusals import invalid

_REQUIRED = ("RoleARN", "DatabaseName", "TableName")


def check_conversion(configuration: Mapping[str, Any]) -> None:
    """Raise InvalidArgumentException unless records can be converted so."""
    if importlib.util.find_spec("pyarrow") is None:
        raise invalid("Data Format Conversion needs pyarrow, which is not installed: pip install 'clary[data]'.")
    for part in ("SchemaConfiguration", "InputFormatConfiguration", "OutputFormatConfiguration"):
        if configuration.get(part) is None:
            raise invalid(f"{part} cannot be null when Data Format Conversion is enabled.")
    _check_schema(configuration["SchemaConfiguration"])
    deserializer = _one_of(
        configuration["InputFormatConfiguration"], "Deserializer", ("OpenXJsonSerDe", "HiveJsonSerDe")
    )
    try:
        joda_reader(deserializer.get("TimestampFormats") or ())
    except ValueError as error:
        raise invalid(f"TimestampFormats of HiveJsonSerDe: {error}") from None
    serializer = _one_of(configuration["OutputFormatConfiguration"], "Serializer", ("ParquetSerDe", "OrcSerDe"))
    if serializer.get("EnablePadding"):
        raise invalid(
            "EnablePadding of OrcSerDe is not supported by Clary: it aligns stripes with the blocks of HDFS, and "
            "objects in S3 have none. Leave it out."
        )


def is_orc(configuration: Mapping[str, Any]) -> bool:
    return bool(configuration["OutputFormatConfiguration"]["Serializer"].get("OrcSerDe") is not None)


def file_extension(configuration: Mapping[str, Any]) -> str:
    """What the names of converted objects end with, unless the delivery stream says otherwise."""
    return ".orc" if is_orc(configuration) else ".parquet"


def _check_schema(schema: Mapping[str, Any]) -> None:
    for member in _REQUIRED:
        if not schema.get(member):
            raise invalid(f"SchemaConfiguration.{member} cannot be null when Data Format Conversion is enabled.")
    version = schema.get("VersionId") or "LATEST"
    if version != "LATEST" and not (version.isascii() and version.isdigit()):
        raise invalid(f"SchemaConfiguration.VersionId must be LATEST or the number of a version, and is {version}.")


def _one_of(part: Mapping[str, Any], name: str, kinds: tuple[str, str]) -> Mapping[str, Any]:
    """The only one of two members that is given."""
    holder = part.get(name) or {}
    given = [kind for kind in kinds if holder.get(kind) is not None]
    if len(given) != 1:
        raise invalid(f"{name} must have either {kinds[0]} or {kinds[1]}, and has {' and '.join(given) or 'neither'}.")
    found: Mapping[str, Any] = holder[given[0]]
    return found
