"""Metric math: reading an expression into a tree. `calculation` works it out.

100 * (errors / requests)      FILL(m1, 0)      SUM(METRICS("m"))      IF(m1 > 5 && m2 < 3, m1, 0)
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_DEPTH = 40
MAX_TOKENS = 300

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<name>[A-Za-z][A-Za-z0-9_]*)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/^<>(),\[\]]))"
)
_LEVELS = (("||", "OR"), ("&&", "AND"), ("==", "!=", "<=", ">=", "<", ">"), ("+", "-"), ("*", "/"))
_SPELLINGS = {"OR": "||", "AND": "&&"}


class ExpressionError(Exception):
    """The expression cannot be read or worked out; the message says why."""


class NoData(ExpressionError):
    """The expression asks for a number of a series that has no points: there is no result, and no mistake."""

    def __init__(self) -> None:
        super().__init__("a time series without data has no such number")


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Word:
    """An upper-case word that is no call: REPEAT, LINEAR, ASC, the name of a function to sort by."""

    value: str


@dataclass(frozen=True, slots=True)
class Reference:
    """The id of another query."""

    id: str


@dataclass(frozen=True, slots=True)
class Array:
    elements: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Binary:
    sign: str
    left: "Node"
    right: "Node"


Node = Number | Text | Word | Reference | Array | Call | Binary


def parse(text: str) -> Node:
    """The tree of an expression. Raises ExpressionError."""
    if re.match(r"\s*SELECT\s", text):
        raise ExpressionError("Metrics Insights queries (SELECT) are not supported by Clary")
    reader = _Reader(_tokens(text))
    node = _level(reader, 0, 0)
    if reader.token is not None:
        raise ExpressionError(f"'{reader.token[1]}' is not expected")
    return node


def references(node: Node) -> Iterator[str]:
    """The ids an expression names."""
    match node:
        case Reference(id):
            yield id
        case Array(parts) | Call(_, parts):
            for part in parts:
                yield from references(part)
        case Binary(_, left, right):
            yield from references(left)
            yield from references(right)


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def token(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def next(self) -> tuple[str, str]:
        token = self.token
        if token is None:
            raise ExpressionError("the expression ends too early")
        self._at += 1
        return token

    def take(self, *words: str) -> str | None:
        token = self.token
        if token is None or token[0] == "text" or token[1] not in words:
            return None
        self._at += 1
        return token[1]

    def expect(self, word: str) -> None:
        if self.take(word) is None:
            found = "the end" if self.token is None else f"'{self.token[1]}'"
            raise ExpressionError(f"'{word}' is expected instead of {found}")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise ExpressionError(f"'{text[at:].strip()[:10]}' cannot be read")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
        if len(tokens) > MAX_TOKENS:
            raise ExpressionError(f"it has more than {MAX_TOKENS} words and signs")
    return tokens


def _level(reader: _Reader, level: int, depth: int) -> Node:
    if level == len(_LEVELS):
        return _signed(reader, depth)
    node = _level(reader, level + 1, depth)
    while (sign := reader.take(*_LEVELS[level])) is not None:
        node = Binary(_SPELLINGS.get(sign, sign), node, _level(reader, level + 1, depth))
    return node


def _signed(reader: _Reader, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise ExpressionError("the expression is nested too deeply")
    if reader.take("-"):
        return Binary("-", Number(0.0), _signed(reader, depth + 1))
    node = _primary(reader, depth)
    if reader.take("^"):
        return Binary("^", node, _signed(reader, depth + 1))
    return node


def _primary(reader: _Reader, depth: int) -> Node:
    kind, word = reader.next()
    if kind == "number":
        number = float(word)
        if not math.isfinite(number):
            raise ExpressionError(f"'{word}' is too large")
        return Number(number)
    if kind == "text":
        return Text(word[1:-1])
    if kind == "name":
        if reader.take("("):
            return Call(word, _list(reader, ")", depth))
        return Reference(word) if word[0].islower() else Word(word)
    if word == "(":
        node = _level(reader, 0, depth + 1)
        reader.expect(")")
        return node
    if word == "[":
        return Array(_list(reader, "]", depth))
    raise ExpressionError(f"'{word}' is not expected")


def _list(reader: _Reader, end: str, depth: int) -> tuple[Node, ...]:
    if reader.take(end):
        return ()
    parts = [_level(reader, 0, depth + 1)]
    while reader.take(","):
        parts.append(_level(reader, 0, depth + 1))
    reader.expect(end)
    return tuple(parts)
