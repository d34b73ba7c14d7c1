"""DESCRIBE: what Hive tells of a table, a partition or a column, in its own columns of text.

As in Athena, each row is one text whose parts are padded to twenty characters and parted by tabs.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.lake.types import parse_type
from clary.systems.athena.contract import Outcome, Running
from clary.systems.athena.language.statements import Describe
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import Document, semantic
from clary.systems.athena.statements.iceberg import or_iceberg_if_it_can
from clary.systems.athena.statements.partitions import find_partition

_WIDTH = 20
_BLANK = "\t \t "
_HEAD = "# " + "\t".join(name.ljust(_WIDTH) for name in ("col_name", "data_type", "comment"))


@or_iceberg_if_it_can
def describe(running: Running, statement: Describe) -> Outcome:
    """A table's columns and keys; with EXTENDED or FORMATTED all that the catalog knows."""
    table = catalog.table(running, catalog.named(running, statement.name))
    partition = None if statement.partition is None else find_partition(running, table, statement.partition)
    described = partition or table
    columns: Sequence[Document] = described["StorageDescriptor"].get("Columns") or table["StorageDescriptor"]["Columns"]
    if statement.column is not None:
        lines = [_column(table, columns, statement.column)]
        if statement.formatted:
            lines = [_HEAD, _BLANK, *lines]
    elif statement.formatted:
        lines = [_HEAD, _BLANK, *_columns(columns, catalog.keys_of(table), formatted=True), _BLANK]
        lines += _partition_details(table, partition) if partition is not None else _table_details(table)
        lines += [_BLANK, *_storage(described["StorageDescriptor"])]
    else:
        lines = list(_columns(columns, catalog.keys_of(table)))
        if statement.extended:
            what = "Table" if partition is None else "Partition"
            lines += [_BLANK, f"Detailed {what} Information\t{_thrift(what, described)}\t"]
    return Outcome(
        statement.kind,
        statement.substatement,
        catalog.text_columns("col_name", "data_type", "comment"),
        rows=[(line,) for line in lines],
    )


def padded(text: str) -> str:
    return text.ljust(_WIDTH)


def _columns(columns: Sequence[Document], keys: Sequence[Document], *, formatted: bool = False) -> Iterator[str]:
    yield from (_row(each) for each in columns)
    if not keys:
        return
    if not formatted:
        # Plainly described, a table's keys are among its columns too.
        yield from (_row(each) for each in keys)
    yield from (_BLANK, f"# Partition Information{_BLANK}", _HEAD, _BLANK)
    yield from (_row(each) for each in keys)


def _row(column: Mapping[str, Any]) -> str:
    parts = (column["Name"], column.get("Type") or "string", column.get("Comment") or "")
    return "\t".join(padded(part) for part in parts)


def _column(table: Document, columns: Sequence[Document], path: str) -> str:
    """One column, or what a path leads to inside it: `a.b`, and Hive's `$elem$`, `$key$`, `$value$`."""
    name, *inner = path.split(".")
    found = next((each for each in (*columns, *catalog.keys_of(table)) if each["Name"].lower() == name), None)
    if found is None:
        raise semantic(f"[Error 10002]: Invalid column reference {name} in {table['DatabaseName']}.{table['Name']}")
    if not inner:
        return _row(found)
    try:
        kind = parse_type(found.get("Type") or "string")
    except ValueError as error:
        raise semantic(f"the type of {name} cannot be read: {error}") from None
    for step in inner:
        names = {"array": ("$elem$",), "map": ("$key$", "$value$")}.get(kind.name, kind.names)
        if step not in names:
            raise semantic(f"[Error 10002]: Invalid column reference {path}: there is no {step} in {kind}")
        kind = kind.children[list(names).index(step)]
    return _row({"Name": inner[-1], "Type": str(kind), "Comment": "from deserializer"})


