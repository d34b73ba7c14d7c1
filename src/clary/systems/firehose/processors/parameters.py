"""A ProcessingConfiguration: which processors it has, with their parameters, and what may be said to each."""

import base64
import binascii
import importlib.util
import re
from collections.abc import Mapping
from typing import Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.systems.firehose.refusals import invalid

Processors = Mapping[str, Mapping[str, str]]

DECOMPRESSION, MESSAGES = "Decompression", "CloudWatchLogProcessing"
DEAGGREGATION, FUNCTION = "RecordDeAggregation", "Lambda"
EXTRACTION, DELIMITER = "MetadataExtraction", "AppendDelimiterToRecord"

_PARAMETERS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    DECOMPRESSION: (frozenset({"CompressionFormat"}), frozenset()),
    MESSAGES: (frozenset({"DataMessageExtraction"}), frozenset()),
    DEAGGREGATION: (frozenset({"SubRecordType"}), frozenset({"Delimiter"})),
    FUNCTION: (
        frozenset({"LambdaArn"}),
        frozenset({"NumberOfRetries", "RoleArn", "BufferSizeInMBs", "BufferIntervalInSeconds"}),
    ),
    EXTRACTION: (frozenset({"MetadataExtractionQuery", "JsonParsingEngine"}), frozenset()),
    DELIMITER: (frozenset(), frozenset({"Delimiter"})),
}
"""What each processor must be told, and what it may be."""

_MOST_RETRIES = 300
_MOST_INTERVAL_SECONDS = 900
_LEAST_MIB, _MOST_MIB = 0.2, 3.0
_OBJECT_KEY = re.compile(r"""["']?([A-Za-z0-9_\-.]+)["']?\s*(?::|,|$)""")


def processors_of(configuration: Mapping[str, Any]) -> Processors:
    """The processors that are on, by type, each with its parameters."""
    processing = configuration.get("ProcessingConfiguration") or {}
    if not processing.get("Enabled"):
        return {}
    return {
        each["Type"]: {one["ParameterName"]: one["ParameterValue"] for one in each.get("Parameters", ())}
        for each in processing.get("Processors", ())
    }


def check_processing(configuration: Mapping[str, Any]) -> Processors:
    """The processors that are on. Raises InvalidArgumentException for what one cannot be told."""
    processing = configuration.get("ProcessingConfiguration") or {}
    types = [each["Type"] for each in processing.get("Processors", ())]
    repeated = {each for each in types if types.count(each) > 1}
    if repeated:
        raise invalid(f"ProcessingConfiguration has more than one processor of type {sorted(repeated)[0]}.")
    if processing.get("Enabled") and not types:
        raise invalid("Processors cannot be null or empty when ProcessingConfiguration is enabled.")
    processors = processors_of(configuration)
    for kind, parameters in processors.items():
        needed, allowed = _PARAMETERS[kind]
        missing, unknown = needed - parameters.keys(), parameters.keys() - needed - allowed
        if missing:
            raise invalid(f"Processor {kind} must have the parameter {sorted(missing)[0]}.")
        if unknown:
            raise invalid(f"Processor {kind} has no parameter {sorted(unknown)[0]}.")
        _CHECKS[kind](parameters)
    if MESSAGES in processors and DECOMPRESSION not in processors:
        raise invalid(f"Processor {MESSAGES} requires the processor {DECOMPRESSION}: messages arrive compressed.")
    return processors


def _check_decompression(parameters: Mapping[str, str]) -> None:
    _one_of(parameters, "CompressionFormat", ("GZIP",))


def _check_messages(parameters: Mapping[str, str]) -> None:
    _one_of(parameters, "DataMessageExtraction", ("true", "false"))


def _check_deaggregation(parameters: Mapping[str, str]) -> None:
    _one_of(parameters, "SubRecordType", ("JSON", "DELIMITED"))
    if parameters["SubRecordType"] == "JSON":
        if "Delimiter" in parameters:
            raise invalid("Delimiter must be left out when SubRecordType is JSON.")
        return
    if "Delimiter" not in parameters:
        raise invalid("Delimiter cannot be null or empty when SubRecordType is DELIMITED: give it in base64.")
    delimiter_of(parameters["Delimiter"])


