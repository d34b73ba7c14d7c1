"""Expressions of GetPartitions: a condition on partition keys in Glue's SQL-like language, compiled once.

    year = '2024' AND (month IN (1, 2) OR day BETWEEN '03' AND '05') AND NOT region LIKE 'eu-%'

Keys compare by their type; a value that is Hive's name for NULL, or none of its key's type, is NULL, and what is
neither true nor false keeps no partition.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from clary.systems.glue_catalog.patterns import like, matches

NULL = "__HIVE_DEFAULT_PARTITION__"

_DEEPEST = 64
_TOKENS = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?![\w.]))"""
    r"""|'(?P<text>(?:[^']|'')*)'|`(?P<back>[^`]+)`|"(?P<double>(?:[^"]|"")*)\""""
    r"""|(?P<word>[^\W\d]\w*)|(?P<sign><>|!=|<=|>=|==|[=<>(),]))""",
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": eq, "==": eq, "<>": ne, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge,
}  # fmt: skip
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_KEYWORDS = frozenset({"and", "or", "not", "in", "between", "like", "is", "null"})

Row = Sequence[Any]
Test = Callable[[Row], bool | None]


class Token(NamedTuple):
    """A part of an expression: `kind` is number, text, name, word or sign; a word is in lower case."""

    kind: str
    text: str
    place: int


class Key(NamedTuple):
    """A partition key: its place among the keys, and how its values and what they are compared with are read."""

    name: str
    place: int
    read: Callable[[str], Any]
    is_text: bool


@dataclass(frozen=True)
class Condition:
    """A compiled expression. `first_values` are those that the first keys must have, for as many as it says."""

    keys: Sequence[Key]
    test: Test
    first_values: list[str]

    def keeps(self, values: Sequence[str]) -> bool:
        return self.test([_value(key, text) for key, text in zip(self.keys, values, strict=True)]) is True


def compile_condition(expression: str, partition_keys: Sequence[Mapping[str, Any]]) -> Condition:
    """The condition that an expression is. Raises ValueError, saying what is wrong and where."""
    keys = [
        Key(key["Name"].lower(), place, *_reading(key.get("Type") or "string"))
        for place, key in enumerate(partition_keys)
    ]
    parser = _Parser(_tokens(expression), {key.name: key for key in keys})
    test = parser.whole()
    first_values = []
    for key in keys:
        if not key.is_text or parser.equal.get(key.name) is None:
            break
        first_values.append(parser.equal[key.name])
    return Condition(keys, test, first_values)


