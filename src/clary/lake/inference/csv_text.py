"""Files of separated values: which character separates them, whether the first line names them, and their types.

Glue tries a comma, a pipe, a tab, a semicolon and Ctrl-A. It takes a first line for a header where all of it is text
and something below is not, unless a classifier says more. Source: "Built-in classifiers" of the AWS Glue developer
guide.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clary.lake.inference.found import Found
from clary.lake.inference.merging import NOTHING, STRING
from clary.lake.inference.scalars import type_of_text, type_of_texts
from clary.lake.inference.unpacking import Head
from clary.lake.tables import CSV, Column
from clary.lake.types import Type

LAZY = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
OPEN = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
CUSTOM_TYPES: Mapping[str, str] = {
    "BINARY": "binary", "BOOLEAN": "boolean", "DATE": "date", "DECIMAL": "decimal(10,0)", "DOUBLE": "double",
    "FLOAT": "float", "INT": "int", "LONG": "bigint", "SHORT": "smallint", "STRING": "string", "TIMESTAMP": "timestamp",
}  # fmt: skip

_DELIMITERS = ",|\t;\x01"
_MOST_ROWS = 1000
_LONGEST_NAME = 150
# Of the rows, those that have as many values as most have: below this, it is a text with commas in it.
_REGULAR = 0.9
_FEWEST_ROWS = 2


@dataclass(frozen=True, slots=True)
class CsvRules:
    """What a classifier of one's own says. `header`: PRESENT, ABSENT or UNKNOWN."""

    delimiter: str = ""
    quote: str = '"'
    header: str = "UNKNOWN"
    names: tuple[str, ...] = ()
    trimmed: bool = True
    single_column: bool = False
    types: tuple[str, ...] = ()
    serde: str = ""


class _Table(NamedTuple):
    """Rows as a delimiter separates them: as many values in each, those with more or less left out."""

    delimiter: str
    rows: list[list[str]]
    regular: float


_BUILT_IN = CsvRules()


def find_csv(head: Head, rules: CsvRules = _BUILT_IN) -> Found | None:
    """What a file is if it is of separated values."""
    text = _text(head)
    if text is None:
        return None
    candidates = [_read(text, each, rules) for each in (rules.delimiter or _DELIMITERS)]
    fewest = 1 if rules.single_column else 2
    fitting = [each for each in candidates if each and len(each.rows[0]) >= fewest]
    if not fitting:
        return None
    table = max(fitting, key=lambda each: (each.regular, len(each.rows[0])))
    rows = table.rows
    has_header = _has_header(rows, rules)
    body = rows[1:] if has_header else rows
    if rules is _BUILT_IN and len(rows) < _FEWEST_ROWS:
        return None
    names = _names(rows[0] if has_header else (), len(rows[0]), rules)
    types = _types(body, len(names), rules)
    quoted = rules.quote in text[: 64 * 1024]
    properties = {
        "areColumnsQuoted": "true" if quoted else "false",
        "columnsOrdered": "true",
        "delimiter": table.delimiter,
    }
    if has_header:
        properties["skip.header.line.count"] = "1"
    serde: dict[str, str] = {"field.delim": table.delimiter}
    if rules.serde == OPEN:
        serde = {"separatorChar": table.delimiter, "quoteChar": rules.quote, "escapeChar": "\\"}
    return Found(
        CSV,
        tuple(Column(name, type_) for name, type_ in zip(names, types, strict=True)),
        head.compression,
        rules.serde or LAZY,
        serde,
        properties,
        records=(text.count("\n") + (not text.endswith("\n")) - has_header) if head.whole else 0,
        record_bytes=max(len(text.encode()) // max(text.count("\n"), 1), 1),
    )


def _text(head: Head) -> str | None:
    """The whole lines of a file of text; None for any other."""
    data = head.data
    if b"\0" in data[:4096]:
        return None
    if not head.whole:
        data = data[: data.rfind(b"\n") + 1] or data
    try:
        return data.decode().lstrip("\ufeff")
    except UnicodeDecodeError:
        return data.decode("latin-1") if max(data[:4096], default=0) >= 0x80 and _mostly_text(data[:4096]) else None


def _mostly_text(data: bytes) -> bool:
    return sum(byte < 9 or 13 < byte < 32 for byte in data) * 100 < len(data)


def _read(text: str, delimiter: str, rules: CsvRules) -> _Table | None:
    if delimiter not in text and not rules.single_column:
        return None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=rules.quote or None)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append([value.strip() for value in row] if rules.trimmed else row)
            if len(rows) > _MOST_ROWS:
                break
    except csv.Error:
        return None
    if not rows:
        return None
    widths = Counter(map(len, rows))
    width, count = max(widths.items(), key=lambda each: (each[1], each[0]))
    regular = count / len(rows)
    if regular < _REGULAR or len(rows[0]) != width:
        return None
    return _Table(delimiter, [row for row in rows if len(row) == width], regular)


def _has_header(rows: Sequence[Sequence[str]], rules: CsvRules) -> bool:
    first, others = rows[0], rows[1:]
    if rules.header != "UNKNOWN":
        return rules.header == "PRESENT"
    if rules.names:
        return [value.lower() for value in first] == [name.lower() for name in rules.names]
    if any(type_of_text(value) not in (STRING, None) for value in first):
        return False
    if not all(value and len(value) < _LONGEST_NAME for value in first[:-1]):
        return False
    if any("\n" in value or "\r" in value for value in first):
        return False
    if not first[-1] and any(row[-1] for row in others):
        return False
    # Below texts, only what is none tells names from values.
    return any(type_of_texts(row[place] for row in others) not in (STRING, None) for place in range(len(first)))


def _names(first: Sequence[str], width: int, rules: CsvRules) -> list[str]:
    given = rules.names or first
    names: list[str] = []
    for place in range(width):
        plain = given[place].strip().lower() if place < len(given) else ""
        name = plain or f"col{place}"
        while name in names:
            name = f"{name}_{place}"
        names.append(name)
    return names


def _types(rows: Sequence[Sequence[str]], width: int, rules: CsvRules) -> list[Type]:
    if rules.types:
        from clary.lake.types import parse_type

        given = [parse_type(CUSTOM_TYPES[each]) for each in rules.types[:width]]
        return given + [STRING] * (width - len(given))
    if rules.serde == OPEN:
        return [STRING] * width
    return [type_of_texts(row[place] for row in rows) or NOTHING for place in range(width)]


def csv_rules(given: Mapping[str, Any]) -> CsvRules:
    """The rules of a CsvClassifier of Glue's API."""
    return CsvRules(
        delimiter=given.get("Delimiter") or "",
        quote=given.get("QuoteSymbol") or '"',
        header=given.get("ContainsHeader") or "UNKNOWN",
        names=tuple(given.get("Header") or ()),
        trimmed=not given.get("DisableValueTrimming"),
        single_column=bool(given.get("AllowSingleColumn")),
        types=tuple(given.get("CustomDatatypes") or ()) if given.get("CustomDatatypeConfigured") else (),
        serde={"OpenCSVSerDe": OPEN, "LazySimpleSerDe": LAZY}.get(given.get("Serde") or "", ""),
    )
