"""The catalog as statements of DDL see it: names completed by the session's, tables, databases, and Hive's errors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.systems.athena.contract import OutputColumn, Running, StatementFailed, TableName
from clary.systems.athena.language.statements import DatabaseName, Name

AWS_CATALOG = "awsdatacatalog"
DEFAULT = "default"
VIEW = "VIRTUAL_VIEW"
_MISSING = ("EntityNotFoundException",)

Document = dict[str, Any]


def text_columns(*names: str) -> tuple[OutputColumn, ...]:
    """Columns of an answer of DDL: all are texts, by Hive's name for them."""
    return tuple(OutputColumn(name, "string") for name in names)


def semantic(message: str) -> StatementFailed:
    """Hive refuses a statement before it does anything."""
    return StatementFailed("FAILED", f"SemanticException {message}")


def execution(message: str) -> StatementFailed:
    """Hive could not do what a statement asks for."""
    return StatementFailed(
        "FAILED", f"Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. {message}"
    )


def no_table(name: TableName) -> StatementFailed:
    return semantic(f"[Error 10001]: Table not found {name.database}.{name.name}")


def no_database(name: str) -> StatementFailed:
    return semantic(f"[Error 10072]: Database does not exist: {name}")


def named(running: Running, name: Name) -> TableName:
    """A table that a statement names, completed by the session's catalog and database."""
    # awswrangler gives the session's database in backticks.
    found = name.completed(running.catalog.lower() or AWS_CATALOG, running.database.strip("`").lower() or DEFAULT)
    _check_catalog(found.catalog)
    return found


def database_named(running: Running, name: DatabaseName | None) -> str:
    """A database that a statement names, else the session's."""
    _check_catalog((name and name.catalog) or running.catalog.lower() or AWS_CATALOG)
    return (name and name.name) or running.database.strip("`").lower() or DEFAULT


def find_table(running: Running, name: TableName) -> Document | None:
    """A table's document, or None where there is no such table."""
    try:
        found: Document = running.call("GetTable", DatabaseName=name.database, Name=name.name)["Table"]
    except AwsError as error:
        if error.code in _MISSING:
            return None
        raise
    return found


def table(running: Running, name: TableName) -> Document:
    """A table's document. Raises StatementFailed where there is no such table."""
    found = find_table(running, name)
    if found is None:
        raise no_table(name)
    return found


def hive_table(running: Running, name: TableName) -> Document:
    """The document of a table that is no view."""
    found = table(running, name)
    if is_view(found):
        raise semantic(f"[Error 10131]: {name.database}.{name.name} is a view: this is done to tables only")
    return found


def find_database(running: Running, name: str) -> Document | None:
    try:
        found: Document = running.call("GetDatabase", Name=name)["Database"]
    except AwsError as error:
        if error.code in _MISSING:
            return None
        raise
    return found


def database(running: Running, name: str) -> Document:
    found = find_database(running, name)
    if found is None:
        raise no_database(name)
    return found


def listed(running: Running, operation: str, member: str, **params: Any) -> Iterator[Document]:
    """Every item that an operation of Glue lists, page by page."""
    token: str | None = None
    while True:
        page = running.call(operation, **params, **({"NextToken": token} if token else {}))
        yield from page.get(member) or ()
        token = page.get("NextToken")
        if not token:
            return
        running.check()


def is_view(document: Mapping[str, Any]) -> bool:
    return bool(document.get("TableType") == VIEW)


def is_iceberg(document: Mapping[str, Any]) -> bool:
    return str((document.get("Parameters") or {}).get("table_type", "")).upper() == "ICEBERG"


def keys_of(document: Mapping[str, Any]) -> Sequence[Document]:
    return document.get("PartitionKeys") or ()


def update_table(running: Running, document: Document, **changed: Any) -> None:
    """Write a table's next version: as its document has it, but for what is `changed`.

    Raises StatementFailed when it was changed since it was read.
    """
    given = {member: document[member] for member in _INPUT if document.get(member) is not None} | changed
    try:
        running.call(
            "UpdateTable",
            DatabaseName=document["DatabaseName"],
            TableInput=given,
            **({"VersionId": document["VersionId"]} if document.get("VersionId") else {}),
        )
    except AwsError as error:
        if error.code == "ConcurrentModificationException":
            raise execution("Unable to alter table. It was changed by another statement at the same time") from None
        if error.code == "InvalidInputException":
            raise execution(f"Unable to alter table. {error.message}") from None
        raise


def now_seconds(running: Running) -> int:
    return int(running.ctx.platform.clock.now())


def _check_catalog(catalog: str) -> None:
    if catalog != AWS_CATALOG:
        raise StatementFailed("CATALOG_NOT_FOUND", f"Catalog '{catalog}' does not exist: DDL is done in AwsDataCatalog")


_INPUT = (
    "Name", "Description", "Owner", "LastAccessTime", "LastAnalyzedTime", "Retention", "StorageDescriptor",
    "PartitionKeys", "ViewOriginalText", "ViewExpandedText", "TableType", "Parameters", "TargetTable",
)  # fmt: skip
