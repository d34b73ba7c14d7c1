"""Patterns over JSON messages: `{ $.level = "ERROR" && ($.ms > 100 || $.retry IS TRUE) }`.

A selector that finds nothing fails every test but NOT EXISTS. `[*]` stands for any element of a list.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from clary.support.logs.patterns.conditions import Reader, Value, read_comparison, text_of

_BARE_LITERAL = re.compile(r"[^\s&|(){}\"]+")
_STEP = re.compile(r"\.([\w\-@:]+)|\[\s*(?:'([^']*)'|\"([^\"]*)\"|(\d+)|(\*))\s*\]")
_SELECTOR = re.compile(r"\$(?:\.[\w\-@:]+|\[\s*(?:'[^']*'|\"[^\"]*\"|\d+|\*)\s*\])+")
_ANY = object()
_DEEPEST = 40

Path = tuple[Any, ...]
Test = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class JsonPattern:
    """A tree of tests on selectors of a JSON object."""

    test: Test
    selectors: tuple[tuple[str, Path], ...]

    def match(self, message: str) -> Mapping[str, str] | None:
        document = _document(message)
        if document is None or not self.test(document):
            return None
        found = {name: next(iter(_scalars(document, path)), None) for name, path in self.selectors}
        return {name: text_of(value) for name, value in found.items() if value is not None}

    def extract(self, message: str, selector: str) -> str | None:
        document = _document(message)
        reader = Reader(selector)
        if document is None or reader.take_match(_SELECTOR) != selector:
            return None
        value = next(iter(_scalars(document, _path(selector))), None)
        return None if value is None else text_of(value)


def compile_json(text: str) -> JsonPattern:
    """The JSON pattern that `text` says. Raises PatternError."""
    reader = Reader(text)
    reader.expect("{")
    selectors: dict[str, Path] = {}
    test = _either(reader, selectors, 0)
    reader.expect("}")
    reader.skip_spaces()
    if reader.rest:
        raise reader.error("nothing may follow the closing '}'")
    return JsonPattern(test, tuple(selectors.items()))


def _either(reader: Reader, selectors: dict[str, Path], depth: int) -> Test:
    tests = [_both(reader, selectors, depth)]
    while reader.take("||"):
        tests.append(_both(reader, selectors, depth))
    return tests[0] if len(tests) == 1 else lambda document: any(test(document) for test in tests)


def _both(reader: Reader, selectors: dict[str, Path], depth: int) -> Test:
    tests = [_single(reader, selectors, depth)]
    while reader.take("&&"):
        tests.append(_single(reader, selectors, depth))
    return tests[0] if len(tests) == 1 else lambda document: all(test(document) for test in tests)


def _single(reader: Reader, selectors: dict[str, Path], depth: int) -> Test:
    if reader.take("("):
        if depth >= _DEEPEST:
            raise reader.error("too many parentheses")
        test = _either(reader, selectors, depth + 1)
        reader.expect(")")
        return test
    selector = reader.take_match(_SELECTOR)
    if selector is None:
        raise reader.error("a selector such as $.name expected")
    path = _path(selector)
    selectors[selector] = path
    if reader.take("NOT EXISTS"):
        return lambda document: not _found(document, path)
    if reader.take("IS NULL"):
        return lambda document: any(value is None for value in _found(document, path))
    if reader.take("IS TRUE"):
        return lambda document: any(value is True for value in _found(document, path))
    if reader.take("IS FALSE"):
        return lambda document: any(value is False for value in _found(document, path))
    comparison = read_comparison(reader, _BARE_LITERAL)
    return lambda document: any(comparison.holds(value) for value in _scalars(document, path))


def _path(selector: str) -> Path:
    steps: list[Any] = []
    for name, single, double, index, star in _STEP.findall(selector):
        if star:
            steps.append(_ANY)
        else:
            steps.append(int(index) if index else name or single or double)
    return tuple(steps)


def _found(document: Any, path: Path) -> list[Any]:
    """The values a selector finds; several only where it has a `[*]`."""
    found = [document]
    for step in path:
        if step is _ANY:
            found = [element for value in found if isinstance(value, list) for element in value]
        elif isinstance(step, int):
            found = [value[step] for value in found if isinstance(value, list) and step < len(value)]
        else:
            found = [value[step] for value in found if isinstance(value, dict) and step in value]
    return found


def _scalars(document: Any, path: Path) -> list[Value]:
    found = _found(document, path)
    return [
        float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for value in found
        if not isinstance(value, dict | list)
    ]


def _document(message: str) -> Any:
    """The JSON object a message holds; None when it holds none."""
    if message.lstrip()[:1] != "{":
        return None
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
