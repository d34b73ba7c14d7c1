"""Configurations of destinations of any kind: defaults, checks, updates, descriptions, and what to do by them."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from clary.kernel.wire import Shape, service
from clary.systems.firehose.compression import EXTENSIONS, check_compression
from clary.systems.firehose.conversion.checks import check_conversion, file_extension
from clary.systems.firehose.destinations.kinds import S3, Kind, module_of
from clary.systems.firehose.prefixes import FUNCTION, QUERY, Names, zone_of
from clary.systems.firehose.processors.parameters import (
    DELIMITER,
    EXTRACTION,
    check_processing,
    extracted_keys,
)
from clary.systems.firehose.refusals import invalid

Configuration = Mapping[str, Any]

MIB = 1024 * 1024
HIDDEN = "***"
_LOG_OFF = {"Enabled": False}
_OBJECT_DEFAULTS: Configuration = {
    "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
    "CompressionFormat": "UNCOMPRESSED",
    "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
    "CloudWatchLoggingOptions": _LOG_OFF,
}
_LARGE_BUFFER_MIB = 64
_DEFAULT_LARGE_BUFFER_MIB = 128
_RENAMED = {
    "S3DestinationDescription": "S3Configuration",
    "S3BackupDescription": "S3BackupConfiguration",
    "VpcConfigurationDescription": "VpcConfiguration",
}
_UPDATED = {"S3Update": "S3Configuration", "S3BackupUpdate": "S3BackupConfiguration"}
_MERGED = frozenset(
    (*_UPDATED.values(), "BufferingHints", "RetryOptions", "EndpointConfiguration", "RequestConfiguration")
)
_EVERYTHING = frozenset(("Enabled", "AllData", "AllDocuments", "AllEvents"))


class Hints(NamedTuple):
    """When a buffer is delivered: at so many bytes or after so many seconds, whichever comes first."""

    size_bytes: int
    seconds: float


def completed(kind: Kind, given: Configuration) -> dict[str, Any]:
    """A configuration with AWS's defaults filled in."""
    found = deepcopy({**kind.defaults, "CloudWatchLoggingOptions": _LOG_OFF, **given})
    for name, default in kind.defaults.items():
        if name in _MERGED:
            found[name] = {**default, **found[name]}
    if kind is S3:
        size = _DEFAULT_LARGE_BUFFER_MIB if needs_large_buffer(found) else 5
        return _with_object_defaults(found, size) | _backups(found)
    found["S3Configuration"] = _with_object_defaults(found["S3Configuration"], 5)
    return found | _backups(found)


def _backups(found: Configuration) -> dict[str, Any]:
    backup = found.get("S3BackupConfiguration")
    return {} if backup is None else {"S3BackupConfiguration": _with_object_defaults(backup, 5)}


def _with_object_defaults(part: Configuration, size_mib: int) -> dict[str, Any]:
    hints = {"SizeInMBs": size_mib, "IntervalInSeconds": 300, **part.get("BufferingHints", {})}
    return {**deepcopy(dict(_OBJECT_DEFAULTS)), **part, "BufferingHints": hints}


def needs_large_buffer(configuration: Configuration) -> bool:
    """Whether AWS wants a buffer of 64 MiB at least."""
    return is_partitioned(configuration) or is_converted(configuration)


def is_partitioned(configuration: Configuration) -> bool:
    return bool(configuration.get("DynamicPartitioningConfiguration", {}).get("Enabled"))


def is_converted(configuration: Configuration) -> bool:
    """Whether records become Parquet or ORC. On unless Enabled says otherwise, as on AWS."""
    conversion = configuration.get("DataFormatConversionConfiguration")
    return bool(conversion) and conversion.get("Enabled", True) is not False  # type: ignore[union-attr]


def conversion_part(configuration: Configuration) -> Configuration:
    """How records are converted, where they are."""
    part: Configuration = configuration["DataFormatConversionConfiguration"]
    return part


def object_part(configuration: Configuration) -> Configuration:
    """The S3 configuration that errors are written by, and objects where S3 is the destination."""
    part: Configuration = configuration.get("S3Configuration", configuration)
    return part


def backup_part(configuration: Configuration) -> Configuration | None:
    """The S3 configuration that source records are backed up by; None when they are not."""
    if configuration.get("S3BackupMode") not in _EVERYTHING:
        return None
    part: Configuration = configuration.get("S3BackupConfiguration") or configuration["S3Configuration"]
    return part


def hints(configuration: Configuration) -> Hints:
    """The buffering of a destination, or of a backup. Redshift's is that of its S3 configuration."""
    found = configuration.get("BufferingHints") or object_part(configuration)["BufferingHints"]
    return Hints(found["SizeInMBs"] * MIB, float(found["IntervalInSeconds"]))


def retry_seconds(configuration: Configuration) -> float:
    return float(configuration.get("RetryOptions", {}).get("DurationInSeconds", 0))


def names_of(part: Configuration, *, zone: str = "", partitioned: bool = False) -> Names:
    return Names(part.get("Prefix", ""), part.get("ErrorOutputPrefix", ""), zone, partitioned=partitioned)


def extension_of(part: Configuration) -> str:
    """What the names of delivered objects end with."""
    if part.get("FileExtension"):
        return str(part["FileExtension"])
    return file_extension(conversion_part(part)) if is_converted(part) else EXTENSIONS[part["CompressionFormat"]]


