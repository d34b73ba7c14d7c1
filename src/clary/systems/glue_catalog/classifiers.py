"""What classifiers of one's own may say."""

from collections.abc import Mapping
from typing import Any

from clary.systems.glue_catalog.lookup import invalid

KINDS = ("GrokClassifier", "XMLClassifier", "JsonClassifier", "CsvClassifier")


def checked(kind: str, given: Mapping[str, Any]) -> None:
    """Raise InvalidInputException for a classifier that could never know a file."""
    try:
        _CHECKS[kind](given)
    except ValueError as error:
        raise invalid(f"{kind} {given['Name']} is not valid: {error}") from None


def changed(kind: str, kept: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A classifier with these members changed. Raises InvalidInputException."""
    following = {**kept, **given}
    checked(kind, following)
    return following


def _check_grok(given: Mapping[str, Any]) -> None:
    from clary.lake.formats.grok import compile_grok

    compile_grok(given["GrokPattern"], given.get("CustomPatterns") or "")


def _check_xml(given: Mapping[str, Any]) -> None:
    if not given.get("RowTag"):
        raise ValueError("RowTag is missing: it names the element that each row is")


def _check_json(given: Mapping[str, Any]) -> None:
    from clary.lake.inference.json_text import parse_path

    parse_path(given["JsonPath"])


def _check_csv(given: Mapping[str, Any]) -> None:
    from clary.lake.inference.csv_text import CUSTOM_TYPES

    delimiter, quote = given.get("Delimiter"), given.get("QuoteSymbol")
    if delimiter is not None and delimiter == (quote or '"'):
        raise ValueError("Delimiter and QuoteSymbol must differ")
    for member, sign in (("Delimiter", delimiter), ("QuoteSymbol", quote)):
        if sign in ("\n", "\r"):
            raise ValueError(f"{member} cannot be the end of a line")
    header = [name.strip().lower() for name in given.get("Header") or ()]
    if "" in header or len(set(header)) < len(header):
        raise ValueError("Header must name each column once")
    types = given.get("CustomDatatypes") or ()
    unknown = [each for each in types if each not in CUSTOM_TYPES]
    if unknown:
        raise ValueError(f"{unknown[0]} is none of the CustomDatatypes: they are {', '.join(CUSTOM_TYPES)}")
    if types and not given.get("CustomDatatypeConfigured"):
        raise ValueError("CustomDatatypes are for CustomDatatypeConfigured: set it")
    if types and header and len(types) != len(header):
        raise ValueError(f"CustomDatatypes has {len(types)} types for the {len(header)} columns of Header")


_CHECKS = {
    "GrokClassifier": _check_grok,
    "XMLClassifier": _check_xml,
    "JsonClassifier": _check_json,
    "CsvClassifier": _check_csv,
}
