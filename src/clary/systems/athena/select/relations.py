"""What stands in FROM: tables, queries, joins, UNNEST, LATERAL, samples."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from sqlglot import exp

from clary.lake.tables import ICEBERG, Table
from clary.lake.types import quoted
from clary.systems.athena.contract import TableName
from clary.systems.athena.select.casts import coerced
from clary.systems.athena.select.operators import compared
from clary.systems.athena.select.scopes import Field, Scope, field_at
from clary.systems.athena.select.types import (
    BIGINT,
    INTEGER,
    TIMESTAMP_ZONED,
    VARCHAR,
    ZONED,
    T,
    of_column,
)
from clary.systems.athena.select.values import Value, fail, mismatch, unsupported

if TYPE_CHECKING:
    from clary.systems.athena.select.expressions import Expressions
    from clary.systems.athena.select.queries import Output, Queries

HIDDEN = {
    "$path": VARCHAR, "$file_size": BIGINT, "$file_modified_time": TIMESTAMP_ZONED, "$bucket": INTEGER,
    "$partition": VARCHAR,
}  # fmt: skip
_PARTS = ("files", "history", "snapshots", "partitions", "manifests", "refs")


_KNOWN: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Table: ("this", "db", "catalog", "alias", "sample", "version", "joins"),
    exp.Subquery: ("this", "alias", "sample", "joins", "with_", "order", "limit", "offset"),
    exp.Values: ("expressions", "alias", "order", "limit", "offset"),
    exp.Unnest: ("expressions", "alias", "offset"),
    exp.Lateral: ("this", "alias"),
    exp.Join: ("this", "side", "kind", "method", "on", "using"),
}


def table_name(node: exp.Table, catalog: str, database: str) -> TableName:
    """A table as a query names it, completed."""
    if not isinstance(node.this, exp.Identifier):
        unsupported(node, f"{node.sql(dialect='trino')[:60]} as a table")
    return TableName((node.catalog or catalog).lower(), (node.db or database).lower(), node.name.lower())


def fields_of(columns: "Iterable[Output]", relation: str) -> list[Field]:
    """The columns of a query as fields of a relation."""
    return [
        Field(each.name, each.type, f"{relation}.c{at}", origins=each.origins, key=each.key)
        for at, each in enumerate(columns)
    ]


def source(expressions: "Expressions", node: exp.Select) -> str:
    """SQL of FROM, whose columns become those of the scope."""
    start = node.args.get("from_")
    if start is None:
        return ""
    text = _joined(expressions, start.this, list(node.args.get("joins") or ()), list(node.args.get("laterals") or ()))
    return f" FROM {text}"


def _joined(
    expressions: "Expressions", first: exp.Expr, joins: Sequence[exp.Join], laterals: Sequence[exp.Expr]
) -> str:
    if laterals:
        unsupported(laterals[0], "LATERAL VIEW")
    scope = expressions.scope
    text, scope.fields = _relation(expressions, first)
    for join in [*(first.args.get("joins") or ()), *joins]:
        text = _join(expressions, text, join)
    return text


def _join(expressions: "Expressions", left: str, join: exp.Join) -> str:
    scope = expressions.scope
    _refuse_more(join)
    side, kind = (join.side or "").upper(), (join.kind or "").upper()
    method = (join.method or "").upper()
    if (
        method not in ("", "NATURAL")
        or kind not in ("", "INNER", "CROSS", "OUTER")
        or side not in ("", "LEFT", "RIGHT", "FULL")
    ):
        unsupported(join, f"a {method} {side} {kind} JOIN".replace("  ", " "))
    on, using = join.args.get("on"), join.args.get("using")
    target = join.this
    if isinstance(target, exp.Lateral):
        target = target.this
    if isinstance(target, exp.Unnest):
        if side not in ("", "LEFT") or (on is not None and not _true(on)):
            unsupported(join, "a join with UNNEST other than CROSS JOIN, or LEFT JOIN ON TRUE,")
        return _unnested(expressions, left, target, outer=side == "LEFT")
    before = scope.fields
    right, fields = _relation(expressions, target, lateral=isinstance(join.this, exp.Lateral))
    words = {"": "INNER JOIN", "LEFT": "LEFT JOIN", "RIGHT": "RIGHT JOIN", "FULL": "FULL JOIN"}[side]
    if method == "NATURAL" or using:
        names = [each.name for each in using] if using else _shared(before, fields)
        return _join_using(expressions, left, right, before, fields, names, words, join)
    scope.fields = [*before, *fields]
    if on is None:
        if side:
            fail("SYNTAX_ERROR", join, f"{words} needs ON or USING")
        return f"{left} CROSS JOIN {right}"
    condition = expressions.condition(on, "JOIN ON clause")
    expressions.queries.domains.add(on, expressions, expressions.queries.inside, only=_prunable(side, before, fields))
    return f"{left} {words} {right} ON {condition}"


def _prunable(side: str, left: list[Field], right: list[Field]) -> list[Field]:
    """The side of a join of which a row that ON refuses is not seen at all."""
    return {"": [*left, *right], "LEFT": right, "RIGHT": left, "FULL": []}[side]


def _true(on: exp.Expr) -> bool:
    return isinstance(on, exp.Boolean) and bool(on.this)


def _shared(left: list[Field], right: list[Field]) -> list[str]:
    others = {each.name.lower() for each in right if each.name and not each.hidden}
    return [each.name for each in left if each.name and each.name.lower() in others and not each.hidden]


def _join_using(
    expressions: "Expressions", left: str, right: str, before: list[Field], after: list[Field], names: list[str],
    words: str, join: exp.Join,
) -> str:  # fmt: skip
    scope = expressions.scope
    reads = expressions.queries.reads[-1]
    joined, conditions, taken = [], [], []
    for name in names:
        sides = []
        for fields in (before, after):
            found = [e for e in fields if e.name and e.name.lower() == name.lower() and not e.qualified_only]
            if len(found) != 1:
                code = "AMBIGUOUS_NAME" if found else "COLUMN_NOT_FOUND"
                side = "left" if fields is before else "right"
                fail(code, join, f"Column '{name}' is {'ambiguous' if found else f'missing from {side} side of join'}")
            sides.append(found[0])
            reads |= found[0].origins
        one, other = sides
        values = [Value(each.sql, each.type, key=each.key) for each in sides]
        conditions.append(compared("=", values[0], values[1], join))
        kind = expressions.alike(values, [join, join], "USING")[0].type
        texts = [coerced(value, kind).sql for value in values]
        sql = {"RIGHT JOIN": texts[1], "FULL JOIN": f"coalesce({', '.join(texts)})"}.get(words, texts[0])
        key = (
            ()
            if words == "FULL JOIN" or sql not in (one.sql, other.sql)
            else (other if words == "RIGHT JOIN" else one).key
        )
        joined.append(Field(one.name, kind, sql, origins=one.origins | other.origins, key=key))
        taken += sides
    rest = [replace(each, qualified_only=True) if each in taken else each for each in [*before, *after]]
    hidden = [replace(each, hidden=True) if each in taken or each.qualified_only else each for each in rest]
    scope.fields = [*joined, *hidden]
    if not names:
        return f"{left} CROSS JOIN {right}"
    return f"{left} {words} {right} ON {' AND '.join(conditions)}"


def _relation(expressions: "Expressions", node: exp.Expr, *, lateral: bool = False) -> tuple[str, list[Field]]:
    """A relation's SQL and fields, under its alias."""
    queries = expressions.queries
    _refuse_more(node)
    own: tuple[str, ...] = ()
    if isinstance(node, exp.Lateral):
        return _relation(expressions, node.this, lateral=True)
    if isinstance(node, exp.Unnest):
        text = _unnested(expressions, "", node, outer=False)
        return text, expressions.scope.fields
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Values):
        derived = queries.query(node.this, expressions.env, expressions.scope.parent)
        relation = queries.name()
        text, fields = f"({derived.sql}) AS {relation}", fields_of(derived.columns, relation)
    elif isinstance(node, exp.Table):
        text, fields, own = _table(expressions, node)
    elif isinstance(node, exp.Subquery) and _is_joined(node.this):
        inner = _inside(expressions)
        text = f"({_joined(inner, node.this, list(node.args.get('joins') or ()), ())})"
        fields = inner.scope.fields
    elif isinstance(node, exp.Subquery | exp.Values | exp.Paren):
        parent = expressions.scope if lateral else expressions.scope.parent
        bare = node.copy() if isinstance(node, exp.Subquery) else node
        derived = queries.query(_bare(bare), expressions.env, parent)
        relation = queries.name()
        text = f"{'LATERAL ' if lateral else ''}({derived.sql}) AS {relation}"
        fields = fields_of(derived.columns, relation)
    else:
        unsupported(node, f"{node.key.upper()} in FROM")
    sample = node.args.get("sample")
    if sample is not None:
        text = _sampled(text, sample)
    return text, _aliased(node, fields, own)


