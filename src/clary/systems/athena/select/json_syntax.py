"""How calls of JSON_VALUE, JSON_QUERY, JSON_EXISTS, JSON_OBJECT and JSON_ARRAY are read, with words between arguments.

Each becomes a call like any other, whose node has what the words say beside its arguments: `returning`, a type;
`on_empty` and `on_error`, a word or an expression; `wrapper`, `quotes`, `null` and `unique`, words; `formatted`, the
places of arguments that are FORMAT JSON. Arguments of JSON_OBJECT are keys and values in turn.
"""

from collections.abc import Callable
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from clary.systems.athena.select.values import unsupported

_ON = ("ERROR", "NULL", "EMPTY ARRAY", "EMPTY OBJECT", "TRUE", "FALSE", "UNKNOWN", "EMPTY")
_WRAPPERS = {
    "WITHOUT WRAPPER": "WITHOUT", "WITHOUT ARRAY WRAPPER": "WITHOUT", "WITH CONDITIONAL WRAPPER": "CONDITIONAL",
    "WITH CONDITIONAL ARRAY WRAPPER": "CONDITIONAL", "WITH UNCONDITIONAL WRAPPER": "UNCONDITIONAL",
    "WITH UNCONDITIONAL ARRAY WRAPPER": "UNCONDITIONAL", "WITH WRAPPER": "UNCONDITIONAL",
    "WITH ARRAY WRAPPER": "UNCONDITIONAL",
}  # fmt: skip
_QUOTES = {
    "KEEP QUOTES ON SCALAR STRING": "KEEP", "KEEP QUOTES": "KEEP", "OMIT QUOTES ON SCALAR STRING": "OMIT",
    "OMIT QUOTES": "OMIT",
}  # fmt: skip
_NULLS = {"NULL ON NULL": "NULL", "ABSENT ON NULL": "ABSENT"}
_UNIQUE = {
    "WITH UNIQUE KEYS": "WITH", "WITH UNIQUE": "WITH", "WITHOUT UNIQUE KEYS": "WITHOUT", "WITHOUT UNIQUE": "WITHOUT",
}  # fmt: skip


def _words(parser: Any, meanings: dict[str, str]) -> exp.Expr | None:
    """What the words that come next mean, if they mean something."""
    for words, meaning in meanings.items():
        if parser._match_text_seq(*words.split()):
            return exp.var(meaning)
    return None


def _formatted(parser: Any, node: exp.Expr) -> bool:
    """Whether FORMAT JSON comes next."""
    if not parser._match_text_seq("FORMAT", "JSON"):
        return False
    if parser._match_text_seq("ENCODING") and not parser._match_text_seq("UTF8"):
        unsupported(node, "an ENCODING of JSON other than UTF8")
    return True


def _value(parser: Any, into: list[exp.Expr], formatted: list[int]) -> None:
    node = parser._parse_assignment()
    if node is None:
        parser.raise_error("Expecting: an expression")
    into.append(node)
    if _formatted(parser, node):
        formatted.append(len(into) - 1)


def _handling(parser: Any, on: str) -> exp.Expr | None:
    """`NULL ON EMPTY`, `DEFAULT 0 ON ERROR`."""
    for word in _ON:
        if parser._match_text_seq(*word.split(), "ON", on):
            return exp.var(word)
    place = parser._index
    if parser._match(TokenType.DEFAULT):
        default: exp.Expr | None = parser._parse_bitwise()
        if default is not None and parser._match_text_seq("ON", on):
            return default
        parser._retreat(place)
    return None


def _call(parser: Any, name: exp.Expr, arguments: list[exp.Expr], formatted: list[int], **said: Any) -> exp.Expr:
    if parser._curr is None or parser._curr.token_type != TokenType.R_PAREN:
        parser.raise_error("Expecting )")
    call = exp.Anonymous(this=name.name, expressions=arguments)
    call.meta.update(name.meta)
    places = exp.Tuple(expressions=[exp.Literal.number(at) for at in formatted]) if formatted else None
    for key, value in {**said, "formatted": places}.items():
        if value is not None:
            call.set(key, value)
    return call


def _name(parser: Any) -> exp.Expr:
    """The function's name, which stands two tokens back, with its place."""
    token = parser._tokens[parser._index - 2]
    return exp.Identifier(this=token.text).update_positions(token)


def _returning(parser: Any) -> exp.Expr | None:
    if not parser._match_text_seq("RETURNING"):
        return None
    kind: exp.Expr | None = parser._parse_types()
    if kind is None:
        parser.raise_error("Expecting: a type")
    else:
        _formatted(parser, kind)
    return kind


def _path_call(parser: Any) -> exp.Expr:
    name = _name(parser)
    arguments: list[exp.Expr] = []
    formatted: list[int] = []
    _value(parser, arguments, formatted)
    if parser._match(TokenType.COMMA):
        arguments.append(parser._parse_assignment())
    if parser._match_text_seq("PASSING"):
        unsupported(arguments[0], "PASSING of variables to a JSON path")
    returning = _returning(parser)
    wrapper = _words(parser, _WRAPPERS)
    quotes = _words(parser, _QUOTES)
    empty = _handling(parser, "EMPTY")
    error = _handling(parser, "ERROR")
    return _call(parser, name, arguments, formatted, returning=returning, wrapper=wrapper, quotes=quotes,
                 on_empty=empty, on_error=error)  # fmt: skip


def _members(parser: Any, read: Callable[[], None]) -> None:
    """Have each member of an array or an object read, up to what is said behind them."""
    while parser._curr is not None and parser._curr.token_type != TokenType.R_PAREN:
        if parser._match_text_seq("RETURNING", advance=False):
            return
        read()
        if not parser._match(TokenType.COMMA):
            return


def _array(parser: Any) -> exp.Expr:
    name = _name(parser)
    arguments: list[exp.Expr] = []
    formatted: list[int] = []
    _members(parser, lambda: _value(parser, arguments, formatted))
    null = _words(parser, _NULLS)
    return _call(parser, name, arguments, formatted, null=null, returning=_returning(parser))


def _object(parser: Any) -> exp.Expr:
    name = _name(parser)
    arguments: list[exp.Expr] = []
    formatted: list[int] = []

    def member() -> None:
        if not (parser._next and parser._next.text.upper() in (":", "VALUE")):
            parser._match_text_seq("KEY")
        arguments.append(parser._parse_bitwise())
        if not (parser._match(TokenType.COLON) or parser._match_text_seq("VALUE")):
            parser.raise_error("Expecting: ':', 'VALUE'")
        _value(parser, arguments, formatted)

    _members(parser, member)
    null = _words(parser, _NULLS)
    unique = _words(parser, _UNIQUE)
    return _call(parser, name, arguments, formatted, null=null, unique=unique, returning=_returning(parser))


READERS: dict[str, Callable[[Any], exp.Expr]] = {
    "JSON_VALUE": _path_call, "JSON_QUERY": _path_call, "JSON_EXISTS": _path_call, "JSON_ARRAY": _array,
    "JSON_OBJECT": _object,
}  # fmt: skip
"""What reads the arguments of each, behind the parenthesis."""
