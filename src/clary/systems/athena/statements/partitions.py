"""Partitions: add, drop, rename, list; and how a statement's specification becomes one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from clary.kernel.core.errors import AwsError
from clary.lake.hive_paths import partition_path
from clary.systems.athena.contract import Outcome, Own, Running, StatementFailed
from clary.systems.athena.language.statements import (
    AddPartitions,
    Comparison,
    DropPartitions,
    RenamePartition,
    ShowPartitions,
)
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import Document, execution, semantic
from clary.systems.athena.statements.iceberg import or_iceberg
from clary.systems.athena.statements.storage import checked_location

T = TypeVar("T")

# What Glue takes at once.
_MOST_CREATED, _MOST_DELETED, _MOST_READ = 100, 25, 1000
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
_INPUT = ("Values", "LastAccessTime", "StorageDescriptor", "Parameters", "LastAnalyzedTime")


@or_iceberg
def add_partitions(running: Running, statement: AddPartitions) -> Outcome:
    """Register partitions: all of them, or none when one is there already and IF NOT EXISTS is not said."""
    table = catalog.hive_table(running, catalog.named(running, statement.name))
    _check_partitioned(table)
    wanted: dict[tuple[str, ...], Document] = {}
    for each in statement.partitions:
        values = values_of(table, each.values)
        wanted.setdefault(tuple(values), partition_input(running, table, values, each.location))
    there = {tuple(each["Values"]) for each in present(running, table, list(wanted))}
    if there and not running.resumed and not statement.if_not_exists:
        raise _already(table, next(values for values in wanted if values in there))
    new = [values for values in wanted if values not in there]
    errors = create_partitions(running, table, [wanted[values] for values in new])
    for error in errors:
        if not statement.if_not_exists or error["ErrorDetail"]["ErrorCode"] != "AlreadyExistsException":
            refused = {tuple(each["PartitionValues"]) for each in errors}
            _delete(running.own, table, [values for values in new if values not in refused])
            raise execution(f"{error['ErrorDetail']['ErrorCode']}(message:{error['ErrorDetail']['ErrorMessage']})")
    return Outcome(statement.kind, statement.substatement, rows=())


@or_iceberg
def drop_partitions(running: Running, statement: DropPartitions) -> Outcome:
    """Forget the partitions that one of the conditions is true for. Their data stays."""
    table = catalog.hive_table(running, catalog.named(running, statement.name))
    _check_partitioned(table)
    gone: dict[tuple[str, ...], None] = {}
    for comparisons in statement.partitions:
        found = list(partitions(running, table, _expression(table, comparisons), columns=False))
        if not found and not statement.if_exists and not running.resumed:
            shown = ", ".join(f"{each.key} {each.operator} '{each.value}'" for each in comparisons)
            raise semantic(f"[Error 10006]: Partition not found ({shown})")
        gone.update({tuple(each["Values"]): None for each in found})
    running.check()  # before, for what has begun is not left half done
    _delete(running, table, gone)
    return Outcome(statement.kind, statement.substatement, rows=())


@or_iceberg
def rename_partition(running: Running, statement: RenamePartition) -> Outcome:
    """Give a partition other values. Its data stays where it is."""
    table = catalog.hive_table(running, catalog.named(running, statement.name))
    values = values_of(table, statement.to)
    if running.resumed and present(running, table, [tuple(values)]):
        return Outcome(statement.kind, statement.substatement, rows=())
    found = find_partition(running, table, statement.partition)
    try:
        put_partition(running, table, found, Values=values)
    except AwsError as error:
        if error.code == "AlreadyExistsException":
            raise _already(table, values) from None
        raise
    return Outcome(statement.kind, statement.substatement, rows=())


@or_iceberg
def show_partitions(running: Running, statement: ShowPartitions) -> Outcome:
    """The partitions of a table, each as the folder that Hive would name it by."""
    table = catalog.hive_table(running, catalog.named(running, statement.name))
    if not catalog.keys_of(table):
        raise execution(f"Table {table['Name']} is not a partitioned table")
    asked = [Comparison(key, "=", value) for key, value in (statement.partition or {}).items()]
    names = [key["Name"] for key in catalog.keys_of(table)]
    rows = [
        (partition_path(names, each["Values"]),)
        for each in partitions(running, table, _expression(table, asked), columns=False)
    ]
    return Outcome(statement.kind, statement.substatement, catalog.text_columns("partition"), rows=rows)


def partitions(running: Running, table: Document, expression: str = "", *, columns: bool = True) -> Iterator[Document]:
    """The partitions of a table that an expression of Glue's is true for."""
    more = {"Expression": expression} if expression else {}
    yield from catalog.listed(
        running, "GetPartitions", "Partitions", **_of(table), ExcludeColumnSchema=not columns, **more
    )


def values_of(table: Document, specification: Mapping[str, str]) -> list[str]:
    """The values of all keys, in their order. Raises StatementFailed where one is missing or is no key."""
    _check_keys(table, specification)
    missing = [key["Name"] for key in catalog.keys_of(table) if key["Name"].lower() not in specification]
    if missing:
        shown = ", ".join(f"{key}={value}" for key, value in specification.items())
        raise semantic(f"[Error 10006]: partition spec {{{shown}}} doesn't contain all ({len(catalog.keys_of(table))}) "
                       f"partition columns: {', '.join(missing)} missing")  # fmt: skip
    return [specification[key["Name"].lower()] for key in catalog.keys_of(table)]


