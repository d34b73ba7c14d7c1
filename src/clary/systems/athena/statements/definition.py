"""The text of SHOW CREATE TABLE: as Hive lays it out, and so that it makes the same table when it is run."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.systems.athena.language.tokens import hive_text
from clary.systems.athena.statements.storage import LAZY_SIMPLE

_DELIMITED = (
    ("field.delim", "FIELDS TERMINATED BY"),
    ("escape.delim", "ESCAPED BY"),
    ("colelction.delim", "COLLECTION ITEMS TERMINATED BY"),
    ("mapkey.delim", "MAP KEYS TERMINATED BY"),
    ("line.delim", "LINES TERMINATED BY"),
    ("serialization.null.format", "NULL DEFINED AS"),
)


def definition(table: Mapping[str, Any]) -> list[str]:
    """The lines of the statement that creates a table, from its document."""
    descriptor = table["StorageDescriptor"]
    parameters = dict(table.get("Parameters") or {})
    comment = parameters.pop("comment", None)
    parameters.pop("EXTERNAL", None)
    lines = [f"CREATE EXTERNAL TABLE {_quoted(table['Name'])}("]
    lines += _columns(descriptor.get("Columns") or ())
    if comment is not None:
        lines.append(f"COMMENT {hive_text(comment)}")
    if table.get("PartitionKeys"):
        lines += ["PARTITIONED BY ( ", *_columns(table["PartitionKeys"])]
    lines += _buckets(descriptor)
    lines += _row_format(descriptor.get("SerdeInfo") or {})
    lines += [
        "STORED AS INPUTFORMAT ",
        f"  {hive_text(descriptor.get('InputFormat') or '')} ",
        "OUTPUTFORMAT ",
        f"  {hive_text(descriptor.get('OutputFormat') or '')}",
        "LOCATION",
        f"  {hive_text(descriptor.get('Location') or '')}",
    ]
    if parameters:
        lines += ["TBLPROPERTIES (", *_properties(parameters)]
        lines[-1] += ")"
    return lines


def _columns(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for place, column in enumerate(columns):
        comment = f" COMMENT {hive_text(column['Comment'])}" if column.get("Comment") is not None else ""
        end = ")" if place == len(columns) - 1 else ", "
        lines.append(f"  {_quoted(column['Name'])} {column.get('Type') or 'string'}{comment}{end}")
    return lines


def _buckets(descriptor: Mapping[str, Any]) -> list[str]:
    names = descriptor.get("BucketColumns") or ()
    if not names:
        return []
    lines = ["CLUSTERED BY ( ", *_listed([_quoted(name) for name in names])]
    if descriptor.get("SortColumns"):
        order = [
            f"{_quoted(each['Column'])} {'ASC' if each['SortOrder'] else 'DESC'}" for each in descriptor["SortColumns"]
        ]
        lines += ["SORTED BY ( ", *_listed(order)]
    return [*lines, f"INTO {descriptor.get('NumberOfBuckets')} BUCKETS"]


def _row_format(serde: Mapping[str, Any]) -> list[str]:
    """ROW FORMAT DELIMITED where that says it all, else the SerDe and its properties."""
    name = serde.get("SerializationLibrary") or ""
    properties = dict(serde.get("Parameters") or {})
    plain = properties.get("serialization.format") == properties.get("field.delim", "1")
    rest = set(properties) - {"serialization.format", *(each for each, _ in _DELIMITED)}
    if name == LAZY_SIMPLE and plain and not rest and ("escape.delim" not in properties or "field.delim" in properties):
        said = [f"  {words} {hive_text(properties[each])} " for each, words in _DELIMITED if each in properties]
        return ["ROW FORMAT DELIMITED ", *said]
    lines = ["ROW FORMAT SERDE ", f"  {hive_text(name)} "]
    if properties and properties != {"serialization.format": "1"}:
        lines += ["WITH SERDEPROPERTIES ( ", *_properties(properties)]
        lines[-1] += ") "
    return lines


def _properties(properties: Mapping[str, str]) -> list[str]:
    lines = [f"  {hive_text(name)}={hive_text(value)}" for name, value in sorted(properties.items())]
    return [f"{line}, " for line in lines[:-1]] + lines[-1:]


def _listed(items: Sequence[str]) -> list[str]:
    lines = [f"  {item}" for item in items]
    return [*(f"{line}, " for line in lines[:-1]), f"{lines[-1]}) "]


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
