r"""Grok: regular expressions made of named patterns, `%{NUMBER:bytes:int} %{QS:agent}`, as AWS Glue has them. Pure.

A field is a string unless its pattern says otherwise. `(?<name>...)` makes a field too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from clary.lake.formats.grok_patterns import PATTERNS

_TYPES = {
    "string": "string", "byte": "tinyint", "boolean": "boolean", "double": "double", "short": "smallint",
    "int": "int", "long": "bigint", "float": "float",
}  # fmt: skip
_NAMED = re.compile(r"%\{(\w+)(?::([\w.@-]+))?(?::(\w+))?\}|\(\?<([A-Za-z_]\w*)>|%\{[^}]*\}?")
_POSIX = {
    "[:alnum:]": "a-zA-Z0-9", "[:alpha:]": "a-zA-Z", "[:digit:]": "0-9", "[:lower:]": "a-z", "[:upper:]": "A-Z",
    "[:space:]": r"\s", "[:word:]": r"\w", "[:xdigit:]": "0-9A-Fa-f", "[:punct:]": r"!-/:-@\[-`{-~",
    "[:blank:]": r" \t",
}  # fmt: skip
_DEEPEST = 32
_LONGEST = 200_000


@dataclass(frozen=True, slots=True)
class Grok:
    """A compiled pattern: `fields` are its fields' names with the types of Hive, in their order."""

    regex: re.Pattern[str]
    fields: tuple[tuple[str, str], ...]
    groups: Mapping[str, tuple[str, ...]]
    unnamed: frozenset[str] = frozenset()
    """Patterns of the outermost level that have no field: what they match is among the groups, with `%` before it."""

    def for_columns(self, columns: Sequence[str]) -> list[str]:
        """For each column the name of what is in it: that of its own name, whatever its case, where each column has
        one; else the fields in their order. Empty where these are too few."""
        fields = [name for name, _ in self.fields]
        known = {name.lower(): f"%{name}" for name in self.unnamed} | {name.lower(): name for name in fields}
        if all(column.lower() in known for column in columns):
            return [known[column.lower()] for column in columns]
        return fields[: len(columns)] if len(fields) >= len(columns) else []

    def match(self, line: str) -> dict[str, str | None] | None:
        """The texts of fields and of what has none; None for a line that the pattern does not match whole."""
        found = self.regex.fullmatch(line)
        if found is None:
            return None
        return {
            name: next((found[g] for g in groups if found[g] is not None), None) for name, groups in self.groups.items()
        }


def compile_grok(pattern: str, custom: str = "") -> Grok:
    """The pattern with those of `custom`, lines of a name and what it stands for. Raises ValueError, saying what is
    wrong."""
    return _Compiler({**_built_in(), **read_patterns(custom)}).whole(pattern)


def read_patterns(text: str) -> dict[str, str]:
    """Lines of a name, a space, and a pattern. Raises ValueError for a line that is none; `#` begins a comment."""
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        name, _, pattern = line.partition(" ")
        if not re.fullmatch(r"\w+", name) or not pattern.strip():
            raise ValueError(f"{line[:80]!r} is not a custom pattern: expected a name, a space and a pattern")
        found[name] = pattern.strip()
    return found


@cache
def _built_in() -> dict[str, str]:
    return read_patterns(PATTERNS)


class _Compiler:
    """Puts patterns in the place of their names, and notes the fields on the way."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = patterns
        self._types: dict[str, str] = {}
        self._groups: dict[str, list[str]] = {}
        self._unnamed: set[str] = set()
        self._length = 0

    def whole(self, pattern: str) -> Grok:
        text = self._expanded(pattern, ())
        for name, characters in _POSIX.items():
            text = text.replace(name, characters)
        try:
            regex = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{pattern[:80]!r} is not a pattern: {error}") from None
        if not self._types:
            raise ValueError(f"{pattern[:80]!r} has no field: name at least one, as in %{{NUMBER:bytes}}")
        groups = {name: tuple(those) for name, those in self._groups.items()}
        return Grok(regex, tuple(self._types.items()), groups, frozenset(self._unnamed))

    def _expanded(self, pattern: str, within: tuple[str, ...]) -> str:
        self._length += len(pattern)
        if self._length > _LONGEST or len(within) > _DEEPEST:
            raise ValueError("the pattern grows too long when its names are replaced")
        return _NAMED.sub(lambda found: self._one(found, within), pattern)

    def _one(self, found: re.Match[str], within: tuple[str, ...]) -> str:
        name, field, type_, captured = found.groups()
        if captured:
            return self._group(captured, "string")
        if name is None:
            raise ValueError(
                f"{found[0][:80]!r} is not a reference: expected %{{NAME}}, %{{NAME:field}} or %{{NAME:field:type}}"
            )
        if name not in self._patterns:
            raise ValueError(f"there is no pattern {name}: define it in CustomPatterns")
        if name in within:
            raise ValueError(f"the pattern {name} is made of itself")
        if type_ is not None and type_ not in _TYPES:
            raise ValueError(f"{type_} is not a type of fields: they are {', '.join(_TYPES)}")
        if field:
            opened = self._group(field, _TYPES[type_ or "string"])
        else:
            opened = "(?:" if within else self._opened(f"%{name}")
            self._unnamed |= set() if within else {name}
        return f"{opened}{self._expanded(self._patterns[name], (*within, name))})"

    def _group(self, field: str, type_: str) -> str:
        """What opens a group that is this field's; a field may have several, of which one takes part in a match."""
        self._types.setdefault(field, type_)
        return self._opened(field)

    def _opened(self, name: str) -> str:
        group = f"f{sum(map(len, self._groups.values()))}"
        self._groups.setdefault(name, []).append(group)
        return f"(?P<{group}>"