def find_partition(running: Running, table: Document, specification: Mapping[str, str]) -> Document:
    """One partition by the values of all keys. Raises StatementFailed where there is none."""
    values = values_of(table, specification)
    try:
        found: Document = running.call("GetPartition", **_of(table), PartitionValues=values)["Partition"]
    except AwsError as error:
        if error.code != "EntityNotFoundException":
            raise
        names = [key["Name"] for key in catalog.keys_of(table)]
        raise semantic(f"[Error 10006]: Partition not found {{{partition_path(names, values)}}}") from None
    return found


def put_partition(running: Running, table: Document, partition: Document, **changed: Any) -> None:
    """Write over a partition: as its document has it, but for what is `changed`."""
    given = {member: partition[member] for member in _INPUT if partition.get(member) is not None} | changed
    running.call("UpdatePartition", **_of(table), PartitionValueList=partition["Values"], PartitionInput=given)


def partition_input(
    running: Running, table: Document, values: Sequence[str], location: str | None = None, **storage: Any
) -> Document:
    """A new partition: stored as its table is, where Hive would have it unless `location` says otherwise."""
    descriptor = table["StorageDescriptor"]
    if location is None:
        names = [key["Name"] for key in catalog.keys_of(table)]
        location = f"{descriptor.get('Location', '').rstrip('/')}/{partition_path(names, values)}"
    else:
        location = checked_location(location)
    return {
        "Values": list(values),
        "StorageDescriptor": {**descriptor, "Location": location, **storage},
        "Parameters": {"transient_lastDdlTime": str(catalog.now_seconds(running))},
    }


def create_partitions(running: Running, table: Document, given: Sequence[Document]) -> list[Document]:
    """Register partitions, many at a time; what could not be is returned, as Glue's errors."""
    errors: list[Document] = []
    running.check()  # before, for what has begun is not left half done
    for batch in batched(given, _MOST_CREATED):
        answer = running.call("BatchCreatePartition", **_of(table), PartitionInputList=list(batch))
        errors += answer.get("Errors") or ()
    return errors


def _delete(acting: Running | Own, table: Document, gone: Iterable[tuple[str, ...]]) -> None:
    """Forget partitions; those that are not there are forgotten already."""
    for batch in batched(gone, _MOST_DELETED):
        answer = acting.call(
            "BatchDeletePartition", **_of(table), PartitionsToDelete=[{"Values": list(values)} for values in batch]
        )
        for error in answer.get("Errors") or ():
            detail = error["ErrorDetail"]
            if detail["ErrorCode"] != "EntityNotFoundException":
                raise execution(f"{detail['ErrorCode']}(message:{detail['ErrorMessage']})")


def present(running: Running, table: Document, wanted: Sequence[tuple[str, ...]]) -> list[Document]:
    """The partitions that have one of these values."""
    found: list[Document] = []
    for batch in batched(wanted, _MOST_READ):
        asked = [{"Values": list(values)} for values in batch]
        found += running.call("BatchGetPartition", **_of(table), PartitionsToGet=asked)["Partitions"]
    return found


def register_partitions(running: Running, table: Document, values: Sequence[Sequence[str]]) -> None:
    """Add partitions that a query wrote, each where Hive would have it; those that are there by now are fine."""
    for error in create_partitions(running, table, [partition_input(running, table, each) for each in values]):
        detail = error["ErrorDetail"]
        if detail["ErrorCode"] != "AlreadyExistsException":
            raise StatementFailed("HIVE_METASTORE_ERROR", f"{detail['ErrorCode']}: {detail['ErrorMessage']}")


def batched(items: Any, size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _expression(table: Document, comparisons: Sequence[Comparison]) -> str:
    """A condition on keys in Glue's language."""
    _check_keys(table, [each.key for each in comparisons])
    types = {key["Name"].lower(): (key.get("Type") or "string").lower() for key in catalog.keys_of(table)}
    return " AND ".join(f"{each.key} {each.operator} {_literal(types[each.key], each.value)}" for each in comparisons)


def _literal(kind: str, value: str) -> str:
    if kind.partition("(")[0] in _NUMBERS:
        try:
            float(value)
        except ValueError:
            raise semantic(f"[Error 10248]: Cannot compare a partition key of type {kind} with '{value}'") from None
        return value
    return "'" + value.replace("'", "''") + "'"


def _check_partitioned(table: Document) -> None:
    if not catalog.keys_of(table):
        raise semantic(f"table {table['Name']} is not partitioned but partition spec exists")


def _check_keys(table: Document, asked: Mapping[str, str] | Sequence[str]) -> None:
    names = {key["Name"].lower() for key in catalog.keys_of(table)}
    for key in asked:
        if key not in names:
            raise semantic(f"[Error 10248]: {key} is not a partition column of {table['DatabaseName']}.{table['Name']}")


def _already(table: Document, values: Sequence[str]) -> Exception:
    names = [key["Name"] for key in catalog.keys_of(table)]
    return execution(f"AlreadyExistsException(message:Partition already exists: {partition_path(names, values)})")


def _of(table: Document) -> Document:
    return {"DatabaseName": table["DatabaseName"], "TableName": table["Name"]}