def check(kind: Kind, configuration: Configuration) -> None:
    """Raise InvalidArgumentException for what cannot be honoured. `configuration` is completed."""
    processors = check_processing(configuration)
    if kind is S3:
        _check_s3(configuration, processors)
    else:
        _check_object_part(configuration["S3Configuration"])
        _check_meaning(kind, processors)
    backup = configuration.get("S3BackupConfiguration")
    if backup is not None:
        _check_object_part(backup)
    elif kind is S3 and configuration["S3BackupMode"] == "Enabled":
        raise invalid("S3BackupConfiguration cannot be null when S3BackupMode is Enabled.")
    _check_logging(configuration)
    if kind.module:
        module_of(kind).check(configuration)


def _check_meaning(kind: Kind, processors: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse processors that would change nothing of what a destination is given."""
    extracted = extracted_keys(processors)
    if extracted and not kind.routing_keys:
        raise invalid(f"The {EXTRACTION} processor requires Dynamic Partitioning, which only S3 destinations have.")
    if not extracted <= kind.routing_keys:
        raise invalid(
            f"The keys of MetadataExtractionQuery say where a record goes, {', '.join(sorted(kind.routing_keys))}, and "
            f"are {', '.join(sorted(extracted))}."
        )
    if DELIMITER in processors and not kind.joins_records:
        raise invalid(
            f"The {DELIMITER} processor is for destinations in files, not for {kind.name}: each record is sent alone."
        )


def _check_s3(configuration: Configuration, processors: Mapping[str, Mapping[str, str]]) -> None:
    partitioned = is_partitioned(configuration)
    names = names_of(configuration, zone=configuration.get("CustomTimeZone", ""), partitioned=partitioned)
    _check_object_part(configuration, names)
    if needs_large_buffer(configuration) and configuration["BufferingHints"]["SizeInMBs"] < _LARGE_BUFFER_MIB:
        what = "Dynamic Partitioning" if partitioned else "Data Format Conversion"
        raise invalid(f"BufferingHints.SizeInMBs must be at least {_LARGE_BUFFER_MIB} when {what} is enabled.")
    if is_converted(configuration):
        if configuration["CompressionFormat"] != "UNCOMPRESSED":
            raise invalid("CompressionFormat must be UNCOMPRESSED when Data Format Conversion is enabled.")
        check_conversion(conversion_part(configuration))
    if not partitioned:
        if "MetadataExtraction" in processors:
            raise invalid("The MetadataExtraction processor requires Dynamic Partitioning to be enabled.")
        return
    asked = names.prefix.keys(QUERY)
    extracted = extracted_keys(processors)
    if asked != extracted:
        raise invalid(
            f"Every key of MetadataExtractionQuery must be used in Prefix as !{{{QUERY}:<key>}}, and the other way "
            f"round: the query has {sorted(extracted)}, the prefix {sorted(asked)}."
        )
    if names.prefix.keys(FUNCTION) and "Lambda" not in processors:
        raise invalid(f"Prefix names keys of {FUNCTION}, but there is no Lambda processor.")


def _check_object_part(part: Configuration, names: Names | None = None) -> None:
    """Check what every S3 configuration has."""
    if names is None:
        names_of(part)
        zone_of(part.get("CustomTimeZone", ""))
    check_compression(part["CompressionFormat"])
    _check_logging(part)


def _check_logging(part: Configuration) -> None:
    options = part.get("CloudWatchLoggingOptions", _LOG_OFF)
    if options.get("Enabled") and not (options.get("LogGroupName") and options.get("LogStreamName")):
        raise invalid("LogGroupName and LogStreamName cannot be null or empty when CloudWatch logging is enabled.")


def updated(kind: Kind, stored: Configuration, update: Configuration) -> dict[str, Any]:
    """A stored configuration with what an update says; what it does not mention stays."""
    found = dict(stored)
    for member, value in update.items():
        name = _UPDATED.get(member, member)
        found[name] = {**found.get(name, {}), **value} if name in _MERGED else value
    if is_partitioned(stored) != is_partitioned(found):
        raise invalid(
            "Dynamic Partitioning cannot be turned on or off for a delivery stream that is there: create another one."
        )
    return completed(kind, found)


def descriptions(kind: Kind, configuration: Configuration) -> dict[str, Any]:
    """The members of a DestinationDescription. Secrets have no place in it, by the model's own shapes."""
    shape = service("firehose").shape("DestinationDescription")
    members = [kind.description, *(["S3DestinationDescription"] if kind is S3 else [])]
    return {member: _shown(shape.members[member].shape, configuration) for member in members}


def _shown(shape: Shape, value: Configuration) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        held = value.get(_RENAMED.get(name, name))
        if held is not None:
            is_structure = member.shape.type == "structure"
            found[name] = _shown(member.shape, held) if is_structure else held
    if "ClusterEndpoint" in found:
        found["ClusterEndpoint"] = without_password(str(found["ClusterEndpoint"]))
    return found


def without_password(url: str) -> str:
    """An URL without the user and the password that it may begin with."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}://{HIDDEN}@{rest.rpartition('@')[2]}" if separator and "@" in rest else url


def roles(value: Any) -> Iterator[str]:
    """Every role that a configuration names, wherever."""
    if isinstance(value, Mapping):
        if value.get("ParameterName") == "RoleArn":
            yield value["ParameterValue"]
        for name, held in value.items():
            if name == "RoleARN":
                yield held
            else:
                yield from roles(held)
    elif isinstance(value, list):
        for held in value:
            yield from roles(held)