def _table_details(table: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Detailed Table Information{_BLANK}"
    yield _detail("Database:", table["DatabaseName"])
    yield _detail("Owner:", table.get("Owner") or "null")
    yield _detail("CreateTime:", _moment(table.get("CreateTime")))
    yield _detail("LastAccessTime:", _moment(table.get("LastAccessTime")))
    yield _detail("Protect Mode:", "None")
    yield _detail("Retention:", str(table.get("Retention") or 0))
    yield _detail("Location:", table["StorageDescriptor"].get("Location") or "")
    yield _detail("Table Type:", table.get("TableType") or "EXTERNAL_TABLE")
    yield f"Table Parameters:{_BLANK}"
    yield from _parameters(table.get("Parameters") or {})


def _partition_details(table: Mapping[str, Any], partition: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Detailed Partition Information{_BLANK}"
    yield _detail("Partition Value:", f"[{', '.join(partition['Values'])}]")
    yield _detail("Database:", table["DatabaseName"])
    yield _detail("Table:", table["Name"])
    yield _detail("CreateTime:", _moment(partition.get("CreationTime")))
    yield _detail("LastAccessTime:", _moment(partition.get("LastAccessTime")))
    yield _detail("Protect Mode:", "None")
    yield _detail("Location:", partition["StorageDescriptor"].get("Location") or "")
    yield f"Partition Parameters:{_BLANK}"
    yield from _parameters(partition.get("Parameters") or {})


def _storage(descriptor: Mapping[str, Any]) -> Iterator[str]:
    serde = descriptor.get("SerdeInfo") or {}
    order = [f"Order(col:{each['Column']}, order:{each['SortOrder']})" for each in descriptor.get("SortColumns") or ()]
    yield f"# Storage Information{_BLANK}"
    yield _detail("SerDe Library:", serde.get("SerializationLibrary") or "")
    yield _detail("InputFormat:", descriptor.get("InputFormat") or "")
    yield _detail("OutputFormat:", descriptor.get("OutputFormat") or "")
    yield _detail("Compressed:", "Yes" if descriptor.get("Compressed") else "No")
    yield _detail("Num Buckets:", str(descriptor.get("NumberOfBuckets", -1)))
    yield _detail("Bucket Columns:", f"[{', '.join(descriptor.get('BucketColumns') or ())}]")
    yield _detail("Sort Columns:", f"[{', '.join(order)}]")
    if serde.get("Parameters"):
        yield f"Storage Desc Params:{_BLANK}"
        yield from _parameters(serde["Parameters"])


def _detail(name: str, value: str) -> str:
    return f"{padded(name)}\t{padded(_one_line(value))}\t "


def _parameters(properties: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(properties.items()):
        yield f"\t{padded(_one_line(name))}\t{padded(_one_line(value))}"


def _one_line(text: str) -> str:
    """A text whose controls are written as Java escapes them, so that a row stays a row."""
    return "".join(
        {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(sign) or (f"\\u{ord(sign):04X}" if ord(sign) < 0x20 else sign)
        for sign in text
    )


def _moment(at: Any) -> str:
    """A time as Java shows it; the catalog tells it as seconds since 1970, or as what botocore makes of them."""
    seconds = at.timestamp() if hasattr(at, "timestamp") else at
    if not seconds:
        return "UNKNOWN"
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(seconds))


def _thrift(what: str, document: Mapping[str, Any]) -> str:
    """A document as Hive shows its own objects: `Table(tableName:t, dbName:d, ...)`."""
    said = [f"{name}:{_shown(document[member])}" for member, name in _THRIFT if document.get(member) is not None]
    return f"{what}({_one_line(', '.join(said))})"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}={_shown(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return _moment(value) if hasattr(value, "timestamp") else str(value)


_THRIFT = (
    ("Values", "values"), ("Name", "tableName"), ("DatabaseName", "dbName"), ("Owner", "owner"),
    ("CreateTime", "createTime"), ("CreationTime", "createTime"), ("LastAccessTime", "lastAccessTime"),
    ("Retention", "retention"), ("StorageDescriptor", "sd"), ("PartitionKeys", "partitionKeys"),
    ("Parameters", "parameters"), ("TableType", "tableType"),
)  # fmt: skip
