"""Perform SELECT: from a tree of sqlglot to the file of its rows."""

from clary.lake.engine.tasks import OUT, RESULT, ResultFile, Task
from clary.systems.athena.contract import Outcome, Running
from clary.systems.athena.language.statements import Query
from clary.systems.athena.running.plans import planned


def query(running: Running, statement: Query) -> Outcome:
    """The rows of a query."""
    plan = planned(running, statement.tree)
    task = Task(
        sql=plan.sql,
        scans=plan.scans,
        output=ResultFile(),
        names=tuple(column.name for column in plan.columns),
        types=tuple(column.type for column in plan.columns),
    )
    running.run(task)
    return Outcome(statement.kind, statement.substatement, plan.columns, result=running.folder / OUT / RESULT)
