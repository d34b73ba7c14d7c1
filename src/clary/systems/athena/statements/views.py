"""Views: a query under a name, kept in the catalog as Athena keeps it, and put in the place of its name in queries."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.lake.trino_types import hive_type
from clary.systems.athena.contract import Outcome, OutputColumn, Running, StatementFailed, TableName
from clary.systems.athena.language.statements import CreateView, DescribeView, DropView, ShowCreateView
from clary.systems.athena.language.trees import query_tree
from clary.systems.athena.statements import catalog, information_schema
from clary.systems.athena.statements.catalog import Document
from clary.systems.athena.statements.names import qualify, table_nodes
from clary.systems.athena.statements.widening import widens

if TYPE_CHECKING:
    from sqlglot import exp

_HEAD, _TAIL = "/* Presto View: ", " */"
_DEEPEST = 32
_PLACE = re.compile(r"^line \d+:\d+: ")
_SHOWN = (OutputColumn("Create View", "varchar"),)
_DESCRIBED = tuple(OutputColumn(name, "varchar") for name in ("Column", "Type", "Extra", "Comment"))


def create_view(running: Running, statement: CreateView) -> Outcome:
    """Keep a query under a name. It is read now, so that a view that could never be asked is not made."""
    from clary.systems.athena.running.plans import translated

    name = catalog.named(running, statement.name)
    catalog.database(running, name.database)
    there = catalog.find_table(running, name)
    if running.resumed and there is not None and catalog.is_view(there) and _is_made(name, there, statement):
        return Outcome(statement.kind, statement.substatement, rows=())
    if there is not None and (not statement.or_replace or not catalog.is_view(there)):
        what = "View" if catalog.is_view(there) else "Table"
        raise StatementFailed("ALREADY_EXISTS", f"line 1:1: {what} already exists: '{'.'.join(name)}'")
    columns = translated(running, statement.query.copy(), inside=(name,)).columns
    _check_names(columns)
    given = _document(name, statement, columns, running)
    if there is None:
        try:
            running.call("CreateTable", DatabaseName=name.database, TableInput=given)
        except AwsError as error:
            if error.code != "AlreadyExistsException":
                raise
            raise StatementFailed("ALREADY_EXISTS", f"line 1:1: View already exists: '{'.'.join(name)}'") from None
    else:
        catalog.update_table(running, there, **given)
    return Outcome(statement.kind, statement.substatement, rows=())


def _is_made(name: TableName, there: Document, statement: CreateView) -> bool:
    return bool(stored_view(name, there)["originalSql"] == statement.body)


def drop_view(running: Running, statement: DropView) -> Outcome:
    name = catalog.named(running, statement.name)
    found = catalog.find_table(running, name)
    if found is None or not catalog.is_view(found):
        if found is None and (statement.if_exists or running.resumed):
            return Outcome(statement.kind, statement.substatement, rows=())
        raise _no_view(name, found)
    try:
        running.call("DeleteTable", DatabaseName=name.database, Name=name.name)
    except AwsError as error:
        if error.code != "EntityNotFoundException":
            raise
    return Outcome(statement.kind, statement.substatement, rows=())


def show_create_view(running: Running, statement: ShowCreateView) -> Outcome:
    """The statement that makes the same view again, line by line."""
    name = catalog.named(running, statement.name)
    stored = stored_view(name, _view(running, name))
    text = f"CREATE VIEW {name.database}.{name.name} AS \n{stored['originalSql']}"
    return Outcome(statement.kind, statement.substatement, _SHOWN, rows=[(line,) for line in text.splitlines()])


def describe_view(running: Running, statement: DescribeView) -> Outcome:
    """The columns of a view, with their types of Trino."""
    name = catalog.named(running, statement.name)
    stored = stored_view(name, _view(running, name))
    rows = [(each["name"], each["type"], "", each.get("comment") or "") for each in stored["columns"]]
    return Outcome(statement.kind, statement.substatement, _DESCRIBED, rows=rows)


def expanded(running: Running, tree: "exp.Expression", inside: Sequence[TableName] = ()) -> "exp.Expression":
    """A query in which each view is the query that it stands for, down to tables; the tree that is given changes.

    `inside` are the views that this is the query of, from the outermost. Raises StatementFailed where a view is
    gone stale: its query fails, or has other columns now than those that the view was made with.
    """
    for node in list(table_nodes(tree)):
        name = TableName(
            (node.catalog or running.catalog or catalog.AWS_CATALOG).lower(),
            (node.db or running.database.strip("`") or catalog.DEFAULT).lower(),
            node.name.lower(),
        )
        if name.database == information_schema.NAME:
            node.replace(_aliased(node, information_schema.relation(running, node)))
            continue
        found = catalog.find_table(running, name) if "$" not in name.name else None
        if found is None or not catalog.is_view(found):
            continue
        if name in inside:
            raise StatementFailed("VIEW_IS_RECURSIVE", f"{_place(node)}Statement would create a recursive view: "
                                  f"'{'.'.join(name)}'")  # fmt: skip
        if len(inside) >= _DEEPEST:
            raise StatementFailed("NOT_SUPPORTED", f"{_place(node)}views are nested deeper than {_DEEPEST} levels")
        node.replace(_inlined(running, node, name, found, (*inside, name)))
    return tree


def stored_view(name: TableName, document: Document) -> dict[str, Any]:
    """What is kept of a view: `originalSql`, `catalog`, `schema`, `columns`. Raises StatementFailed for another's."""
    text = (document.get("ViewOriginalText") or "").strip()
    if text.startswith(_HEAD.strip()) and text.endswith(_TAIL.strip()):
        try:
            found = orjson.loads(base64.b64decode(text[len(_HEAD.strip()) : -len(_TAIL.strip())].strip()))
        except (binascii.Error, ValueError):
            found = None
        if isinstance(found, dict) and isinstance(found.get("originalSql"), str):
            return {"catalog": catalog.AWS_CATALOG, "schema": name.database, "columns": [], **found}
    raise StatementFailed("INVALID_VIEW", f"View '{'.'.join(name)}' was not made by Athena: its text cannot be read")


