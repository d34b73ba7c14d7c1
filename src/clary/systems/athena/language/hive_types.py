"""Columns, their types, and values of partitions, as Hive's DDL writes them."""

from typing import NoReturn

from clary.lake.types import parse_type
from clary.systems.athena.language.statements import ColumnDefinition, Comparison, PartitionField, Specification
from clary.systems.athena.language.tokens import BACK, NUMBER, SIGN, TEXT, WORD, Cursor

_DEEPEST = 32
_RESERVED = frozenset(
    {
        "all", "alter", "and", "array", "as", "authorization", "between", "bigint", "binary", "boolean", "both", "by",
        "case", "cashe", "cast", "char", "column", "commit", "conf", "constraint", "create", "cross", "cube", "current",
        "current_date", "current_timestamp", "cursor", "database", "date", "dayofweek", "decimal", "delete", "describe",
        "distinct", "div", "double", "drop", "else", "end", "exchange", "exists", "extended", "external", "extract",
        "false", "fetch", "float", "floor", "following", "for", "foreign", "from", "full", "function", "grant", "group",
        "grouping", "having", "if", "import", "in", "inner", "insert", "int", "integer", "intersect", "interval",
        "into", "is", "join", "lateral", "left", "less", "like", "local", "macro", "map", "more", "none", "not", "null",
        "numeric", "of", "on", "only", "or", "order", "out", "outer", "over", "partialscan", "partition", "percent",
        "preceding", "precision", "preserve", "primary", "procedure", "range", "reads", "reduce", "references",
        "regexp", "revoke", "right", "rlike", "rollback", "rollup", "row", "rows", "select", "set", "smallint", "start",
        "table", "tablesample", "then", "to", "transform", "trigger", "true", "truncate",
        "unbounded", "union", "uniquejoin", "update", "user", "using", "utc_timestamp", "values", "varchar", "views",
        "when", "where", "window", "with",
    }
)  # fmt: skip
_PLAIN_TRANSFORMS = ("year", "month", "day", "hour")


def identifier(cursor: Cursor) -> str:
    """A name, in lower case. Reserved words and names that begin with an underscore need backticks, as in Athena.

    Its manual lists TIME and TIMESTAMP among the reserved, yet has them as names in its own tables of logs.
    """
    token = cursor.next
    if token.kind == BACK:
        return cursor.take().value.lower()
    if token.kind == WORD:
        if token.text.lower() in _RESERVED or token.text.startswith("_"):
            cursor.not_recognized("identifier")
        return cursor.take().text.lower()
    if token.kind == NUMBER and token.text.isdecimal():
        return cursor.take().text
    cursor.not_recognized("identifier")


def column_list(cursor: Cursor) -> tuple[ColumnDefinition, ...]:
    """`(name type [COMMENT '...'], ...)`."""
    cursor.expect_sign("(")
    columns = [column(cursor)]
    while cursor.sign(","):
        columns.append(column(cursor))
    cursor.expect_sign(")")
    return tuple(columns)


def column(cursor: Cursor) -> ColumnDefinition:
    name = identifier(cursor)
    kind = column_type(cursor)
    comment = cursor.literal() if cursor.words("comment") else None
    return ColumnDefinition(name, kind, comment)


def column_type(cursor: Cursor) -> str:
    """A type, as the catalog writes it."""
    start = cursor.next
    spelled = _type(cursor, 0)
    try:
        return str(parse_type(spelled))
    except ValueError as error:
        raise cursor.wrong(f"cannot recognize the type {spelled}: {error}", start) from None


def key_list(cursor: Cursor) -> tuple[tuple[ColumnDefinition, ...], tuple[PartitionField, ...]]:
    """PARTITIONED BY's list: columns of their own, as Hive has them, or columns and transforms, as Iceberg does."""
    cursor.expect_sign("(")
    keys: list[ColumnDefinition] = []
    fields: list[PartitionField] = []
    while True:
        start = cursor.next
        item = _key(cursor)
        if isinstance(item, ColumnDefinition):
            keys.append(item)
        else:
            fields.append(item)
        if keys and fields:
            raise cursor.wrong("partition keys have a type each, or none of them has", start)
        if not cursor.sign(","):
            break
    cursor.expect_sign(")")
    return tuple(keys), tuple(fields)


def specification(cursor: Cursor) -> Specification:
    """`PARTITION (key = value, ...)`: the values as texts."""
    cursor.expect("partition")
    cursor.expect_sign("(")
    values: dict[str, str] = {}
    while True:
        key = identifier(cursor)
        if key in values:
            raise cursor.wrong(f"the partition key {key} is there twice", cursor.previous)
        cursor.expect_sign("=")
        values[key] = constant(cursor)
        if not cursor.sign(","):
            break
    cursor.expect_sign(")")
    return values


