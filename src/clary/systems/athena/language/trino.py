"""Trino's statements: queries, DML, tables and views made of queries, and what is prepared."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.systems.athena.language.statements import (
    CreateTableAs,
    CreateView,
    Deallocate,
    Delete,
    DescribeView,
    DropView,
    Execute,
    Explain,
    InsertInto,
    Merge,
    Name,
    Optimize,
    Prepare,
    Query,
    ShowCreateView,
    Statement,
    Unload,
    Update,
    Vacuum,
    Value,
)
from clary.systems.athena.language.tokens import (
    BACK,
    DOUBLE,
    END,
    NUMBER,
    SIGN,
    TEXT,
    WORD,
    Cursor,
)
from clary.systems.athena.language.trees import condition_tree, dml_tree, query_tree

_NOT_NAMES = frozenset(
    {
        "alter", "and", "as", "between", "by", "case", "cast", "constraint", "create", "cross", "cube", "current_date",
        "current_path", "current_time", "current_timestamp", "current_user", "deallocate", "delete", "describe",
        "distinct", "drop", "else", "end", "escape", "except", "execute", "exists", "extract", "false", "first", "for",
        "from", "full", "group", "grouping", "having", "in", "inner", "insert", "intersect", "into", "is", "join",
        "last", "left", "like", "listagg", "localtime", "localtimestamp", "natural", "normalize", "not", "null", "on",
        "or", "order", "outer", "prepare", "recursive", "right", "rollup", "select", "skip", "table", "then", "trim",
        "true", "uescape", "union", "unnest", "using", "values", "when", "where", "with",
    }
)  # fmt: skip
BACKQUOTED = "backquoted identifiers are not supported; use double quotes to quote identifiers"


def trino_statement(cursor: Cursor, text: str, parse: Callable[[str, int, int], Statement]) -> Statement:
    """The statement that the cursor stands before. `parse(text, start, end)` reads another inside it.

    Raises StatementFailed with Trino's errors and positions.
    """
    for words, read in _STATEMENTS.items():
        if cursor.is_word(*words):
            return read(cursor, text)
    if cursor.words("explain"):
        return _explain(cursor, text, parse)
    if cursor.is_word("select") or cursor.is_word("with") or cursor.is_word("values") or cursor.is_word("table"):
        return Query(text=text, tree=query_tree(text, cursor.next.start, len(text)))
    if cursor.next.text == "(":
        return Query(text=text, tree=query_tree(text, cursor.next.start, len(text)))
    cursor.fail_at_next(*_HEADS)


def _identifier(cursor: Cursor) -> str:
    return _exact(cursor).lower()


def _exact(cursor: Cursor) -> str:
    """A name as it is written: the case of a prepared statement's counts, for the API makes them too."""
    token = cursor.next
    if token.kind == DOUBLE and token.value:
        return cursor.take().value
    if token.kind == BACK:
        raise cursor.wrong(BACKQUOTED)
    if token.kind != WORD or token.text.lower() in _NOT_NAMES:
        cursor.fail_at_next("<identifier>")
    return cursor.take().text


def _name(cursor: Cursor) -> Name:
    parts = [_identifier(cursor)]
    while len(parts) < 3 and cursor.sign("."):
        parts.append(_identifier(cursor))
    return Name(*reversed(parts))


def _properties(cursor: Cursor) -> dict[str, Value]:
    """`WITH (name = value, ...)`, if it comes next. Names are in lower case."""
    found: dict[str, Value] = {}
    if not cursor.words("with"):
        return found
    cursor.expect_sign("(")
    while True:
        place = cursor.next
        name = _identifier(cursor)
        if name in found:
            raise cursor.wrong(f"Duplicate property: {name}", place)
        cursor.expect_sign("=")
        found[name] = _value(cursor)
        if not cursor.sign(","):
            break
    cursor.expect_sign(")")
    return found


def _value(cursor: Cursor) -> Value:
    if cursor.next.kind == TEXT:
        return cursor.literal()
    negative = cursor.sign("-")
    if cursor.next.kind == NUMBER:
        text = cursor.take().text
        number = int(text) if text.isdecimal() else float(text)
        return -number if negative else number
    for word, value in (("true", True), ("false", False), ("null", None)):
        if not negative and cursor.words(word):
            return value
    if negative or not cursor.words("array"):
        cursor.fail_at_next("<expression>")
    cursor.expect_sign("[")
    items: list[Value] = []
    while not cursor.sign("]"):
        if items:
            cursor.expect_sign(",")
        items.append(_value(cursor))
    return tuple(items)


