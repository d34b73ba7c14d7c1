"""Patterns over messages whose fields are separated by spaces: `[ip, user, ..., status = 4* || status = 5*, bytes]`.

A field of a message that stands in brackets or double quotes is one field, whatever spaces it holds. Without an
ellipsis the numbers of fields must agree.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clary.support.logs.patterns.conditions import Reader, read_comparison

_FIELD = re.compile(r'\[([^\]]*)\]|"([^"]*)"|(\S+)')
_NAME = re.compile(r"[\w\-]+")
_BARE_LITERAL = re.compile(r"[^\s&|,\[\]\"]+")

Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class WordsPattern:
    """Named fields with their tests; `gap` is the place of the ellipsis."""

    fields: tuple[tuple[str, Test | None], ...]
    gap: int | None

    def match(self, message: str) -> Mapping[str, str] | None:
        values = self._line_up(message)
        if values is None:
            return None
        for (_, test), value in zip(self.fields, values, strict=True):
            if test is not None and not test(value):
                return None
        return {f"${name}": value for (name, _), value in zip(self.fields, values, strict=True)}

    def extract(self, message: str, selector: str) -> str | None:
        values = self._line_up(message)
        for (name, _), value in zip(self.fields, values or (), strict=False):
            if f"${name}" == selector:
                return value
        return None

    def _line_up(self, message: str) -> list[str] | None:
        words = ["".join(found) for found in _FIELD.findall(message)]
        if self.gap is None:
            return words if len(words) == len(self.fields) else None
        if len(words) < len(self.fields):
            return None
        behind = len(self.fields) - self.gap
        return words[: self.gap] + words[len(words) - behind :]


def compile_words(text: str) -> WordsPattern:
    """The space-delimited pattern that `text` says. Raises PatternError."""
    reader = Reader(text)
    reader.expect("[")
    fields: list[tuple[str, Test | None]] = []
    gap = None
    if not reader.take("]"):
        while True:
            if reader.take("..."):
                if gap is not None:
                    raise reader.error("a second '...'")
                gap = len(fields)
            else:
                fields.append(_field(reader, len(fields) + 1))
            if reader.take("]"):
                break
            reader.expect(",")
    reader.skip_spaces()
    if reader.rest:
        raise reader.error("nothing may follow the closing ']'")
    return WordsPattern(tuple(fields), gap)


def _field(reader: Reader, number: int) -> tuple[str, Test | None]:
    reader.skip_spaces()
    if reader.rest[:1] in {",", "]"}:
        return str(number), None
    name = reader.take_match(_NAME)
    if name is None:
        raise reader.error("the name of a field expected")
    reader.skip_spaces()
    if reader.rest[:1] in {",", "]"}:
        return name, None
    return name, _either(reader, name)


def _either(reader: Reader, name: str) -> Test:
    """Conditions on one field, joined by || and, binding tighter, &&; the field's name stands before each."""
    tests = [_both(reader, name)]
    while reader.take("||"):
        _same_name(reader, name)
        tests.append(_both(reader, name))
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _both(reader: Reader, name: str) -> Test:
    tests: list[Test] = [read_comparison(reader, _BARE_LITERAL).holds]
    while reader.take("&&"):
        _same_name(reader, name)
        tests.append(read_comparison(reader, _BARE_LITERAL).holds)
    return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)


def _same_name(reader: Reader, name: str) -> None:
    found = reader.take_match(_NAME)
    if found != name:
        raise reader.error(f"conditions of one field must name it: '{name}' expected")