def comparisons(cursor: Cursor) -> tuple[Comparison, ...]:
    """`PARTITION (key < value, ...)`."""
    cursor.expect("partition")
    cursor.expect_sign("(")
    found: list[Comparison] = []
    while True:
        key = identifier(cursor)
        token = cursor.next
        if token.kind != SIGN or token.text not in ("=", "==", "<>", "!=", "<", "<=", ">", ">="):
            cursor.not_recognized("partition comparison")
        sign = {"==": "=", "!=": "<>"}.get(token.text, token.text)
        cursor.take()
        found.append(Comparison(key, sign, constant(cursor)))
        if not cursor.sign(","):
            break
    cursor.expect_sign(")")
    return tuple(found)


def constant(cursor: Cursor) -> str:
    """A value of a partition key, as a text: a text, a number, or DATE or TIMESTAMP and a text."""
    if cursor.next.kind == TEXT:
        return cursor.literal()
    if (cursor.is_word("date") or cursor.is_word("timestamp")) and cursor.ahead(1).kind == TEXT:
        cursor.take()
        return cursor.literal()
    sign = "-" if cursor.sign("-") else ""
    if cursor.next.kind == NUMBER:
        return sign + cursor.take().text
    if not sign and (cursor.is_word("true") or cursor.is_word("false")):
        return cursor.take().text.lower()
    cursor.not_recognized("constant")


def properties(cursor: Cursor) -> dict[str, str]:
    """`('name' = 'value', ...)`. A name given twice has the last value."""
    cursor.expect_sign("(")
    found: dict[str, str] = {}
    while True:
        name = cursor.literal()
        cursor.expect_sign("=")
        found[name] = cursor.literal()
        if not cursor.sign(","):
            break
    cursor.expect_sign(")")
    return found


def _type(cursor: Cursor, depth: int) -> str:
    token = cursor.next
    if token.kind != WORD or depth > _DEEPEST:
        cursor.not_recognized("column type")
    name = cursor.take().text.lower()
    if name == "double" and cursor.words("precision"):
        return name
    if name in ("array", "map", "struct"):
        return _nested(cursor, name, depth + 1)
    if name in ("decimal", "numeric", "char", "varchar") and cursor.sign("("):
        numbers = [str(cursor.number())]
        if name in ("decimal", "numeric") and cursor.sign(","):
            numbers.append(str(cursor.number()))
        cursor.expect_sign(")")
        return f"{name}({','.join(numbers)})"
    if name in ("char", "varchar"):
        cursor.fail_at_next("(", rule="primitive type specification")
    return name


def _nested(cursor: Cursor, name: str, depth: int) -> str:
    cursor.expect_sign("<")
    parts = [_field(cursor, depth) if name == "struct" else _type(cursor, depth)]
    if name == "map":
        cursor.expect_sign(",")
        parts.append(_type(cursor, depth))
    while name == "struct" and cursor.sign(","):
        parts.append(_field(cursor, depth))
    cursor.expect_sign(">")
    return f"{name}<{','.join(parts)}>"


def _field(cursor: Cursor, depth: int) -> str:
    # Fields may be called by reserved words: they stand where nothing else can.
    if cursor.next.kind not in (WORD, BACK, NUMBER):
        cursor.not_recognized("column type")
    token = cursor.take()
    name = token.value.lower()
    if any(sign in name for sign in "`:<>,"):
        raise cursor.wrong(f"a field cannot be called {token.text}", token)
    cursor.expect_sign(":")
    kind = _type(cursor, depth)
    if cursor.words("comment"):
        cursor.literal()
    return f"{name}:{kind}"


def _key(cursor: Cursor) -> ColumnDefinition | PartitionField:
    if cursor.next.kind == WORD and cursor.ahead(1).text == "(":
        return _transform(cursor)
    name = identifier(cursor)
    if cursor.next.kind == SIGN and cursor.next.text in (",", ")"):
        return PartitionField(name)
    kind = column_type(cursor)
    return ColumnDefinition(name, kind, cursor.literal() if cursor.words("comment") else None)


def _transform(cursor: Cursor) -> PartitionField:
    name = cursor.next.text.lower()
    if name not in (*_PLAIN_TRANSFORMS, "bucket", "truncate"):
        _no_transform(cursor)
    cursor.take()
    cursor.expect_sign("(")
    if name in _PLAIN_TRANSFORMS:
        field = PartitionField(identifier(cursor), name)
    else:
        number = cursor.number()
        cursor.expect_sign(",")
        field = PartitionField(identifier(cursor), f"{name}[{number}]")
    cursor.expect_sign(")")
    return field


def _no_transform(cursor: Cursor) -> NoReturn:
    raise cursor.wrong(
        f"{cursor.next.text} is not a partition transform: they are bucket, truncate, year, month, day and hour"
    )