def _create_table_as(cursor: Cursor, text: str) -> Statement:
    cursor.expect("create", "table")
    if_not_exists = cursor.words("if", "not", "exists")
    name = _name(cursor)
    columns: list[str] = []
    if cursor.sign("("):
        columns.append(_identifier(cursor))
        while cursor.sign(","):
            columns.append(_identifier(cursor))
        cursor.expect_sign(")")
    comment = cursor.literal() if cursor.words("comment") else None
    given = _properties(cursor)
    cursor.expect("as")
    start, end, with_data = cursor.next.start, len(text), True
    tail = _last(cursor, 3)
    if [token.text.lower() for token in tail] == ["with", "no", "data"]:
        end, with_data = tail[0].start, False
    elif [token.text.lower() for token in tail[1:]] == ["with", "data"]:
        end = tail[1].start
    return CreateTableAs(
        text=text,
        name=name,
        query=query_tree(text, start, end),
        columns=tuple(columns),
        properties=given,
        if_not_exists=if_not_exists,
        comment=comment,
        with_data=with_data,
    )


def _create_view(cursor: Cursor, text: str) -> Statement:
    cursor.expect("create")
    or_replace = cursor.words("or", "replace")
    cursor.expect("view")
    name = _name(cursor)
    comment = cursor.literal() if cursor.words("comment") else None
    if cursor.words("security") and not cursor.words("definer"):
        cursor.expect("invoker")
        raise cursor.wrong("SECURITY INVOKER is not supported: a view reads as whoever asks", cursor.previous)
    cursor.expect("as")
    start = cursor.next.start
    query = query_tree(text, start, len(text))
    return CreateView(
        text=text, name=name, body=text[start:], query=query, or_replace=or_replace, comment=comment
    )  # fmt: skip


def _drop_view(cursor: Cursor, text: str) -> Statement:
    cursor.expect("drop", "view")
    if_exists = cursor.words("if", "exists")
    name = _name(cursor)
    cursor.end()
    return DropView(text=text, name=name, if_exists=if_exists)


def _show_create_view(cursor: Cursor, text: str) -> Statement:
    cursor.expect("show", "create", "view")
    name = _name(cursor)
    cursor.end()
    return ShowCreateView(text=text, name=name)


def _describe_view(cursor: Cursor, text: str) -> Statement:
    cursor.take()
    cursor.expect("view")
    name = _name(cursor)
    cursor.end()
    return DescribeView(text=text, name=name)


def _insert(cursor: Cursor, text: str) -> Statement:
    cursor.expect("insert", "into")
    name = _name(cursor)
    columns: list[str] = []
    if cursor.next.text == "(" and cursor.ahead(1).text.lower() not in ("select", "with", "values", "table", "("):
        cursor.take()
        columns.append(_identifier(cursor))
        while cursor.sign(","):
            columns.append(_identifier(cursor))
        cursor.expect_sign(")")
    query = query_tree(text, cursor.next.start, len(text))
    return InsertInto(text=text, name=name, columns=tuple(columns), query=query)


def _unload(cursor: Cursor, text: str) -> Statement:
    cursor.expect("unload")
    cursor.expect_sign("(")
    start = cursor.next.start
    depth = 1
    while depth:
        token = cursor.next
        if token.kind == END:
            cursor.fail_at_next("')'")
        cursor.take()
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == SIGN else 0
    query = query_tree(text, start, cursor.previous.start)
    cursor.expect("to")
    location = cursor.literal()
    given = _properties(cursor)
    cursor.end()
    return Unload(text=text, query=query, location=location, properties=given)


def _delete(cursor: Cursor, text: str) -> Statement:
    cursor.expect("delete", "from")
    name = _name(cursor)
    return Delete(text=text, name=name, tree=dml_tree(text, "Delete"))


def _update(cursor: Cursor, text: str) -> Statement:
    cursor.expect("update")
    name = _name(cursor)
    return Update(text=text, name=name, tree=dml_tree(text, "Update"))


def _merge(cursor: Cursor, text: str) -> Statement:
    cursor.expect("merge", "into")
    name = _name(cursor)
    return Merge(text=text, name=name, tree=dml_tree(text, "Merge"))


def _optimize(cursor: Cursor, text: str) -> Statement:
    cursor.expect("optimize")
    name = _name(cursor)
    cursor.expect("rewrite", "data", "using", "bin_pack")
    if not cursor.words("where"):
        cursor.end()
        return Optimize(text=text, name=name)
    start = cursor.next.start
    # A condition is read as that of a query, and its places are those of the whole.
    tree = condition_tree(text, start)
    return Optimize(text=text, name=name, condition=tree)


