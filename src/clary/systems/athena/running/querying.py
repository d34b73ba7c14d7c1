"""Perform SELECT: from a tree of sqlglot to the file of its rows."""

from typing import Any

from sqlglot import exp

from clary.lake.engine.tasks import OUT, RESULT, ResultFile, Task
from clary.systems.athena.contract import Outcome, OutputColumn, Running, StatementFailed


def query(running: Running, statement: Any) -> Outcome:
    """The rows of a query."""
    tree = statement.tree
    if tree.find(exp.Table):
        raise StatementFailed("NOT_SUPPORTED", "Clary does not read tables yet")
    columns = tuple(OutputColumn(name or f"_col{place}", "varchar") for place, name in enumerate(tree.named_selects))
    task = Task(sql=tree.sql(dialect="duckdb"), scans=(), output=ResultFile())
    running.run(task)
    return Outcome(statement.kind, statement.substatement, columns, result=running.folder / OUT / RESULT)
