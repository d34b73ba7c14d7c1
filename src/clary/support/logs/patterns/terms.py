"""Patterns of terms: words, quoted phrases and regular expressions anywhere in a message."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clary.support.logs.patterns.conditions import PatternError, Reader

_BARE = re.compile(r"\S+")
_PLAIN = re.compile(r"[\w*.]+")

Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class TermsPattern:
    """All of `wanted`, none of `unwanted`. Terms with a question mark count only where there are no others."""

    wanted: tuple[Test, ...]
    unwanted: tuple[Test, ...]
    any_of: tuple[Test, ...]

    def match(self, message: str) -> Mapping[str, str] | None:
        if self.wanted or self.unwanted:
            held = all(test(message) for test in self.wanted) and not any(test(message) for test in self.unwanted)
        else:
            held = not self.any_of or any(test(message) for test in self.any_of)
        return {} if held else None

    def extract(self, message: str, selector: str) -> str | None:
        return None


def compile_terms(text: str) -> TermsPattern:
    """The pattern of terms that `text` says. Raises PatternError."""
    reader = Reader(text)
    kinds: dict[str, list[Test]] = {"": [], "-": [], "?": []}
    reader.skip_spaces()
    while reader.rest:
        mark = reader.take("-", "?") or ""
        test = _term(reader)
        if test is not None:
            kinds[mark].append(test)
        reader.skip_spaces()
    return TermsPattern(tuple(kinds[""]), tuple(kinds["-"]), tuple(kinds["?"]))


def _term(reader: Reader) -> Test | None:
    if reader.rest.startswith('"'):
        return _contains(reader.quoted())
    if reader.rest.startswith("%"):
        return reader.regex().found_in
    word = reader.take_match(_BARE) or ""
    if _PLAIN.fullmatch(word) is None:
        raise PatternError(f"Invalid character(s) in term '{word}': put it in double quotes")
    return _contains(word.strip("*"))


def _contains(phrase: str) -> Test | None:
    """A test for `phrase` anywhere in a message; None for an empty phrase, which asks for nothing."""
    return (lambda message: phrase in message) if phrase.strip() else None