def _vacuum(cursor: Cursor, text: str) -> Statement:
    cursor.expect("vacuum")
    name = _name(cursor)
    cursor.end()
    return Vacuum(text=text, name=name)


def _explain(cursor: Cursor, text: str, parse: Callable[[str, int, int], Statement]) -> Statement:
    analyze = cursor.words("analyze")
    given = {"format": "TEXT", "type": "DISTRIBUTED"}
    verbose = analyze and cursor.words("verbose")
    if verbose:
        raise cursor.wrong("EXPLAIN ANALYZE VERBOSE is not supported", cursor.previous)
    if cursor.next.text == "(" and cursor.ahead(1).text.lower() in given:
        cursor.take()
        while True:
            _option(cursor, given, analyze)
            if not cursor.sign(","):
                break
        cursor.expect_sign(")")
    inner = parse(text, cursor.next.start, len(text))
    return Explain(text=text, statement=inner, analyze=analyze, format=given["format"], type=given["type"])


def _option(cursor: Cursor, given: dict[str, str], analyze: bool) -> None:
    allowed: Mapping[str, Sequence[str]] = {
        "format": ("TEXT", "JSON") if analyze else ("TEXT", "GRAPHVIZ", "JSON"),
        "type": () if analyze else ("LOGICAL", "DISTRIBUTED", "VALIDATE", "IO"),
    }
    name = cursor.next.text.lower()
    if not allowed.get(name):
        cursor.fail_at_next(*(f"'{each.upper()}'" for each, values in allowed.items() if values))
    cursor.take()
    value = cursor.next.text.upper()
    if value not in allowed[name]:
        cursor.fail_at_next(*(f"'{each}'" for each in allowed[name]))
    cursor.take()
    given[name] = value


def _prepare(cursor: Cursor, text: str) -> Statement:
    cursor.expect("prepare")
    name = _exact(cursor)
    cursor.expect("from")
    start = cursor.next.start
    if cursor.next.kind == END:
        cursor.fail_at_next(*_HEADS)
    return Prepare(text=text, name=name, body=text[start:])


def _execute(cursor: Cursor, text: str) -> Statement:
    cursor.expect("execute")
    name = _exact(cursor)
    parameters: list[str] = []
    if cursor.words("using"):
        parameters.append(_parameter(cursor))
        while cursor.sign(","):
            parameters.append(_parameter(cursor))
    cursor.end()
    return Execute(text=text, name=name, parameters=tuple(parameters))


def _parameter(cursor: Cursor) -> str:
    start = cursor.next
    depth = 0
    while cursor.next.kind != END and (depth or cursor.next.text != ","):
        token = cursor.take()
        if token.kind == SIGN:
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
    value = cursor.text[start.start : cursor.previous.end] if cursor.next.start > start.start else ""
    if not value:
        cursor.fail_at_next("<expression>")
    return value


def _deallocate(cursor: Cursor, text: str) -> Statement:
    cursor.expect("deallocate", "prepare")
    name = _exact(cursor)
    cursor.end()
    return Deallocate(text=text, name=name)


def _last(cursor: Cursor, count: int) -> list[Any]:
    every = cursor.rest()
    return every[-count:] if len(every) >= count else every


_STATEMENTS: Mapping[tuple[str, ...], Callable[[Cursor, str], Statement]] = {
    ("create", "table"): _create_table_as,
    ("create", "or", "replace", "view"): _create_view,
    ("create", "view"): _create_view,
    ("drop", "view"): _drop_view,
    ("show", "create", "view"): _show_create_view,
    ("describe", "view"): _describe_view,
    ("desc", "view"): _describe_view,
    ("insert", "into"): _insert,
    ("unload",): _unload,
    ("delete", "from"): _delete,
    ("update",): _update,
    ("merge", "into"): _merge,
    ("optimize",): _optimize,
    ("vacuum",): _vacuum,
    ("prepare",): _prepare,
    ("execute",): _execute,
    ("deallocate",): _deallocate,
}
_HEADS = (
    "'ALTER'", "'CREATE'", "'DEALLOCATE'", "'DELETE'", "'DESC'", "'DESCRIBE'", "'DROP'", "'EXECUTE'", "'EXPLAIN'",
    "'INSERT'", "'MERGE'", "'MSCK'", "'OPTIMIZE'", "'PREPARE'", "'SHOW'", "'UNLOAD'", "'UPDATE'", "'VACUUM'", "'WITH'",
    "<query>",
)  # fmt: skip