def _is_joined(node: exp.Expr) -> bool:
    """Whether parentheses stand around relations, not around a query."""
    return isinstance(node, exp.Table) or (isinstance(node, exp.Subquery) and bool(node.args.get("joins")))


def _refuse_more(node: exp.Expr) -> None:
    """Refuse what sqlglot reads beside a relation, and Trino does not have or that is not supported."""
    allowed = _KNOWN.get(type(node), ())
    for name, value in node.args.items():
        if value and name not in allowed and type(node) in _KNOWN:
            unsupported(node, f"{name.strip('_').upper()} in FROM")


def _bare(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Subquery):
        node.set("alias", None)
    return node


def _inside(expressions: "Expressions") -> "Expressions":
    inner = type(expressions)(expressions.queries, Scope(expressions.queries.reads, [], expressions.scope.parent))
    inner.env = expressions.env
    return inner


def _aliased(node: exp.Expr, fields: list[Field], own: tuple[str, ...]) -> list[Field]:
    alias = node.args.get("alias")
    if alias is None or (isinstance(node, exp.Values) and alias.name == "_values"):
        return [replace(each, qualifier=own or each.qualifier) for each in fields]
    names = [each.name for each in alias.args.get("columns") or ()]
    qualifier = (alias.name.lower(),) if alias.name else ()
    visible = [each for each in fields if not each.hidden]
    if names and len(names) != len(visible):
        _wrong_count(node, alias, names, visible)
    renamed = dict(zip(map(id, visible), names, strict=True)) if names else {}
    return [replace(each, qualifier=qualifier, name=renamed.get(id(each), each.name)) for each in fields]


