"""Patterns of what a crawler leaves out, by the path below what it crawls.

`*` is any text within the name of a folder or file, `**` also across folders, `?` a character, `[ab]`, `[a-c]` and
`[!a]` one of some, `{a,b}` one of these texts; a backslash takes its meaning from the next character. A pattern takes a
time to match that grows with its length alone. Source: "Include and exclude patterns" of the AWS Glue developer guide.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

_LONGEST = 1024
_MOST_ALTERNATIVES = 100
_STAR, _DEEP = "*", "**"


class _Token(NamedTuple):
    """A part of a pattern: `*`, `**`, or one character that `accepts` takes."""

    kind: str
    accepts: Callable[[str], bool]


def compile_globs(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether one of the patterns is that of a path. Raises ValueError for a pattern that is none."""
    compiled = [tokens for pattern in patterns for tokens in _compiled(pattern)]
    return lambda path: any(_matches(tokens, path) for tokens in compiled)


def _compiled(pattern: str) -> list[list[_Token]]:
    if not 0 < len(pattern) <= _LONGEST:
        raise ValueError(f"a pattern must have 1 to {_LONGEST} characters")
    try:
        alternatives = list(_alternatives(pattern))
        if len(alternatives) > _MOST_ALTERNATIVES:
            raise ValueError(f"its groups make more than {_MOST_ALTERNATIVES} patterns")
        return [list(_tokens(each)) for each in alternatives]
    except (ValueError, re.error) as error:
        raise ValueError(f"{pattern!r} is not a pattern: {error}") from None


def _alternatives(pattern: str) -> Iterator[str]:
    """The patterns without groups that one with groups stands for."""
    found = re.search(r"(?<!\\)\{([^{}]*)\}", pattern)
    if found is None:
        if re.search(r"(?<!\\)[{}]", pattern):
            raise ValueError("a group has no end, or is within another")
        yield pattern
        return
    before, after = pattern[: found.start()], pattern[found.end() :]
    for count, rest in enumerate(_alternatives(after)):
        if count > _MOST_ALTERNATIVES:
            return
        yield from (before + text + rest for text in found[1].split(","))


def _tokens(pattern: str) -> Iterator[_Token]:
    place = 0
    while place < len(pattern):
        sign = pattern[place]
        place += 1
        if sign == "*":
            deep = pattern[place : place + 1] == "*"
            place += deep
            yield _Token(_DEEP if deep else _STAR, lambda _: False)
        elif sign == "?":
            yield _Token("", lambda character: character != "/")
        elif sign == "[":
            end = pattern.find("]", place + 1)
            if end < 0:
                raise ValueError("] is missing")
            yield _Token("", _one_of(pattern[place:end]))
            place = end + 1
        else:
            if sign == "\\":
                if place == len(pattern):
                    raise ValueError("a backslash ends it")
                sign, place = pattern[place], place + 1
            yield _Token("", sign.__eq__)


def _one_of(text: str) -> Callable[[str], bool]:
    negated = text[0] in "!^"
    inner = re.sub(r"[\\\[\]^]", lambda found: "\\" + found[0], text[negated:])
    regex = re.compile(f"[{'^' if negated else ''}{inner}]")
    return lambda character: character != "/" and regex.match(character) is not None


def _matches(tokens: Sequence[_Token], path: str) -> bool:
    """Go through the path with all places of the pattern at once where one may be."""
    places = _reached(tokens, {0})
    for character in path:
        following = set()
        for place in places:
            if place == len(tokens):
                continue
            token = tokens[place]
            if token.kind == _DEEP or (token.kind == _STAR and character != "/"):
                following.add(place)
            elif token.accepts(character):
                following.add(place + 1)
        places = _reached(tokens, following)
        if not places:
            return False
    return len(tokens) in places


def _reached(tokens: Sequence[_Token], places: set[int]) -> set[int]:
    found = set(places)
    for place in places:
        following = place
        while following < len(tokens) and tokens[following].kind:
            following += 1
            found.add(following)
    return found