def _inlined(
    running: Running, node: "exp.Table", name: TableName, document: Document, inside: tuple[TableName, ...]
) -> "exp.Expression":
    """The subquery that stands for a view, in the place and under the alias of its name."""
    from clary.systems.athena.running.plans import translated_tree

    stored = stored_view(name, document)
    try:
        query = query_tree(stored["originalSql"], 0, len(stored["originalSql"]))
        qualify(query, stored["catalog"], stored["schema"])
        query = expanded(running, query, inside)
        columns = translated_tree(running, query.copy()).columns
    except StatementFailed as error:
        if error.code in ("VIEW_IS_RECURSIVE", "VIEW_IS_STALE"):
            # It was found in the text of a view: the place that counts is where the query names that.
            raise StatementFailed(error.code, _place(node) + _PLACE.sub("", error.message)) from None
        raise StatementFailed(
            "INVALID_VIEW", f"{_place(node)}Failed analyzing stored view '{'.'.join(name)}': {error.message}"
        ) from None
    _check_fresh(node, name, stored["columns"], columns)
    return _aliased(node, query)


def _aliased(node: "exp.Table", query: "exp.Expression") -> "exp.Expression":
    """A query as a relation that stands for a table, with all that is said of it in FROM."""
    from sqlglot import exp

    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(node.name, quoted=True))
    subquery = exp.Subquery(this=query, alias=alias)
    for part in ("sample", "joins", "laterals", "pivots"):
        if node.args.get(part):
            subquery.set(part, node.args[part])
    return subquery