def delimiter_of(text: str) -> bytes:
    """The delimiter of sub-records, which is given in base64. Raises InvalidArgumentException."""
    try:
        found = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if not found:
        raise invalid(f"Delimiter {text!r} is not valid: give the delimiter in base64, Cg== for a line's end.")
    return found


def appended(processors: Processors) -> bytes:
    """What AppendDelimiterToRecord appends: a line's end unless told otherwise, \\n also as two characters.

    Nothing without such a processor.
    """
    if DELIMITER not in processors:
        return b""
    return (
        (processors[DELIMITER].get("Delimiter") or "\n")
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace("\\r", "\r")
        .encode()
    )


def _check_function(parameters: Mapping[str, str]) -> None:
    try:
        arn = parse_arn(parameters["LambdaArn"])
    except AwsError as error:
        raise invalid(error.message) from None
    if arn.service != "lambda" or arn.resource_type != "function":
        raise invalid(f"LambdaArn {parameters['LambdaArn']!r} is not the ARN of a function.")
    _within(parameters, "NumberOfRetries", 0, _MOST_RETRIES)
    _within(parameters, "BufferIntervalInSeconds", 0, _MOST_INTERVAL_SECONDS)
    _within(parameters, "BufferSizeInMBs", _LEAST_MIB, _MOST_MIB)


def _check_extraction(parameters: Mapping[str, str]) -> None:
    _one_of(parameters, "JsonParsingEngine", ("JQ-1.6",))
    query = parameters["MetadataExtractionQuery"]
    if importlib.util.find_spec("jq") is None:
        raise invalid("MetadataExtraction needs jq, which is not installed: pip install 'clary[data]'.")
    import jq

    try:
        jq.compile(query)
    except ValueError as error:
        raise invalid(f"MetadataExtractionQuery {query!r} is not valid: {error}") from None
    keys_of_query(query)


def _check_delimiter(parameters: Mapping[str, str]) -> None:
    appended({DELIMITER: parameters})


_CHECKS = {
    DECOMPRESSION: _check_decompression,
    MESSAGES: _check_messages,
    DEAGGREGATION: _check_deaggregation,
    FUNCTION: _check_function,
    EXTRACTION: _check_extraction,
    DELIMITER: _check_delimiter,
}


def extracted_keys(processors: Processors) -> set[str]:
    """The keys that the MetadataExtraction processor gives; none without one."""
    extraction = processors.get(EXTRACTION)
    return keys_of_query(extraction["MetadataExtractionQuery"]) if extraction else set()


def keys_of_query(query: str) -> set[str]:
    """The keys of the object that a JQ query makes. Raises InvalidArgumentException when it makes none."""
    text = query.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise invalid(f"MetadataExtractionQuery {query!r} must make an object, as {{customer_id:.customer_id}} does.")
    keys = {match[1] for entry in _entries(text[1:-1]) if (match := _OBJECT_KEY.match(entry.strip().lstrip(".$@")))}
    if not keys:
        raise invalid(f"MetadataExtractionQuery {query!r} has no keys.")
    return keys


def _entries(text: str) -> list[str]:
    """The entries of an object, parted at the commas that are inside nothing else."""
    entries, start, depth, quoted = [], 0, 0, False
    for position, letter in enumerate(text):
        if letter == '"' and text[position - 1 : position] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            entries.append(text[start:position])
            start = position + 1
    return [*entries, text[start:]]


def _one_of(parameters: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> None:
    if parameters[name] not in allowed:
        raise invalid(f"{name} {parameters[name]!r} is not valid: it must be {' or '.join(allowed)}.")


def _within(parameters: Mapping[str, str], name: str, low: float, high: float) -> None:
    text = parameters.get(name)
    if text is None:
        return
    try:
        number = float(text) if isinstance(low, float) else int(text)
    except ValueError:
        number = -1
    if not low <= number <= high:
        raise invalid(f"{name} {text!r} is not valid: it must be a number from {low} to {high}.")