class _Parser:
    """Recursive descent over the tokens; `equal` collects what keys must equal if the whole is to be true."""

    def __init__(self, tokens: list[Token], keys: Mapping[str, Key]) -> None:
        self._tokens = tokens
        self._keys = keys
        self._at = 0
        self._depth = 0
        self._certain = True
        self.equal: dict[str, str] = {}

    def whole(self) -> Test:
        test = self._either()
        if self._at < len(self._tokens):
            raise self._wrong("AND, OR or the end")
        return test

    def _either(self) -> Test:
        before, certain = dict(self.equal), self._certain
        tests = [self._both()]
        while self._word("or"):
            self._certain = False
            tests.append(self._both())
        if len(tests) > 1:
            self.equal = before
        self._certain = certain
        return tests[0] if len(tests) == 1 else partial(_or, tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._word("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else partial(_and, tests)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
        try:
            if self._word("not"):
                certain, self._certain = self._certain, False
                negated = self._one()
                self._certain = certain
                return partial(_not, negated)
            if self._sign("("):
                test = self._either()
                if not self._sign(")"):
                    raise self._wrong(")")
                return test
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Test:
        key = self._key()
        if key is None:
            literal = self._literal()
            sign = self._operator()
            key = self._key()
            if key is None:
                raise self._wrong("a partition key")
            return self._compared(key, _TURNED.get(sign, sign), literal)
        if self._word("is"):
            negated = self._word("not")
            if not self._word("null"):
                raise self._wrong("NULL")
            return partial(_is_null, key.place, not negated)
        negated = self._word("not")
        test = self._listed(key)
        if test is None:
            if negated:
                raise self._wrong("IN, BETWEEN or LIKE")
            return self._compared(key, self._operator(), self._literal())
        return partial(_not, test) if negated else test

    def _listed(self, key: Key) -> Test | None:
        """What follows IN, BETWEEN or LIKE; None where none of them does."""
        if self._word("in"):
            values = set()
            opened = self._sign("(")
            while opened:
                values.add(self._read(key, self._literal()))
                if self._sign(")"):
                    return partial(_in, key.place, values)
                if not self._sign(","):
                    break
            raise self._wrong(", or )" if opened else "(")
        if self._word("between"):
            low = self._read(key, self._literal())
            if not self._word("and"):
                raise self._wrong("AND")
            return partial(_between, key.place, low, self._read(key, self._literal()))
        if self._word("like"):
            if not key.is_text:
                raise ValueError(f"LIKE is for keys of text, which {key.name} is not")
            return partial(_like, key.place, like(self._literal().text))
        return None

    def _compared(self, key: Key, sign: str, literal: Token) -> Test:
        value = self._read(key, literal)
        if sign in ("=", "==") and self._certain:
            self.equal[key.name] = literal.text
        return partial(_compare, key.place, _COMPARE[sign], value)

    def _key(self) -> Key | None:
        token = self._next()
        if token is None or token.kind not in ("word", "name") or (token.kind == "word" and token.text in _KEYWORDS):
            return None
        after = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else None
        if token.text in ("date", "timestamp") and token.text not in self._keys and after and after.kind == "text":
            return None  # the type of a literal
        key = self._keys.get(token.text.lower())
        if key is None:
            raise ValueError(f"{token.text} is no partition key: they are {', '.join(self._keys) or 'none'}")
        self._at += 1
        return key

    def _literal(self) -> Token:
        if not self._word("date"):
            self._word("timestamp")
        token = self._next()
        if token is None or token.kind not in ("number", "text"):
            raise self._wrong("a number or a text in quotes")
        self._at += 1
        return token

    def _operator(self) -> str:
        token = self._next()
        if token is None or token.kind != "sign" or token.text not in _COMPARE:
            raise self._wrong("a comparison")
        self._at += 1
        return token.text

    def _word(self, text: str) -> bool:
        return self._take("word", text)

    def _sign(self, text: str) -> bool:
        return self._take("sign", text)

    def _take(self, kind: str, text: str) -> bool:
        token = self._next()
        found = token is not None and token.kind == kind and token.text == text
        self._at += found
        return found

    def _next(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _wrong(self, wanted: str) -> ValueError:
        token = self._next()
        where = "at its end" if token is None else f"at position {token.place}, before {token.text!r}"
        return ValueError(f"{wanted} is missing {where}")

    def _read(self, key: Key, literal: Token) -> Any:
        try:
            return key.read(literal.text)
        except (ValueError, InvalidOperation):
            raise ValueError(f"{literal.text!r} is not of the type of {key.name}") from None


def _tokens(expression: str) -> list[Token]:
    tokens, place, text = [], 0, expression.rstrip()
    while place < len(text):
        found = _TOKENS.match(text, place)
        if found is None:
            raise ValueError(f"{text[place : place + 10]!r} at position {place} is not understood")
        group = str(found.lastgroup)
        kind = "name" if group in ("back", "double") else group
        value = found[group].lower() if kind == "word" else found[group].replace("''", "'")
        tokens.append(Token(kind, value, found.start(group)))
        place = found.end()
    return tokens


def _reading(type_: str) -> tuple[Callable[[str], Any], bool]:
    """How values of a key's type are read, and whether it is a type of text."""
    base = type_.lower().partition("(")[0].strip()
    if base in ("tinyint", "smallint", "int", "integer", "bigint", "long", "decimal", "float", "double"):
        return _number, False
    if base == "date":
        return date.fromisoformat, False
    if base == "timestamp":
        return _moment, False
    if base in ("string", "char", "varchar"):
        return str, True
    return str, False


def _number(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(text)
    return value


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _value(key: Key, text: str) -> Any:
    if text == NULL:
        return None
    try:
        return key.read(text)
    except (ValueError, InvalidOperation):
        return None


def _compare(place: int, compare: Callable[[Any, Any], bool], value: Any, row: Row) -> bool | None:
    return None if row[place] is None else compare(row[place], value)


def _in(place: int, values: set[Any], row: Row) -> bool | None:
    return None if row[place] is None else row[place] in values


def _between(place: int, low: Any, high: Any, row: Row) -> bool | None:
    return None if row[place] is None else low <= row[place] <= high


def _like(place: int, pattern: Any, row: Row) -> bool | None:
    return None if row[place] is None else matches(pattern, row[place])


def _is_null(place: int, wanted: bool, row: Row) -> bool:
    return (row[place] is None) == wanted


def _not(test: Test, row: Row) -> bool | None:
    found = test(row)
    return None if found is None else not found


def _and(tests: Sequence[Test], row: Row) -> bool | None:
    found = [test(row) for test in tests]
    return False if False in found else None if None in found else True


def _or(tests: Sequence[Test], row: Row) -> bool | None:
    found = [test(row) for test in tests]
    return True if True in found else None if None in found else False