def _wrong_count(node: exp.Expr, alias: exp.Expr, names: Sequence[str | None], found: Sequence[Field]) -> NoReturn:
    said = f"Column alias list has {len(names)} entries but '{alias.name}' has {len(found)} columns available"
    fail("MISMATCHED_COLUMN_ALIASES", node, said)


def _sampled(text: str, sample: exp.TableSample) -> str:
    said = sample.args.get("method")
    method = said.name.upper() if said is not None else ""
    percent = sample.args.get("percent") or sample.args.get("size")
    if method not in ("BERNOULLI", "SYSTEM") or not isinstance(percent, exp.Literal) or percent.is_string:
        unsupported(sample, "TABLESAMPLE with anything but BERNOULLI or SYSTEM and a percentage")
    if not 0 <= float(percent.this) <= 100:
        fail("NUMERIC_VALUE_OUT_OF_RANGE", sample, "Sample percentage must be between 0 and 100, inclusive")
    return f"(SELECT * FROM {text} TABLESAMPLE {method.lower()}({percent.this}%)) AS {text.rsplit(' ', 1)[-1]}"


def _table(expressions: "Expressions", node: exp.Table) -> tuple[str, list[Field], tuple[str, ...]]:
    queries = expressions.queries
    cte = expressions.env.get(node.name.lower()) if not node.db else None
    if cte is not None:
        cte.readers += 1
        relation = queries.name()
        return f"{cte.relation} AS {relation}", fields_of(cte.columns, relation), (node.name.lower(),)
    name = table_name(node, queries.session.catalog, queries.session.database)
    table = queries.tables.get(name)
    if table is None:
        fail("TABLE_NOT_FOUND", node, f"Table '{'.'.join(name)}' does not exist")
    if table.view:
        fail("INVALID_VIEW", node, f"View '{'.'.join(name)}' was not expanded")
    return _scan(queries, node, name, table)


