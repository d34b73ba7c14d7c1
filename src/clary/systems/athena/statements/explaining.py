"""EXPLAIN: how the engine would go about a query, or went about it; what it reads; whether it is one at all."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from clary.lake.engine.tasks import OUT, RESULT, PlanText, Task
from clary.systems.athena.contract import Domain, Outcome, OutputColumn, Running, ScanUse, StatementFailed
from clary.systems.athena.language.statements import CreateTableAs, Explain, InsertInto, Name, Query, Statement, Unload
from clary.systems.athena.running.plans import planned, translated
from clary.systems.athena.statements import catalog

if TYPE_CHECKING:
    from sqlglot import exp

_PLAN = (OutputColumn("Query Plan", "varchar"),)
_VALID = (OutputColumn("Valid", "boolean"),)


def explain(running: Running, statement: Explain) -> Outcome:
    """Tell of a query. Only EXPLAIN ANALYZE runs it, and then only the query: no table is written."""
    query = _query(statement.statement)
    if statement.type == "VALIDATE":
        translated(running, query)
        return Outcome(statement.kind, statement.substatement, _VALID, rows=[("true",)])
    if statement.type == "IO":
        text = orjson.dumps(_io(running, statement.statement, query), option=orjson.OPT_INDENT_2).decode()
    else:
        plan = planned(running, query)
        running.run(Task(sql=plan.sql, scans=plan.scans, output=PlanText(statement.analyze, statement.format)))
        text = (running.folder / OUT / RESULT).read_text()
    return Outcome(statement.kind, statement.substatement, _PLAN, rows=[(line,) for line in text.splitlines()])


def _query(statement: Statement) -> "exp.Expression":
    if isinstance(statement, Query):
        return statement.tree
    if isinstance(statement, InsertInto | CreateTableAs | Unload):
        return statement.query
    raise StatementFailed("NOT_SUPPORTED", f"EXPLAIN of {statement.substatement} is not supported")


def _io(running: Running, statement: Statement, query: "exp.Expression") -> dict[str, Any]:
    """The tables that a statement reads, with what it leaves of their keys, and the one that it writes."""
    found = translated(running, query)
    told: dict[str, Any] = {"inputTableColumnInfos": [_input(use) for use in found.uses]}
    if isinstance(statement, InsertInto | CreateTableAs):
        told["outputTable"] = _table(running, statement.name)
    return told


def _input(use: ScanUse) -> dict[str, Any]:
    name, database, table = use.table
    return {
        "table": {"catalog": name, "schemaTable": {"schema": database, "table": table}},
        "columnConstraints": [_constraint(column, domain) for column, domain in use.domains.items()],
    }


def _constraint(column: str, domain: Domain) -> Mapping[str, Any]:
    if domain.values is not None:
        ranges = [{"low": _bound(value, True), "high": _bound(value, True)} for value in domain.values]
    else:
        ranges = [{"low": _bound(domain.low, domain.low_included), "high": _bound(domain.high, domain.high_included)}]
    return {"columnName": column, "domain": {"nullsAllowed": False, "ranges": ranges}}


def _bound(value: str | None, included: bool) -> dict[str, str]:
    if value is None:
        return {"bound": "UNBOUNDED"}
    return {"value": value, "bound": "EXACTLY" if included else "EXCLUSIVE"}


def _table(running: Running, name: Name) -> dict[str, Any]:
    found = catalog.named(running, name)
    return {"catalog": found.catalog, "schemaTable": {"schema": found.database, "table": found.name}}
