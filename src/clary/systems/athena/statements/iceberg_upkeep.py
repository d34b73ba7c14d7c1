"""OPTIMIZE and VACUUM: many small files of an Iceberg table become few, and what is past is let go."""

from typing import Any

from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from sqlglot import exp

from clary.lake.engine.tasks import Task
from clary.lake.iceberg.commits import change
from clary.lake.iceberg.compacting import compaction
from clary.lake.iceberg.domains import expression_of
from clary.lake.iceberg.expiring import vacuum as vacuumed
from clary.lake.iceberg.files import output_of, stored_data
from clary.lake.iceberg.reading import scan_of_files
from clary.lake.iceberg.tables import IcebergTable
from clary.lake.types import quoted
from clary.systems.athena.contract import Outcome, Running, StatementFailed, TableName
from clary.systems.athena.language.statements import Optimize, Vacuum
from clary.systems.athena.planning.iceberg import failing, loaded
from clary.systems.athena.running.plans import translated
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.iceberg_notes import ToStore, committed, summary_of


def optimize(running: Running, statement: Optimize) -> Outcome:
    """Write small data files, and those that lost rows, anew: those of the partitions that WHERE leaves."""
    name, table = named_iceberg(running, statement)
    done = Outcome(statement.kind, statement.substatement, rows=())
    if committed(running) is not None:
        return done
    with failing(name.database, name.name):
        found = compaction(table, _wanted(running, statement, table))
        if found is None:
            return done
        scan = scan_of_files(table, "compacted", found.files, schema=table.schema)
        columns = ", ".join(quoted(field.name.lower()) for field in table.schema.fields)
        output = output_of(table, running.execution_id)
        result = running.run(Task(sql=f"SELECT {columns} FROM compacted", scans=(scan,), output=output))
        files = ToStore(running)
        added = stored_data(files.access, table, result.files)
        made = found.change(table, added, summary_of(running, result.rows))
        files.store(statement, name, result.rows, outcome=done)
        change(running, name.database, name.name, made)
    return done


def vacuum(running: Running, statement: Vacuum) -> Outcome:
    """Let go of the snapshots that are older than the table keeps, and of files that no snapshot needs."""
    name, _ = named_iceberg(running, statement)
    with failing(name.database, name.name):
        vacuumed(running, name.database, name.name, running.ctx.platform.clock.now())
    return Outcome(statement.kind, statement.substatement, rows=())


def named_iceberg(running: Running, statement: Any) -> tuple[TableName, IcebergTable]:
    """The Iceberg table that a statement changes. Raises StatementFailed where there is none."""
    name = catalog.named(running, statement.name)
    document = catalog.find_table(running, name)
    if document is None:
        raise StatementFailed("TABLE_NOT_FOUND", f"line 1:1: Table '{'.'.join(name)}' does not exist")
    if not catalog.is_iceberg(document):
        what = statement.substatement.replace("_", " ")
        raise StatementFailed(
            "NOT_SUPPORTED", f"line 1:1: {what} is for Iceberg tables, and '{'.'.join(name)}' is none"
        )
    return name, loaded(running, document)


def _wanted(running: Running, statement: Optimize, table: IcebergTable) -> BooleanExpression:
    """What WHERE leaves of the table's partitions. Raises StatementFailed where it is about other columns."""
    if statement.condition is None:
        return AlwaysTrue()
    sources = {part.source_id for part in table.metadata.spec().fields}
    keys = {field.name.lower() for field in table.schema.fields if field.field_id in sources}
    for column in statement.condition.find_all(exp.Column):
        if column.name.lower() not in keys:
            raise StatementFailed(
                "NOT_SUPPORTED", f"OPTIMIZE filters by partition columns, and {column.name} is none of {table.name}"
            )
    tree = exp.select("1").from_(_node(statement)).where(statement.condition.copy())
    (use,) = translated(running, tree).uses
    return expression_of(use.domains, table.schema)


def _node(statement: Optimize) -> exp.Table:
    parts = {"catalog": statement.name.catalog, "db": statement.name.database, "this": statement.name.name}
    return exp.Table(**{part: exp.to_identifier(name, quoted=True) for part, name in parts.items() if name})
