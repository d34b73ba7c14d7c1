"""Queries of Trino as queries of DuckDB: WITH, SELECT, set operations, VALUES, and queries inside expressions.

Every relation and column gets a name made here (`r0`, `c0`, `g0` ...), so that a user's names meet none of DuckDB's.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from sqlglot import exp

from clary.lake.tables import Table
from clary.systems.athena.contract import ScanUse, TableName
from clary.systems.athena.select import relations
from clary.systems.athena.select.casts import coerced
from clary.systems.athena.select.domains import Domains
from clary.systems.athena.select.expressions import Expressions
from clary.systems.athena.select.grouping import Groups, groupings, has_aggregate
from clary.systems.athena.select.operators import compared
from clary.systems.athena.select.scopes import Field, Scope
from clary.systems.athena.select.sessions import Session
from clary.systems.athena.select.types import BOOLEAN, T, common, row
from clary.systems.athena.select.values import Origin, Value, fail, mismatch, unsupported

_SET_WORDS = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}
_COMPARISONS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_HANDLED = {
    "with_", "expressions", "distinct", "from_", "joins", "where", "group", "having", "windows", "order", "limit",
    "offset", "laterals",
}  # fmt: skip
_DEEPEST = 200
_NO_AGGREGATES = "WHERE clause cannot contain aggregations, window functions or grouping operations"


@dataclass(frozen=True, slots=True)
class Output:
    """A column of a query: its name, if it has one, its type, and what it is made of."""

    name: str | None
    type: T
    origins: frozenset[Origin] = frozenset()
    key: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Derived:
    """A query as SQL, whose columns are named `c0`, `c1` ... there."""

    sql: str
    columns: tuple[Output, ...]


@dataclass(slots=True)
class Cte:
    """A query that WITH names: the relation that it is in SQL, and how often it is read."""

    relation: str
    columns: tuple[Output, ...]
    readers: int = 0


Env: TypeAlias = Mapping[str, Cte]


@dataclass(slots=True)
class ScanSoFar:
    """A table that the query reads, as far as it is known what of it."""

    relation: str
    table: TableName
    columns: tuple[str, ...]
    key_types: dict[str, T]
    inside: tuple[Cte, ...]
    as_of_seconds: float | None = None
    as_of_snapshot: int | str | None = None
    part: str = ""


@dataclass(slots=True)
class Queries:
    """One translation: what it may read, and what it was found to read."""

    session: Session
    tables: Mapping[TableName, Table]
    scans: list[ScanSoFar] = field(default_factory=list)
    reads: list[set[Origin]] = field(default_factory=lambda: [set()])
    domains: Domains = field(default_factory=Domains)
    inside: tuple[Cte, ...] = ()
    _names: int = 0
    _depth: int = 0

    def name(self) -> str:
        """A name for a relation that no other has."""
        self._names += 1
        return f"r{self._names - 1}"

    @contextmanager
    def gathered(self) -> Iterator[set[Origin]]:
        """Have what is read meanwhile gathered apart."""
        found: set[Origin] = set()
        self.reads.append(found)
        try:
            yield found
        finally:
            self.reads.pop()

    def read(self, columns: Sequence[Output]) -> None:
        """Count columns as read."""
        for each in columns:
            self.reads[-1].update(each.origins)

    def uses(self) -> tuple[ScanUse, ...]:
        """What was found to be read of each scan, in the order of the tables' columns."""
        found = []
        for at, scan in enumerate(self.scans):
            used = {name for number, name in self.reads[0] if number == at}
            found.append(
                ScanUse(scan.relation, scan.table, tuple(each for each in scan.columns if each in used),
                        self.domains.of(at, scan.key_types, scan.inside),
                        scan.as_of_seconds, scan.as_of_snapshot, scan.part)
            )  # fmt: skip
        return tuple(found)

    def query(self, node: exp.Expr, env: Env, parent: Scope | None) -> Derived:
        """A query, with what WITH names around it and the columns of the queries around it."""
        self._depth += 1
        if self._depth > _DEEPEST:
            fail("STACK_OVERFLOW", node, "the query is nested too deep")
        try:
            begins, env = self._with(node, env, parent)
            if isinstance(node, exp.Subquery | exp.Paren):
                found = self._parenthesis(node, env, parent)
            elif isinstance(node, exp.Select):
                found = self._select(node, env, parent)
            elif isinstance(node, exp.SetOperation):
                found = self._set_operation(node, env, parent)
            elif isinstance(node, exp.Values):
                found = self._values(node, env, parent)
            elif isinstance(node, exp.Table):
                found = self._select(exp.select("*").from_(node), env, parent)
            else:
                unsupported(node, f"{node.key.upper()} as a query")
            return Derived(begins + found.sql, found.columns)
        finally:
            self._depth -= 1

    def _parenthesis(self, node: exp.Subquery | exp.Paren, env: Env, parent: Scope | None) -> Derived:
        inner = self.query(node.this, env, parent)
        if any(node.args.get(each) for each in ("order", "limit", "offset")):
            return self._ordered_whole(node, inner, env, parent)
        return Derived(f"({inner.sql})", inner.columns)

    def _with(self, node: exp.Expr, env: Env, parent: Scope | None) -> tuple[str, Env]:
        found = node.args.get("with_")
        if found is None:
            return "", env
        env, parts = dict(env), []
        for each in found.expressions:
            name = each.alias.lower()
            aliases = [column.name for column in (each.args["alias"].args.get("columns") or ())]
            if found.args.get("recursive") and _names_itself(each.this, name):
                cte, sql = self._recursive(each, aliases, env, parent)
            else:
                cte = Cte(f"w{self.name()}", ())
                before, self.inside = self.inside, (*self.inside, cte)
                derived = self.query(each.this, env, parent)
                self.inside = before
                cte.columns = _renamed(derived.columns, aliases, each)
                sql = f"{cte.relation} AS ({derived.sql})"
            env[name] = cte
            parts.append(sql)
        return f"WITH {'RECURSIVE ' if found.args.get('recursive') else ''}{', '.join(parts)} ", env

    def _recursive(self, node: exp.CTE, aliases: list[str], env: Env, parent: Scope | None) -> tuple[Cte, str]:
        body = node.this
        if not isinstance(body, exp.Union) or not aliases:
            fail("NOT_SUPPORTED", node, "a recursive query names its columns and is a UNION of its start and its step")
        start = self.query(body.this, env, parent)
        self.read(start.columns)
        columns = tuple(Output(each.name, each.type) for each in _renamed(start.columns, aliases, node))
        cte = Cte(f"w{self.name()}", columns, readers=2)
        before, self.inside = self.inside, (*self.inside, cte)
        step = self.query(body.expression, {**env, node.alias.lower(): cte}, parent)
        self.inside = before
        self.read(step.columns)
        if len(step.columns) != len(columns):
            mismatch(node, "the start and the step of a recursive query must have the same columns")
        stepped = self._as_types(step, [each.type for each in columns], node)
        word = "UNION" if body.args.get("distinct") else "UNION ALL"
        names = ", ".join(f"c{at}" for at in range(len(columns)))
        return cte, f"{cte.relation}({names}) AS ({start.sql} {word} ({stepped}))"

    def _as_types(self, derived: Derived, types: Sequence[T], node: exp.Expr) -> str:
        """SQL of a query whose columns become these types."""
        if all(column.type == kind for column, kind in zip(derived.columns, types, strict=True)):
            return derived.sql
        relation = self.name()
        parts = []
        for at, (column, kind) in enumerate(zip(derived.columns, types, strict=True)):
            if common(column.type, kind) is None:
                mismatch(node, f"column {at + 1} has incompatible types: {column.type}, {kind}")
            parts.append(f"{coerced(Value(f'{relation}.c{at}', column.type), kind).sql} AS c{at}")
        return f"SELECT {', '.join(parts)} FROM ({derived.sql}) AS {relation}"

    def _set_operation(self, node: exp.SetOperation, env: Env, parent: Scope | None) -> Derived:
        word = _SET_WORDS.get(type(node))
        if word is None or node.args.get("by_name"):
            unsupported(node, node.key.upper())
        left, right = (self.query(each, env, parent) for each in (node.this, node.expression))
        if len(left.columns) != len(right.columns):
            mismatch(node, f"{word} query has different number of fields: {len(left.columns)}, {len(right.columns)}")
        distinct = bool(node.args.get("distinct"))
        columns = []
        for at, (one, other) in enumerate(zip(left.columns, right.columns, strict=True)):
            kind = common(one.type, other.type)
            if kind is None:
                mismatch(node, f"column {at + 1} in {word} query has incompatible types: {one.type}, {other.type}")
            key = (*one.key, *other.key) if one.key and other.key and word == "UNION" else ()
            columns.append(Output(one.name, kind, one.origins | other.origins, key))
        if distinct or word != "UNION":
            self.read(columns)
        types = [each.type for each in columns]
        sides = [self._as_types(each, types, node) for each in (left, right)]
        sql = f"({sides[0]}) {word}{'' if distinct else ' ALL'} ({sides[1]})"
        found = Derived(sql, tuple(columns))
        if any(node.args.get(each) for each in ("order", "limit", "offset")):
            return self._ordered_whole(node, found, env, parent)
        return found

    def _ordered_whole(self, node: exp.Expr, derived: Derived, env: Env, parent: Scope | None) -> Derived:
        """A query that has an ORDER BY, LIMIT or OFFSET around it."""
        relation = self.name()
        scope = Scope(self.reads, relations.fields_of(derived.columns, relation), parent)
        expressions = Expressions(self, scope)
        expressions.env = env
        order = self._order(node, expressions, scope.fields, [])
        limit = self._limit(node)
        cut = bool(node.args.get("limit") or node.args.get("offset"))
        columns = tuple(Output(e.name, e.type, e.origins, () if cut else e.key) for e in derived.columns)
        return Derived(f"SELECT * FROM ({derived.sql}) AS {relation}{order}{limit}", columns)

    def _values(self, node: exp.Values, env: Env, parent: Scope | None) -> Derived:
        expressions = Expressions(self, Scope(self.reads, [], parent))
        expressions.env = env
        rows = [list(each.expressions) if isinstance(each, exp.Tuple) else [each] for each in node.expressions]
        if len({len(each) for each in rows}) != 1:
            mismatch(node, "Values rows have mismatched sizes")
        columns = [expressions.unified([each[at] for each in rows], "Values rows") for at in range(len(rows[0]))]
        lines = ", ".join(f"({', '.join(values[at].sql for values in columns)})" for at in range(len(rows)))
        names = ", ".join(f"c{at}" for at in range(len(columns)))
        sql = f"SELECT * FROM (VALUES {lines}) AS {self.name()}({names})"
        outputs = tuple(Output(None, values[0].type) for values in columns)
        if any(node.args.get(each) for each in ("order", "limit", "offset")):
            return self._ordered_whole(node, Derived(sql, outputs), env, parent)
        return Derived(sql, outputs)

    def _select(self, node: exp.Select, env: Env, parent: Scope | None) -> Derived:
        for name, value in node.args.items():
            if value and name not in _HANDLED:
                unsupported(node, f"{name.strip('_').upper()}")
        scope = Scope(self.reads, [], parent)
        plain = Expressions(self, scope)
        plain.env = env
        source = relations.source(plain, node)
        plain.windows = {each.name.lower(): each for each in node.args.get("windows") or ()}
        where = self._where(node, plain)
        expanded = [each for item in node.expressions for each in relations.expanded(item, scope)]
        order = node.args.get("order")
        having, group = node.args.get("having"), node.args.get("group")
        asked = [*node.expressions, *(order.expressions if order else ()), *([having.this] if having else ())]
        expressions, groups, sets = plain, None, None
        if group is not None or having is not None or any(map(has_aggregate, asked)):
            groups = Groups(self.name(), plain)
            if group is not None:
                sets = groupings(groups, group, [item if isinstance(item, exp.Expr) else _reference(item)
                                                 for item, _ in expanded])  # fmt: skip
            outer = Scope(self.reads, scope.fields, parent, groups.shown)
            expressions = Expressions(self, outer, groups)
            expressions.env, expressions.windows = env, plain.windows
        outputs, texts = self._items(expanded, expressions, node)
        condition = ""
        if having is not None:
            condition = f" WHERE {expressions.condition(having.this, 'HAVING clause')}"
        said = node.args.get("distinct")
        distinct = said is not None
        if said is not None and said.args.get("on") is not None:
            fail("SYNTAX_ERROR", said, "mismatched input 'ON'")
        if distinct:
            self.read(outputs)
        fields = [Field(each.name, each.type, text, origins=each.origins, key=each.key)
                  for each, text in zip(outputs, texts, strict=True)]  # fmt: skip
        ordered = self._order(node, expressions, fields, texts, distinct=distinct)
        columns = ", ".join(f"{text} AS c{at}" for at, text in enumerate(texts))
        if groups is not None:
            source = f" FROM ({groups.sql(source, where, sets)}) AS {groups.relation}"
            where = condition
        sql = f"SELECT {'DISTINCT ' if distinct else ''}{columns}{source}{where}{ordered}{self._limit(node)}"
        if node.args.get("limit") or node.args.get("offset") or node.find(exp.Window, exp.TableSample):
            outputs = [Output(each.name, each.type, each.origins) for each in outputs]
        return Derived(sql, tuple(outputs))

    def _where(self, node: exp.Select, plain: Expressions) -> str:
        where = node.args.get("where")
        if where is None:
            return ""
        if has_aggregate(where.this):
            fail("EXPRESSION_NOT_SCALAR", where, _NO_AGGREGATES)
        if any(isinstance(each, exp.Window) and each.parent_select is node for each in where.find_all(exp.Window)):
            fail("EXPRESSION_NOT_SCALAR", where, _NO_AGGREGATES)
        condition = plain.condition(where.this, "WHERE clause")
        self.domains.add(where.this, plain, self.inside)
        return f" WHERE {condition}"

    def _items(
        self, expanded: Sequence[tuple[exp.Expr | Field, str | None]], expressions: Expressions, node: exp.Select
    ) -> tuple[list[Output], list[str]]:
        outputs, texts = [], []
        for item, name in expanded:
            with self.gathered() as read:
                if isinstance(item, Field):
                    value = Value(item.sql, item.type, key=item.key)
                    read.update(item.origins)
                    if expressions.scope.shown is not None:
                        value = expressions.scope.shown(value, exp.column(item.name or "?"))
                else:
                    value = expressions.typed(item)
            outputs.append(Output(name, value.type, frozenset(read), value.key))
            texts.append(value.sql)
        if not texts:
            fail("COLUMN_NOT_FOUND", node, "SELECT * not allowed from relation that has no columns")
        return outputs, texts

    def _order(
        self,
        node: exp.Expr,
        expressions: Expressions,
        fields: list[Field],
        texts: list[str],
        *,
        distinct: bool = False,
    ) -> str:
        order = node.args.get("order")
        if order is None:
            return ""
        parts = []
        for each in order.expressions:
            value = self._order_key(each.this, expressions, fields)
            if value is None:
                continue
            if value.sql in texts:
                value = Value(str(texts.index(value.sql) + 1), value.type)
            elif distinct:
                fail(
                    "EXPRESSION_NOT_IN_DISTINCT",
                    each,
                    "For SELECT DISTINCT, ORDER BY expressions must appear in select list",
                )
            parts.append(self.ordered(value, each))
        return f" ORDER BY {', '.join(parts)}" if parts else ""

    def _order_key(self, node: exp.Expr, expressions: Expressions, fields: list[Field]) -> Value | None:
        """What ORDER BY names: a column of the result by its place or name, or an expression over both."""
        if isinstance(node, exp.Literal) and not node.is_string:
            at = int(node.this) if node.this.isdigit() else 0
            if not 1 <= at <= len(fields):
                fail("INVALID_COLUMN_REFERENCE", node, f"ORDER BY position {node.this} is not in select list")
            self.reads[-1].update(fields[at - 1].origins)
            return Value(fields[at - 1].sql, fields[at - 1].type)
        if isinstance(node, exp.Literal | exp.Boolean | exp.Null):
            return None
        named = {each.name.lower(): each for each in reversed(fields) if each.name is not None}
        if isinstance(node, exp.Column) and not node.table and node.name.lower() in named:
            found = [each for each in fields if each.name is not None and each.name.lower() == node.name.lower()]
            if len({each.sql for each in found}) > 1:
                fail("AMBIGUOUS_NAME", node, f"Column '{node.name}' is ambiguous")
            self.reads[-1].update(found[0].origins)
            return Value(found[0].sql, found[0].type)
        for each in fields:
            self.reads[-1].update(each.origins)
        # A name of the result stands before one of the rows, but within an aggregate.
        named_here = any(
            isinstance(each, exp.Column) and not each.table and each.name.lower() in named for each in node.walk()
        )
        if not named_here or has_aggregate(node):
            return expressions.typed(node)
        return expressions.with_lambda({name: Value(each.sql, each.type) for name, each in named.items()}, node)

    def ordered(self, value: Value, node: exp.Ordered) -> str:
        """SQL of a key of an order. NULL is last unless the query says otherwise, whichever way it goes."""
        if value.type.name in ("map", "json"):
            mismatch(node, f"Type {value.type} is not orderable, and therefore cannot be used in ORDER BY")
        way = "DESC" if node.args.get("desc") else "ASC"
        return f"{value.sql} {way} NULLS {'FIRST' if node.args.get('nulls_first') else 'LAST'}"

    def _limit(self, node: exp.Expr) -> str:
        parts = ""
        limit, offset = node.args.get("limit"), node.args.get("offset")
        if isinstance(limit, exp.Fetch):
            options = limit.args.get("limit_options")
            if options is not None and (options.args.get("with_ties") or options.args.get("percent")):
                unsupported(limit, "FETCH FIRST ... WITH TIES or PERCENT")
            count = limit.args.get("count")
            parts += f" LIMIT {_count(count) if count is not None else 1}"
        elif limit is not None and limit.expression.name.upper() != "ALL":
            parts += f" LIMIT {_count(limit.expression)}"
        if offset is not None:
            parts += f" OFFSET {_count(offset.expression)}"
        return parts

    def scalar(self, expressions: Expressions, node: exp.Expr) -> Value:
        """A query that stands for one value; it fails when it has more rows than one."""
        self._refuse_in_lambda(expressions, node)
        derived = self.query(node, expressions.env, expressions.scope)
        self.read(derived.columns)
        if len(derived.columns) != 1:
            kind = row(*(each.type for each in derived.columns))
            relation = self.name()
            packed = expressions.row([Value(f"{relation}.c{at}", each) for at, each in enumerate(kind.children)])
            return Value(f"(SELECT {packed.sql} FROM ({derived.sql}) AS {relation})", kind)
        return Value(f"({derived.sql})", derived.columns[0].type)

    def _refuse_in_lambda(self, expressions: Expressions, node: exp.Expr) -> None:
        if expressions.lambda_depth:
            unsupported(node, "a query in a lambda expression")

    def existence(self, expressions: Expressions, node: exp.Exists) -> Value:
        self._refuse_in_lambda(expressions, node)
        derived = self.query(node.this, expressions.env, expressions.scope)
        return Value(f"EXISTS ({derived.sql})", BOOLEAN)

    def membership(self, expressions: Expressions, node: exp.In) -> Value:
        """`value IN (query)`."""
        self._refuse_in_lambda(expressions, node)
        sides = list(node.this.expressions) if isinstance(node.this, exp.Tuple) else [node.this]
        derived = self.query(node.args["query"], expressions.env, expressions.scope)
        self.read(derived.columns)
        values = [expressions.typed(each) for each in sides]
        if len(derived.columns) == 1 and len(sides) > 1:
            values = [expressions.row(values)]
        if len(values) != len(derived.columns):
            mismatch(node, f"Value expression and result of subquery must be of the same type: "
                           f"{len(values)} vs {len(derived.columns)} columns")  # fmt: skip
        types = []
        for value, column in zip(values, derived.columns, strict=True):
            kind = common(value.type, column.type)
            if kind is None:
                mismatch(node, f"Value expression and result of subquery must be of the same type: {value.type} vs "
                               f"{column.type}")  # fmt: skip
            types.append(kind)
        texts = [coerced(value, kind).sql for value, kind in zip(values, types, strict=True)]
        left = texts[0] if len(texts) == 1 else f"({', '.join(texts)})"
        return Value(f"({left} IN ({self._as_types(derived, types, node)}))", BOOLEAN)

    def quantified(self, expressions: Expressions, node: exp.Binary, query: exp.Expr, *, every: bool) -> Value:
        """`value = ANY (query)`, `value < ALL (query)`."""
        self._refuse_in_lambda(expressions, node)
        sign = _COMPARISONS.get(type(node))
        if sign is None or not isinstance(query, exp.Query | exp.Subquery | exp.Values):
            unsupported(node, "a comparison with ANY or ALL of anything but a query")
        derived = self.query(query, expressions.env, expressions.scope)
        self.read(derived.columns)
        value, column = expressions.typed(node.this), derived.columns[0]
        kind = common(value.type, column.type)
        if kind is None or len(derived.columns) != 1:
            mismatch(
                node, f"Value expression and result of subquery must be of the same type: {value.type} vs {column.type}"
            )
        compared(sign, value, Value("c0", column.type), node)
        inner = self._as_types(derived, [kind], node)
        return Value(f"({coerced(value, kind).sql} {sign} {'ALL' if every else 'ANY'} ({inner}))", BOOLEAN)


def _count(node: exp.Expr) -> int:
    if isinstance(node, exp.Literal) and node.this.isdigit():
        return int(node.this)
    fail("SYNTAX_ERROR", node, f"{node.sql(dialect='trino')} is not a number of rows")


def _renamed(columns: Sequence[Output], aliases: Sequence[str], node: exp.Expr) -> tuple[Output, ...]:
    if not aliases:
        return tuple(columns)
    if len(aliases) != len(columns):
        fail("MISMATCHED_COLUMN_ALIASES", node,
             f"Column alias list has {len(aliases)} entries but relation has {len(columns)} columns")  # fmt: skip
    return tuple(Output(name, each.type, each.origins, each.key) for name, each in zip(aliases, columns, strict=True))


def _names_itself(body: exp.Expr, name: str) -> bool:
    return any(table.name.lower() == name and not table.db for table in body.find_all(exp.Table))


def _reference(item: Field) -> exp.Expr:
    parts = [exp.to_identifier(each, quoted=True) for each in (*item.qualifier[-1:], item.name or "")]
    return exp.Column(this=parts[-1], table=parts[0] if len(parts) > 1 else None)