def _check_fresh(
    node: "exp.Table", name: TableName, kept: Sequence[dict[str, Any]], now: Sequence[OutputColumn]
) -> None:
    """Raise StatementFailed unless a view's query has the columns that the view was made with."""
    if not kept:
        return
    what = f"{_place(node)}View '{'.'.join(name)}' is stale or in invalid state: "
    if len(kept) != len(now):
        raise StatementFailed(
            "VIEW_IS_STALE",
            what + f"stored view column count ({len(kept)}) does not match column count derived from the view query "
            f"analysis ({len(now)})",
        )
    for place, (was, column) in enumerate(zip(kept, now, strict=True)):
        if was["name"].lower() != column.name.lower():
            raise StatementFailed(
                "VIEW_IS_STALE",
                what + f"column [{column.name}] of type {column.type} projected from query view at position {place} "
                f"has a different name from column [{was['name']}] of type {was['type']} stored in view definition",
            )
        if not widens(column.type, was["type"]):
            raise StatementFailed(
                "VIEW_IS_STALE",
                what + f"column [{column.name}] of type {column.type} projected from query view at position {place} "
                f"cannot be coerced to column [{was['name']}] of type {was['type']} stored in view definition",
            )


def _document(name: TableName, statement: CreateView, columns: Sequence[OutputColumn], running: Running) -> Document:
    kept = {
        "originalSql": statement.body,
        "catalog": (running.catalog or catalog.AWS_CATALOG).lower(),
        "schema": running.database.strip("`").lower() or catalog.DEFAULT,
        "columns": [{"name": each.name, "type": each.type} for each in columns],
    }
    encoded = base64.b64encode(orjson.dumps(kept)).decode()
    return {
        "Name": name.name,
        "TableType": catalog.VIEW,
        "Parameters": {"comment": statement.comment or "Presto View", "presto_view": "true"},
        "ViewOriginalText": f"{_HEAD}{encoded}{_TAIL}",
        "ViewExpandedText": "/* Presto View */",
        "PartitionKeys": [],
        "StorageDescriptor": {
            "Columns": [{"Name": each.name, "Type": _catalog_type(each.type)} for each in columns],
            "Location": "",
            "Compressed": False,
            "NumberOfBuckets": 0,
            "SerdeInfo": {},
            "BucketColumns": [],
            "SortColumns": [],
            "Parameters": {},
            "StoredAsSubDirectories": False,
        },
    }


def _catalog_type(type_: str) -> str:
    """A column's type for whoever reads the catalog; a view may have types that no table has."""
    try:
        return str(hive_type(type_))
    except ValueError:
        return "string"


def _check_names(columns: Sequence[OutputColumn]) -> None:
    seen: set[str] = set()
    for place, each in enumerate(columns):
        if each.name.startswith("_col") and each.name[4:] == str(place):
            raise StatementFailed("MISSING_COLUMN_NAME", f"line 1:1: Column name not specified at position {place + 1}")
        if each.name.lower() in seen:
            raise StatementFailed(
                "DUPLICATE_COLUMN_NAME", f"line 1:1: Column name '{each.name}' specified more than once"
            )
        if each.type == "unknown":
            raise StatementFailed("COLUMN_TYPE_UNKNOWN", f"line 1:1: Column type is unknown at position {place + 1}")
        seen.add(each.name.lower())


def _view(running: Running, name: TableName) -> Document:
    found = catalog.find_table(running, name)
    if found is None or not catalog.is_view(found):
        raise _no_view(name, found)
    return found


def _no_view(name: TableName, found: Document | None) -> StatementFailed:
    if found is None:
        return StatementFailed("TABLE_NOT_FOUND", f"line 1:1: View '{'.'.join(name)}' does not exist")
    return StatementFailed("NOT_SUPPORTED", f"line 1:1: Relation '{'.'.join(name)}' is a table, not a view")


def _place(node: "exp.Table") -> str:
    """Where a table's name begins in the query, as Trino tells it; nothing where that is not known."""
    for part in ("catalog", "db", "this"):
        name = node.args.get(part)
        if name is not None and "line" in name.meta and "col" in name.meta:
            quotes = 2 if name.args.get("quoted") else 0
            return f"line {name.meta['line']}:{max(name.meta['col'] - len(name.name) - quotes + 1, 1)}: "
    return ""