def _scan(
    queries: "Queries", node: exp.Table, name: TableName, table: Table
) -> tuple[str, list[Field], tuple[str, ...]]:
    from clary.systems.athena.select.queries import ScanSoFar
    from clary.systems.athena.select.travel import point

    number, relation = len(queries.scans), queries.name()
    columns = [*table.columns, *table.keys]
    iceberg = table.format == ICEBERG
    types = {each.name: of_column(each.type, iceberg=iceberg) for each in columns}
    seconds, snapshot = point(node, queries.session)
    base, _, part = name.name.partition("$")
    # Of an Iceberg table, files are left out by what their metadata says of any column.
    keys = {each.name for each in (columns if iceberg else table.keys)}
    queries.scans.append(
        ScanSoFar(f"scan_{number}", name._replace(name=base) if part else name, (*types, *HIDDEN),
                  {each: types[each] for each in keys}, queries.inside, seconds, snapshot, part)
    )  # fmt: skip
    fields = [
        Field(each, kind, _read(f"{relation}.{quoted(each)}", kind), origins=frozenset({(number, each)}),
              key=((number, each),) if each in keys else ())
        for each, kind in types.items()
    ]  # fmt: skip
    fields += [
        Field(each, kind, _hidden(f"{relation}.{quoted(each)}", kind), origins=frozenset({(number, each)}), hidden=True)
        for each, kind in HIDDEN.items()
        if each not in types
    ]
    return f"scan_{number} AS {relation}", fields, tuple(name)


def _read(sql: str, kind: T) -> str:
    if kind.name == ZONED:
        return f"CASE WHEN {sql} IS NULL THEN NULL ELSE {_zoned(sql)} END"
    return f"rpad({sql}, {kind.numbers[0]}, ' ')" if kind.name == "char" and kind.numbers else sql


def _hidden(sql: str, kind: T) -> str:
    return _zoned(sql) if kind == TIMESTAMP_ZONED else sql


def _zoned(sql: str) -> str:
    return f"struct_pack(t := CAST({sql} AS TIMESTAMP), z := 'UTC')"


def _unnested(expressions: "Expressions", left: str, node: exp.Unnest, *, outer: bool) -> str:
    """FROM with UNNEST behind it: one query that shows what was there, and a row for each element."""
    queries, scope = expressions.queries, expressions.scope
    values = [expressions.typed(each) for each in node.expressions]
    lists: list[tuple[str, T]] = []
    for value, each in zip(values, node.expressions, strict=True):
        if value.type.name == "array":
            lists.append((value.sql, value.type.children[0]))
        elif value.type.name == "map":
            lists += [
                (f"map_keys({value.sql})", value.type.children[0]),
                (f"map_values({value.sql})", value.type.children[1]),
            ]
        else:
            mismatch(each, f"Cannot unnest type: {value.type}")
    relation = queries.name()
    kept = [(field, f"k{at}") for at, field in enumerate(_seen_behind(expressions, node))] if left else []
    columns = [f"{field.sql} AS {name}" for field, name in kept]
    offset = node.args.get("offset")
    counted = f"list_max([{', '.join(f'len({sql})' for sql, _ in lists)}])"
    for at, (sql, _) in enumerate(lists):
        shown = f"CASE WHEN coalesce({counted}, 0) = 0 THEN [NULL] ELSE {sql} END" if outer else sql
        columns.append(f"unnest({shown}) AS u{at}")
    if offset:
        numbers = f"range(1, CAST(coalesce({counted}, 0) AS BIGINT) + 1)"
        numbers = f"CASE WHEN coalesce({counted}, 0) = 0 THEN [NULL] ELSE {numbers} END" if outer else numbers
        columns.append(f"unnest({numbers}) AS ordinality")
    alias = node.args.get("alias")
    names = [each.name for each in alias.args.get("columns") or ()] if alias is not None else []
    # As many names as there are lists: each is of an element as it is, rows too, as Athena's manual has it.
    fields = [Field(None, kind, f"{relation}.u{at}") for at, (_, kind) in enumerate(lists)]
    if len(names) != len(fields):
        fields = _fields_of_rows(values, fields)
    if offset:
        fields.append(
            Field(offset.name if isinstance(offset, exp.Identifier) else None, BIGINT, f"{relation}.ordinality")
        )
    fields = _unnested_names(node, fields)
    scope.fields = [replace(field, sql=f"{relation}.{name}") for field, name in kept] + fields
    start = f" FROM {left}" if left else ""
    return f"(SELECT {', '.join(columns)}{start}) AS {relation}"


