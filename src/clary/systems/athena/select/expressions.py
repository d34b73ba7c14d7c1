"""Scalar expressions of Trino as SQL of DuckDB, each with its type.

What is not known here is refused: nothing of a user's text reaches DuckDB but names that were resolved, literals that
were read, and functions of the tables in `functions/`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp

from clary.systems.athena.select import operators, times
from clary.systems.athena.select.casts import accepted, cast, coerced
from clary.systems.athena.select.functions.calls import Call, known
from clary.systems.athena.select.scopes import Scope, field_of
from clary.systems.athena.select.type_names import type_of
from clary.systems.athena.select.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INTEGER,
    JSON,
    VARBINARY,
    VARCHAR,
    T,
    array,
    common,
    decimal,
    fields,
    row,
)
from clary.systems.athena.select.values import NULL, Value, fail, mismatch, text, unsupported

if TYPE_CHECKING:
    from clary.systems.athena.select.grouping import Groups
    from clary.systems.athena.select.queries import Env, Queries

_LARGEST_INTEGER, _LARGEST_BIGINT = 2**31 - 1, 2**63 - 1


class Expressions:
    """Translates expressions at one place of a query.

    `groups` is set where rows are grouped: then an expression is what rows are grouped by, or is made of aggregates.
    """

    def __init__(self, queries: "Queries", scope: Scope, groups: "Groups | None" = None) -> None:
        self.queries = queries
        self.scope = scope
        self.groups = groups
        self.windows: dict[str, exp.Window] = {}
        self.over = False
        self.env: Env = {}
        self._lambdas: list[dict[str, Value]] = []

    def typed(self, node: exp.Expr) -> Value:
        """The expression at a node."""
        if self.groups is not None and not self._lambdas:
            found = self.groups.key(node)
            if found is not None:
                return found
        translate = self._BY_NODE.get(type(node))
        if translate is None:
            unsupported(node, f"{node.key.upper()} in {node.sql(dialect='trino')[:60]}")
        return translate(self, node)

    def as_type(self, node: exp.Expr, to: T, what: str) -> Value:
        """The expression at a node as a type that is asked for there."""
        return accepted(self.typed(node), to, node, what)

    def condition(self, node: exp.Expr, what: str) -> str:
        """SQL of a condition; NULL counts as false wherever one stands."""
        return self.as_type(node, BOOLEAN, what).sql

    def unified(self, nodes: Sequence[exp.Expr], what: str) -> list[Value]:
        """The expressions at nodes as the one type that all of them become."""
        return self.alike([self.typed(each) for each in nodes], nodes, what)

    def alike(self, values: list[Value], nodes: Sequence[exp.Expr], what: str) -> list[Value]:
        """Values as the one type that all of them become."""
        kind: T | None = values[0].type
        for value, node in zip(values, nodes, strict=True):
            before, kind = kind, common(kind, value.type) if kind else None
            if kind is None:
                mismatch(node, f"{what} must be the same type or coercible to a common type. "
                               f"Cannot find common type between {before} and {value.type}")  # fmt: skip
        return [coerced(value, kind) for value in values if kind]

    def with_lambda(self, names: dict[str, Value], node: exp.Expr) -> Value:
        """The body of a lambda whose parameters are these."""
        self._lambdas.append(names)
        try:
            return self.typed(node)
        finally:
            self._lambdas.pop()

    @property
    def lambda_depth(self) -> int:
        return len(self._lambdas)

    def _identifier(self, node: exp.Identifier) -> Value:
        return self._named([node.name], node)

    def _column(self, node: exp.Column) -> Value:
        if isinstance(node.this, exp.Star):
            fail("SYNTAX_ERROR", node, "* stands for columns only where columns are listed")
        if [part.name.lower() for part in node.parts] == ["current_schema"]:
            return Value(text(self.queries.session.database), VARCHAR)
        return self._named([part.name for part in node.parts], node)

    def _named(self, names: list[str], node: exp.Expr) -> Value:
        for known_names in reversed(self._lambdas):
            value = known_names.get(names[0].lower())
            if value is not None:
                for each in names[1:]:
                    value = field_of(value, each, node)
                return value
        return self.scope.resolve(names, node)

    def _dot(self, node: exp.Dot) -> Value:
        if not isinstance(node.expression, exp.Identifier):
            unsupported(node, f"{node.sql(dialect='trino')[:60]}")
        names: list[str] = []
        inner: exp.Expr = node
        while isinstance(inner, exp.Dot) and isinstance(inner.expression, exp.Identifier):
            names.insert(0, inner.expression.name)
            inner = inner.this
        if isinstance(inner, exp.Column | exp.Identifier):
            before = [part.name for part in inner.parts] if isinstance(inner, exp.Column) else [inner.name]
            return self._named([*before, *names], node)
        return field_of(self.typed(node.this), node.expression.name, node)

    def _literal(self, node: exp.Literal) -> Value:
        said = node.this
        if node.is_string:
            return Value(text(said), T("varchar", (len(said),)), constant=said)
        return number(said, node)

    def _null(self, _node: exp.Null) -> Value:
        return NULL

    def _boolean(self, node: exp.Boolean) -> Value:
        return Value("TRUE" if node.this else "FALSE", BOOLEAN, constant=bool(node.this))

    def _hex(self, node: exp.HexString) -> Value:
        digits = "".join(str(node.this).split())
        try:
            found = bytes.fromhex(digits)
        except ValueError:
            fail("SYNTAX_ERROR", node, "Binary literal can only contain hexadecimal digits, two for each byte")
        return Value(f"unhex('{found.hex()}')", VARBINARY)

    def _unicode(self, node: exp.UnicodeString) -> Value:
        escape = node.args.get("escape")
        said = unescaped(str(node.this), escape.name if isinstance(escape, exp.Expr) else "\\", node)
        return Value(text(said), T("varchar", (len(said),)), constant=said)

    def _parenthesis(self, node: exp.Paren) -> Value:
        return self.typed(node.this)

    def _logical(self, node: exp.And | exp.Or) -> Value:
        parts = list(node.flatten(unnest=False))
        word = "AND" if isinstance(node, exp.And) else "OR"
        conditions = [self.condition(each, f"Logical expression term of {word}") for each in parts]
        return Value(f"({f' {word} '.join(conditions)})", BOOLEAN)

    def _not(self, node: exp.Not) -> Value:
        return Value(f"(NOT {self.condition(node.this, 'Value of logical NOT expression')})", BOOLEAN)

    def _comparison(self, node: exp.Binary) -> Value:
        other = node.expression
        if isinstance(other, exp.Any | exp.All):
            return self.queries.quantified(self, node, other.this, every=isinstance(other, exp.All))
        if isinstance(other, exp.Anonymous) and other.name.lower() == "all" and len(other.expressions) == 1:
            return self.queries.quantified(self, node, other.expressions[0], every=True)
        return operators.comparison(node, self.typed(node.this), self.typed(node.expression))

    def _arithmetic(self, node: exp.Binary) -> Value:
        return operators.arithmetic(node, self.typed(node.this), self.typed(node.expression))

    def _negative(self, node: exp.Neg) -> Value:
        if isinstance(node.this, exp.Literal) and not node.this.is_string:
            return number("-" + node.this.this, node)
        return operators.negative(node, self.typed(node.this))

    def _concatenation(self, node: exp.DPipe) -> Value:
        return self.call("concat", list(node.flatten(unnest=False)), node, shown="||")

    def _is(self, node: exp.Is) -> Value:
        value = self.typed(node.this)
        if isinstance(node.expression, exp.Null):
            return Value(f"({value.sql} IS NULL)", BOOLEAN)
        unsupported(node, "IS with anything but NULL and DISTINCT FROM")

    def _between(self, node: exp.Between) -> Value:
        if node.args.get("symmetric"):
            unsupported(node, "BETWEEN SYMMETRIC")
        value, low, high = (self.typed(each) for each in (node.this, node.args["low"], node.args["high"]))
        above = operators.compared(">=", value, low, node)
        below = operators.compared("<=", value, high, node)
        return Value(f"({above} AND {below})", BOOLEAN)

    def _in(self, node: exp.In) -> Value:
        if node.args.get("query") is not None:
            return self.queries.membership(self, node)
        if node.args.get("unnest") is not None or node.args.get("field") is not None:
            unsupported(node, "IN with anything but a list of values or a query")
        value = self.typed(node.this)
        others = [self.typed(each) for each in node.expressions]
        for other, each in zip(others, node.expressions, strict=True):
            if common(value.type, other.type) is None:
                mismatch(each, f"IN value and list items must be the same type: {value.type}, {other.type}")
        return operators.membership(value, others, node)

    def _like(self, node: exp.Like, escape: str = "") -> Value:
        sides = []
        for each, what in ((node.this, "Left side"), (node.expression, "Pattern")):
            value = self.typed(each)
            if not value.type.is_text and value.type.name != "unknown":
                mismatch(each, f"{what} of LIKE expression must evaluate to a varchar (actual: {value.type})")
            sides.append(value.sql)
        word = "NOT LIKE" if node.args.get("negate") else "LIKE"
        return Value(f"({sides[0]} {word} {sides[1]}{escape})", BOOLEAN)

    def _escape(self, node: exp.Escape) -> Value:
        value = self.typed(node.expression)
        if not isinstance(value.constant, str) or len(value.constant) != 1:
            fail("INVALID_FUNCTION_ARGUMENT", node.expression, "Escape string must be a single character")
        inner = node.this
        if isinstance(inner, exp.Not):
            return Value(f"(NOT {self._like(inner.this, f' ESCAPE {value.sql}').sql})", BOOLEAN)
        return self._like(inner, f" ESCAPE {value.sql}")

    def _case(self, node: exp.Case) -> Value:
        ifs = node.args["ifs"]
        results = [each.args["true"] for each in ifs]
        default = node.args.get("default")
        values = self.unified([*results, *([default] if default is not None else [])], "All CASE results")
        operand = self.typed(node.this) if node.this is not None else None
        parts = []
        for each, value in zip(ifs, values, strict=False):
            if operand is None:
                condition = self.condition(each.this, "CASE WHEN clause")
            else:
                condition = operators.compared("=", operand, self.typed(each.this), each.this)
            parts.append(f"WHEN {condition} THEN {value.sql}")
        otherwise = f" ELSE {values[-1].sql}" if default is not None else ""
        return Value(f"CASE {' '.join(parts)}{otherwise} END", values[0].type)

    def _if(self, node: exp.If) -> Value:
        condition = self.condition(node.this, "IF condition")
        otherwise = node.args.get("false")
        values = self.unified(
            [node.args["true"], *([otherwise] if otherwise is not None else [])], "Result types for IF"
        )
        rest = f" ELSE {values[1].sql}" if otherwise is not None else ""
        return Value(f"CASE WHEN {condition} THEN {values[0].sql}{rest} END", values[0].type)

    def _cast(self, node: exp.Cast) -> Value:
        to = type_of(node.args["to"])
        if not node.meta.get("literal"):
            return cast(self.typed(node.this), to, node, trying=isinstance(node, exp.TryCast))
        said = str(node.this.this)
        return typed_literal(said, to, node)

    def _array(self, node: exp.Array) -> Value:
        if not node.expressions:
            return Value("[]", array(NULL.type))
        values = self.unified(node.expressions, "All ARRAY elements")
        return Value(f"[{', '.join(each.sql for each in values)}]", array(values[0].type))

    def row(self, values: Sequence[Value]) -> Value:
        """A row of values whose fields have no names."""
        kind = row(*(each.type for each in values))
        packed = ", ".join(f'"{name}" := {each.sql}' for name, each in zip(fields(kind), values, strict=True))
        return Value(f"struct_pack({packed})", kind)

    def _tuple(self, node: exp.Tuple) -> Value:
        return self.row([self.typed(each) for each in node.expressions])

    def _subscript(self, node: exp.Bracket) -> Value:
        return operators.subscript(node, self.typed(node.this), self.typed(node.expressions[0]))

    def _zone(self, node: exp.AtTimeZone) -> Value:
        return self.call("at_timezone", [node.this, node.args["zone"]], node)

    def _interval(self, node: exp.Interval) -> Value:
        return times.interval(node)

    def _extract(self, node: exp.Extract) -> Value:
        return times.extracted(node.this.name, self.typed(node.expression), node)

    def _now(self, node: exp.Expr) -> Value:
        return times.moment(type(node), self.queries.session, node)

    def _user(self, _node: exp.CurrentUser) -> Value:
        return Value(text(self.queries.session.user), VARCHAR)

    def _catalog(self, _node: exp.CurrentCatalog) -> Value:
        return Value(text(self.queries.session.catalog), VARCHAR)

    def _trim(self, node: exp.Trim) -> Value:
        where = (node.args.get("position") or "BOTH").upper()
        name = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}[where]
        return self.call(name, [node.this, *([node.expression] if node.expression is not None else [])], node)

    def _position(self, node: exp.StrPosition) -> Value:
        return self.call("strpos", [node.this, node.args["substr"]], node)

    def _substring(self, node: exp.Substring) -> Value:
        found = [node.this, node.args.get("start"), node.args.get("length")]
        return self.call("substr", [each for each in found if each is not None], node)

    def _normalize(self, node: exp.Normalize) -> Value:
        form = node.args.get("form")
        name = form.name.upper() if isinstance(form, exp.Expr) else "NFC"
        if name not in ("NFC", "NFD", "NFKC", "NFKD"):
            fail("SYNTAX_ERROR", node, f"{name} is not a normal form")
        value = self.as_type(node.this, VARCHAR, "Argument of normalize")
        if name != "NFC":
            unsupported(node, f"the normal form {name}")
        return Value(f"nfc_normalize({value.sql})", VARCHAR)

    def _exists(self, node: exp.Exists) -> Value:
        return self.queries.existence(self, node)

    def _subquery(self, node: exp.Subquery) -> Value:
        return self.queries.scalar(self, node)

    def _aggregate(self, node: exp.Expr) -> Value:
        if self.groups is None:
            fail("INVALID_WINDOW", node, f"{node.sql(dialect='trino')[:60]} stands where no aggregate can")
        return self.groups.aggregate(self, node)

    def _window(self, node: exp.Window) -> Value:
        from clary.systems.athena.select.windows import window

        return window(self, node)

    def _anonymous(self, node: exp.Anonymous) -> Value:
        name = node.name.lower()
        if name == "row":
            return self._tuple(exp.Tuple(expressions=node.expressions))
        if name == "grouping" and self.groups is not None:
            return self.groups.grouping(self, node)
        if name.startswith(("current_t", "localtime")) and len(node.expressions) == 1:
            return times.moment_of(name, node.expressions[0], self.queries.session, node)
        if known(name) == "aggregate":
            return self._aggregate(node)
        if known(name) == "window":
            fail("MISSING_OVER", node, f"Window function {name} requires an OVER clause")
        return self.call(name, node.expressions, node)

    def call(self, name: str, arguments: Sequence[exp.Expr], node: exp.Expr, shown: str = "") -> Value:
        """A scalar function of these arguments."""
        return Call(self, name, arguments, node, shown or name).result()

    _BY_NODE: ClassVar[dict[type[exp.Expr], Callable[["Expressions", Any], Value]]] = {
        exp.Identifier: _identifier, exp.Column: _column, exp.Dot: _dot, exp.Literal: _literal, exp.Null: _null,
        exp.Boolean: _boolean, exp.HexString: _hex, exp.UnicodeString: _unicode, exp.Paren: _parenthesis,
        exp.And: _logical, exp.Or: _logical, exp.Not: _not, exp.EQ: _comparison, exp.NEQ: _comparison,
        exp.LT: _comparison, exp.LTE: _comparison, exp.GT: _comparison, exp.GTE: _comparison,
        exp.NullSafeEQ: _comparison, exp.NullSafeNEQ: _comparison, exp.Add: _arithmetic, exp.Sub: _arithmetic,
        exp.Mul: _arithmetic, exp.Div: _arithmetic, exp.Mod: _arithmetic, exp.Neg: _negative,
        exp.DPipe: _concatenation, exp.Is: _is, exp.Between: _between, exp.In: _in, exp.Like: _like,
        exp.Escape: _escape, exp.Case: _case, exp.If: _if, exp.Cast: _cast, exp.TryCast: _cast, exp.Array: _array,
        exp.Tuple: _tuple, exp.Bracket: _subscript, exp.AtTimeZone: _zone, exp.Interval: _interval,
        exp.Extract: _extract, exp.CurrentDate: _now, exp.CurrentTime: _now, exp.CurrentTimestamp: _now,
        exp.Localtime: _now, exp.Localtimestamp: _now, exp.CurrentUser: _user, exp.CurrentCatalog: _catalog,
        exp.Trim: _trim, exp.StrPosition: _position, exp.Substring: _substring, exp.Normalize: _normalize,
        exp.Exists: _exists, exp.Subquery: _subquery, exp.Filter: _aggregate, exp.WithinGroup: _aggregate,
        exp.GroupConcat: _aggregate, exp.Window: _window, exp.Anonymous: _anonymous,
    }  # fmt: skip


def number(said: str, node: exp.Expr) -> Value:
    """A number as it is written: an integer, a bigint, a decimal or, with an exponent, a double."""
    if "e" in said.lower():
        return Value(f"CAST({text(said)} AS DOUBLE)", DOUBLE, constant=float(said))
    if "." in said:
        return _decimal(said, node)
    value = int(said)
    if abs(value) > _LARGEST_BIGINT + (value < 0):
        fail("INVALID_LITERAL", node, f"Invalid numeric literal: {said}")
    if abs(value) > _LARGEST_INTEGER + (value < 0):
        return Value(f"CAST({value} AS BIGINT)", BIGINT, constant=value)
    return Value(str(value) if value >= 0 else f"({value})", INTEGER, constant=value)


def _decimal(said: str, node: exp.Expr) -> Value:
    whole, _, fraction = said.lstrip("-").partition(".")
    digits = len(whole.lstrip("0")) + len(fraction)
    if digits > 38:
        fail("INVALID_LITERAL", node, f"Invalid decimal literal: {said}")
    kind = decimal(max(digits, 1), len(fraction))
    from clary.systems.athena.select.types import duckdb

    return Value(f"CAST({text(said)} AS {duckdb(kind)})", kind, constant=said)


def typed_literal(said: str, to: T, node: exp.Expr) -> Value:
    """A literal with its type before it: `DATE '2020-01-01'`."""
    if to.name == "decimal":
        try:
            return _decimal(said if "." in said else said + ".", node)
        except (ValueError, IndexError):
            fail("INVALID_LITERAL", node, f"'{said}' is not a valid decimal literal")
    if to.name in ("date", "time", "timestamp", "timestamp with time zone"):
        return times.literal(said, to, node)
    value = Value(text(said), T("varchar", (len(said),)), constant=said)
    if to == JSON:
        return Value(f"trino_json_parse({value.sql})", JSON)
    if to.is_text:
        return coerced(value, to) if to.numbers else value
    return cast(value, to, node)


def unescaped(said: str, escape: str, node: exp.Expr) -> str:
    """What a Unicode literal says, `U&'\\00e9'`."""
    found, at = "", 0
    while at < len(said):
        if said[at] != escape:
            found, at = found + said[at], at + 1
            continue
        if said[at + 1 : at + 2] == escape:
            found, at = found + escape, at + 2
            continue
        start, length = (at + 2, 6) if said[at + 1 : at + 2] == "+" else (at + 1, 4)
        try:
            found += chr(int(said[start : start + length], 16))
        except (ValueError, OverflowError):
            fail("SYNTAX_ERROR", node, "Incomplete escape sequence in a Unicode literal")
        at = start + length
    return found
