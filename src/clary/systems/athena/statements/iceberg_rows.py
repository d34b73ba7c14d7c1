"""DELETE, UPDATE and MERGE of Iceberg tables: each is a query that says what becomes of which row, and one commit.

A row of the query is what becomes of a row, D, U or I, where it is now, and the values of all columns after it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pyiceberg.expressions import AlwaysFalse, BooleanExpression
from pyiceberg.table.snapshots import Snapshot
from sqlglot import exp

from clary.lake.engine.tasks import Task
from clary.lake.iceberg.changing import ROW, changed_rows, check_changeable, with_rows
from clary.lake.iceberg.commits import change
from clary.lake.iceberg.domains import expression_of
from clary.lake.iceberg.files import output_of
from clary.lake.iceberg.planning import PlannedFile, plan
from clary.lake.iceberg.reading import FILE, scan_of_files
from clary.lake.iceberg.tables import IcebergTable, described
from clary.lake.scans import Scan
from clary.lake.tables import Column
from clary.systems.athena.contract import Outcome, Running, ScanUse, StatementFailed, TableName
from clary.systems.athena.language.statements import Delete, Merge, Update
from clary.systems.athena.planning.iceberg import failing
from clary.systems.athena.running.plans import Special, planned
from clary.systems.athena.statements.iceberg_notes import ToStore, committed, summary_of
from clary.systems.athena.statements.iceberg_upkeep import named_iceberg
from clary.systems.athena.statements.iceberg_values import checked, stored_sql
from clary.systems.athena.statements.writing import outcome_of

_PART = "rows"
_KEEP, _DELETE, _UPDATE, _INSERT = "", "D", "U", "I"


def delete(running: Running, statement: Delete) -> Outcome:
    """Delete the rows that WHERE says, or all."""

    def rows(target: "_Target") -> exp.Select:
        select = _select(target, exp.Literal.string(_DELETE), [exp.Null() for _ in target.columns])
        return _where(select.from_(target.node), statement.tree.args.get("where"))

    return _perform(running, statement, statement.tree.this, rows, updates=False)


def update(running: Running, statement: Update) -> Outcome:
    """Write values over the columns of the rows that WHERE says, or all."""

    def rows(target: "_Target") -> exp.Select:
        values = target.assigned(statement.tree.expressions)
        select = _select(
            target, exp.Literal.string(_UPDATE), [values.get(c.name, target.column(c.name)) for c in target.columns]
        )
        target.written = set(values)
        return _where(select.from_(target.node), statement.tree.args.get("where"))

    return _perform(running, statement, statement.tree.this, rows, updates=True)


def merge(running: Running, statement: Merge) -> Outcome:
    """Delete, update and insert rows by how they match those of a source. Fails where one matches several."""
    tree = statement.tree
    whens = tree.args["whens"].expressions
    updates = any(isinstance(each.args["then"], exp.Update) for each in whens)

    def rows(target: "_Target") -> exp.Select:
        clauses = [_clause(target, each) for each in whens]
        becomes = exp.Case(ifs=[exp.If(this=c.condition.copy(), true=exp.Literal.string(c.becomes)) for c in clauses])
        values = [
            exp.Case(ifs=[exp.If(this=c.condition.copy(), true=c.value(column.name)) for c in clauses])
            for column in target.columns
        ]
        target.written = {column.name for column in target.columns}
        inserts = any(each.becomes == _INSERT for each in clauses)
        source = tree.args["using"].copy()
        on = tree.args["on"].copy()
        return (
            _select(target, becomes, values)
            .from_(source)
            .join(target.node, on=on, join_type="left" if inserts else "inner")
        )

    return _perform(running, statement, tree.this, rows, updates=updates)


@dataclass(slots=True)
class _Target:
    """The table whose rows are changed, as the query names it. `written` are the columns that get other values."""

    node: exp.Table
    alias: str
    columns: Sequence[Column]
    written: set[str] = field(default_factory=set)

    def column(self, name: str) -> exp.Column:
        return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(self.alias, quoted=True))

    def assigned(self, items: Sequence[exp.Expression]) -> dict[str, exp.Expression]:
        """The values of SET by column. Raises StatementFailed for a column that is not there, or is there twice."""
        known = {column.name for column in self.columns}
        found: dict[str, exp.Expression] = {}
        for each in items:
            name = each.this.name.lower()
            if name not in known:
                raise StatementFailed("COLUMN_NOT_FOUND", f"The UPDATE SET target column {name} doesn't exist")
            if name in found:
                raise StatementFailed("SYNTAX_ERROR", f"The column {name} is assigned more than once in UPDATE SET")
            found[name] = each.expression.copy()
        return found


@dataclass(frozen=True, slots=True)
class _Clause:
    """A WHEN of MERGE: its condition, what becomes of a row, and the value of each column after it."""

    condition: exp.Expression
    becomes: str
    value: Callable[[str], exp.Expression]


@dataclass(slots=True)
class _Read:
    """What was read of the table to find its rows."""

    table: IcebergTable
    snapshot: Snapshot | None
    expression: BooleanExpression = field(default_factory=AlwaysFalse)
    files: Sequence[PlannedFile] = ()

    def scan(self, use: ScanUse) -> Scan:
        self.expression = expression_of(use.domains, self.table.schema)
        self.files = plan(self.table, self.snapshot, self.expression)
        used = [*use.used, *ROW]
        return scan_of_files(self.table, use.relation, self.files, schema=self.table.schema, used=used)


def _perform(
    running: Running,
    statement: Delete | Update | Merge,
    named: exp.Table,
    rows: Callable[[_Target], exp.Select],
    *,
    updates: bool,
) -> Outcome:
    name, table = named_iceberg(running, statement)
    done = committed(running)
    if done is not None:
        return outcome_of(statement, [uri for uri, _ in done.files], done.rows)
    with failing(name.database, name.name):
        check_changeable(table)
        lake = described(table)
        target = _Target(_node(name, named), named.alias or named.name, lake.columns)
        read = _Read(table, table.metadata.current_snapshot())
        special = Special(name._replace(name=f"{name.name}${_PART}"), with_rows(lake), read.scan)
        found = planned(running, rows(target), special)
        _check(statement, target, [each.type for each in found.columns[1 + len(ROW) :]])
        items = [stored_sql(f"v{place}", each.type) for place, each in enumerate(found.columns)]
        aliases = ", ".join(f"v{place}" for place in range(len(items)))
        output = output_of(table, running.execution_id, changes=True)
        sql = f"SELECT {', '.join(items)} FROM ({found.sql}) AS given({aliases})"
        result = running.run(Task(sql=sql, scans=found.scans, output=output))
        count = result.rows
        files = ToStore(running)
        made = changed_rows(
            files.access,
            table,
            read.files,
            result.files,
            snapshot=read.snapshot,
            read=read.expression,
            updates=updates,
            summary=summary_of(running, count),
        )
        uris = tuple(file.file_path for file in made.added)
        if made.added or made.removed:
            files.store(statement, name, count)
            change(running, name.database, name.name, made)
    return outcome_of(statement, uris, count)


def _select(target: _Target, becomes: exp.Expression, values: Sequence[exp.Expression]) -> exp.Select:
    items = [becomes, *(target.column(each) for each in ROW), *values]
    return exp.select(*(exp.alias_(each, f"v{place}", quoted=True) for place, each in enumerate(items)))


def _where(select: exp.Select, where: exp.Where | None) -> exp.Select:
    if where is not None:
        select.set("where", where.copy())
    return select


def _clause(target: _Target, when: exp.When) -> _Clause:
    there = exp.Is(this=target.column(FILE), expression=exp.Null())
    matched: exp.Expression = exp.Not(this=there) if when.args["matched"] else there
    condition = when.args.get("condition")
    if condition is not None:
        matched = exp.And(this=exp.Paren(this=matched), expression=exp.Paren(this=condition.copy()))
    then = when.args["then"]
    if isinstance(then, exp.Update):
        assigned = target.assigned(then.expressions)
        return _Clause(matched, _UPDATE, lambda name: assigned.get(name, target.column(name)).copy())
    if isinstance(then, exp.Insert):
        inserted = _inserted(target, then)
        return _Clause(matched, _INSERT, lambda name: inserted.get(name, exp.Null()).copy())
    return _Clause(matched, _DELETE, lambda name: exp.Null())


def _inserted(target: _Target, then: exp.Insert) -> Mapping[str, exp.Expression]:
    """The values of INSERT by column."""
    values = then.expression.expressions
    columns = then.this.expressions if isinstance(then.this, exp.Tuple) else []
    names = [each.name.lower() for each in columns] or [each.name for each in target.columns]
    if len(names) != len(values):
        raise StatementFailed(
            "SYNTAX_ERROR", f"MERGE INSERT has {len(names)} columns and {len(values)} values: give one for each"
        )
    known = {column.name for column in target.columns}
    for name in names:
        if name not in known:
            raise StatementFailed("COLUMN_NOT_FOUND", f"Merge column name does not exist in target table: {name}")
        if names.count(name) > 1:
            raise StatementFailed("DUPLICATE_COLUMN_NAME", f"Merge column name is specified more than once: {name}")
    return dict(zip(names, values, strict=True))


def _check(statement: Delete | Update | Merge, target: _Target, given: Sequence[str]) -> None:
    """Raise StatementFailed where a column is given values that it cannot hold."""
    pairs = [
        (kind, column.type) for kind, column in zip(given, target.columns, strict=True) if column.name in target.written
    ]
    what = "UPDATE" if isinstance(statement, Update) else "MERGE"
    labels = ("Table", "Expressions")
    message = f"{what} table column types don't match SET expressions"
    checked(message, [kind for kind, _ in pairs], [wanted for _, wanted in pairs], labels)


def _node(name: TableName, named: exp.Table) -> exp.Table:
    """The table under a name that says that its rows are to be told apart, and under the alias that it has."""
    parts = {"catalog": name.catalog, "db": name.database, "this": f"{name.name}${_PART}"}
    node = exp.Table(**{part: exp.to_identifier(text, quoted=True) for part, text in parts.items()})
    node.set("alias", exp.TableAlias(this=exp.to_identifier(named.alias or named.name, quoted=True)))
    return node