def _seen_behind(expressions: "Expressions", node: exp.Unnest) -> list[Field]:
    """The fields that were there before UNNEST; of those that a file has beside its columns what the query names."""
    select = node.find_ancestor(exp.Select)
    named = {each.name.lower() for each in select.find_all(exp.Column)} if select is not None else set()
    found = [each for each in expressions.scope.fields if each.name not in HIDDEN or each.name in named]
    for each in found:
        if each.name in HIDDEN:
            expressions.queries.reads[-1] |= each.origins
    return found


def _fields_of_rows(values: list[Value], elements: list[Field]) -> list[Field]:
    """What Trino makes of elements: of arrays of rows, the fields of each row."""
    fields: list[Field] = []
    left = iter(elements)
    for value in values:
        element = next(left)
        if value.type.name == "map":
            fields += [element, next(left)]
        elif element.type.name == "row":
            row = Value(element.sql, element.type)
            inner = [field_at(row, number) for number in range(len(element.type.children))]
            fields += [Field(name, each.type, each.sql) for name, each in zip(element.type.names, inner, strict=True)]
        else:
            fields.append(element)
    return fields


def _unnested_names(node: exp.Unnest, fields: list[Field]) -> list[Field]:
    alias = node.args.get("alias")
    if alias is None:
        return fields
    names: list[str | None] = [each.name for each in alias.args.get("columns") or ()]
    if isinstance(node.args.get("offset"), exp.Identifier) and names:
        names.append(node.args["offset"].name)
    if names and len(names) != len(fields):
        _wrong_count(node, alias, names, fields)
    named = names or [each.name for each in fields]
    qualifier = (alias.name.lower(),) if alias.name else ()
    return [replace(each, name=name, qualifier=qualifier) for each, name in zip(fields, named, strict=True)]


def expanded(item: exp.Expr, scope: Scope) -> list[tuple[exp.Expr | Field, str | None]]:
    """What an item of SELECT stands for: itself and its name, or the columns of `*`."""
    if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
        star = item if isinstance(item, exp.Star) else item.this
        if star.args.get("except_") or star.args.get("replace") or star.args.get("rename"):
            unsupported(item, "* EXCEPT, REPLACE or RENAME")
        qualifier = [] if isinstance(item, exp.Star) else [part.name for part in item.parts[:-1]]
        found = scope.matching(qualifier)
        if not found:
            what = (
                f"Table '{'.'.join(qualifier)}' not found"
                if qualifier
                else "SELECT * not allowed in queries without FROM clause"
            )
            fail("TABLE_NOT_FOUND" if qualifier else "COLUMN_NOT_FOUND", item, what)
        return [(each, each.name) for each in found]
    if isinstance(item, exp.Alias):
        return [(item.this, item.alias)]
    if isinstance(item, exp.Aliases):
        unsupported(item, "an alias of several columns")
    if isinstance(item, exp.Column):
        return [(item, item.name)]
    if isinstance(item, exp.Dot) and isinstance(item.expression, exp.Identifier):
        return [(item, item.expression.name)]
    return [(item, None)]
