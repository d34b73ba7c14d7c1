"""What the JSON and the space-delimited patterns share: reading, literals, comparisons and their combination."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clary.support.logs.patterns.expressions import Expression, ExpressionError

Value = str | float | bool | None

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_REGEX_TEXT = re.compile(r"[A-Za-z0-9:_#=@/;,\-^$?\[\]{}|\\*+. ]+")
_UNBOUNDED = re.compile(r"(?<!\\)[*+]|\{\d+,\}")
_MOST_UNBOUNDED = 4
_NESTED_SET = re.compile(r"(?<!\\)\[[^\]]*(?:(?<!\\)\[|--|\|\|)")
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


class PatternError(Exception):
    """The pattern is not one; the message says why."""


class Reader:
    """A place in a pattern's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip_spaces(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    @property
    def rest(self) -> str:
        return self.text[self.at :]

    def take(self, *words: str) -> str | None:
        """Move behind the first of `words` that stands here, spaces aside; None when none does."""
        self.skip_spaces()
        for word in words:
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return word
        return None

    def take_match(self, expression: re.Pattern[str]) -> str | None:
        """Move behind what `expression` matches here, spaces aside."""
        self.skip_spaces()
        found = expression.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def expect(self, word: str) -> None:
        if self.take(word) is None:
            raise self.error(f"'{word}' expected")

    def error(self, why: str) -> PatternError:
        return PatternError(f"Invalid filter pattern: {why} at character {self.at + 1} of '{self.text}'")

    def quoted(self) -> str:
        """The text between double quotes, of which the first stands here; a backslash keeps the next character."""
        self.expect('"')
        kept: list[str] = []
        while self.at < len(self.text):
            character = self.text[self.at]
            self.at += 1
            if character == '"':
                return "".join(kept)
            if character == "\\" and self.at < len(self.text):
                character = self.text[self.at]
                self.at += 1
            kept.append(character)
        raise self.error("closing '\"' missing")

    def regex(self) -> Expression:
        """The expression between per cent signs, of which the first stands here."""
        self.expect("%")
        end = self.text.find("%", self.at)
        if end < 0:
            raise self.error("closing '%' of a regular expression missing")
        source = self.text[self.at : end]
        self.at = end + 1
        if _REGEX_TEXT.fullmatch(source) is None:
            raise self.error(f"the regular expression %{source}% has a character that is not supported")
        if len(_UNBOUNDED.findall(source)) > _MOST_UNBOUNDED:
            raise self.error(f"%{source}% has more than {_MOST_UNBOUNDED} repetitions without an upper bound")
        if _NESTED_SET.search(source):
            raise self.error(f"%{source}% has a '[' or a doubled sign inside brackets: put a backslash before it")
        try:
            return Expression(source)
        except ExpressionError as error:
            raise self.error(f"the regular expression %{source}% is not valid ({error})") from None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`= 4*`, `!= %^x%`, `> 10`: an operator and what to compare with."""

    sign: str
    number: float | None
    found_in: Callable[[str], bool]

    def holds(self, value: Value) -> bool:
        """Whether a value that is there passes; null never does."""
        if value is None:
            return False
        order = _ORDERS.get(self.sign)
        if order is not None:
            found = number_of(value)
            return found is not None and self.number is not None and order(found, self.number)
        return self._equals(value) == (self.sign == "=")

    def _equals(self, value: Value) -> bool:
        if self.number is not None and isinstance(value, float):
            return value == self.number
        return self.found_in(text_of(value))


def read_comparison(reader: Reader, bare: re.Pattern[str]) -> Comparison:
    """An operator and its literal; `bare` says how far a literal without quotes goes."""
    sign = reader.take("!=", ">=", "<=", "=", ">", "<")
    if sign is None:
        raise reader.error("a comparison (=, !=, <, <=, >, >=) expected")
    reader.skip_spaces()
    if reader.rest.startswith("%") and sign in {"=", "!="}:
        return Comparison(sign, None, reader.regex().found_in)
    if reader.rest.startswith('"'):
        literal = reader.quoted()
        number = None
    else:
        literal = (reader.take_match(bare) or "").strip()
        if not literal:
            raise reader.error(f"a value expected after '{sign}'")
        number = float(literal) if _NUMBER.fullmatch(literal) else None
    if sign in _ORDERS and number is None:
        raise reader.error(f"'{sign}' compares numbers, and '{literal}' is none")
    return Comparison(sign, number, _wildcards(literal))


def number_of(value: Value) -> float | None:
    """The number a field holds, as a number or as its text."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return value
    return float(value) if _NUMBER.fullmatch(value) else None


def text_of(value: Value) -> str:
    """A value as a pattern sees it: whole numbers without a point, true and false in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return "" if value is None else value


def _wildcards(literal: str) -> Callable[[str], bool]:
    """Whether a text is the literal, whose asterisks stand for anything."""
    if literal.count("*") > _MOST_UNBOUNDED:
        raise PatternError(f"Invalid filter pattern: '{literal}' has more than {_MOST_UNBOUNDED} wildcards")
    first, *rest = literal.split("*")
    if not rest:
        return lambda text: text == literal
    *middle, last = rest

    def holds(text: str) -> bool:
        at, end = len(first), len(text) - len(last)
        if at > end or not text.startswith(first) or not text.endswith(last):
            return False
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return holds
