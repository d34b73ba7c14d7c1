"""The regular expressions of filter patterns, which anybody may write, matched in bounded time.

Python's engine is fast and backtracks: an expression with a few repetitions can keep it busy for ever on a long
message, and the whole process with it. So it is used only where a message is too short for that; elsewhere the same
expression is walked through as an automaton, one step a character. That is possible because filter patterns have no
groups: an expression is one or more sequences of repeated characters.
"""

import re
from functools import cache
from typing import NamedTuple

_MOST_STEPS = 2_000_000
_MOST_POSITIONS = 1_000
_LETTER = re.compile(r"\\[dDsSwW]|\\[^A-Za-z0-9]|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[\]{}*+?|^$]|[\]{}]")
_REPEAT = re.compile(r"(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??")


class ExpressionError(Exception):
    """The expression is not one that filter patterns have."""


class _Branch(NamedTuple):
    """One of the alternatives, as positions that each take one character; bit n of the masks is position n.

    A position that is `optional` may be passed by, one that `loops` may take any number of characters.
    """

    letters: tuple[re.Pattern[str], ...]
    optional: int
    loops: int
    from_start: bool
    to_end: bool


class Expression:
    """A compiled expression. Raises ExpressionError."""

    def __init__(self, source: str) -> None:
        self._branches = _branches(source)
        try:
            self._fast = re.compile(source)
        except (re.error, OverflowError, RecursionError) as error:
            raise ExpressionError(str(error)) from None
        # Each repetition may be tried at every length, and the whole of it at every place.
        self._power = 1 + max((branch.optional | branch.loops).bit_count() for branch in self._branches)

    def found_in(self, text: str) -> bool:
        """Whether some part of `text` is what the expression says."""
        if len(text) ** self._power <= _MOST_STEPS:
            return self._fast.search(text) is not None
        return any(_walk(branch, text) for branch in self._branches)


def _branches(source: str) -> list[_Branch]:
    found = []
    at = 0
    while True:
        branch, at = _read(source, at)
        found.append(branch)
        if at == len(source):
            return found
        at += 1  # behind the bar


def _read(source: str, at: int) -> tuple[_Branch, int]:
    letters: list[re.Pattern[str]] = []
    optional = loops = 0
    from_start = source.startswith("^", at)
    at += from_start
    to_end = False
    while at < len(source) and source[at] != "|":
        if source[at] == "$" and source[at + 1 : at + 2] in {"", "|"}:
            to_end = True
            at += 1
            break
        letter = _LETTER.match(source, at)
        if letter is None:
            raise ExpressionError(f"'{source[at]}' is not understood at character {at + 1}")
        at = letter.end()
        repeat = _REPEAT.match(source, at)
        least, most = (1, 1) if repeat is None else _bounds(repeat)
        at = at if repeat is None else repeat.end()
        count = max(least, most or 0, 1)
        if most != 0:
            start = len(letters)
            letters += [_letter(letter[0])] * count
            if len(letters) > _MOST_POSITIONS:
                raise ExpressionError(f"it repeats more than {_MOST_POSITIONS} characters")
            optional |= _ones(start + least, start + count)
            loops |= 1 << (start + count - 1) if most is None else 0
    return _Branch(tuple(letters), optional, loops, from_start, to_end), at


def _bounds(repeat: re.Match[str]) -> tuple[int, int | None]:
    sign, least, comma, most = repeat.groups()
    if sign:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
    low = int(least[:5])
    high = low if comma is None else int(most[:5]) if most else None
    if high is not None and high < low:
        raise ExpressionError("a repetition has a smaller upper bound than its lower one")
    return low, high


@cache
def _letter(source: str) -> re.Pattern[str]:
    try:
        return re.compile(source)
    except re.error as error:
        raise ExpressionError(str(error)) from None


def _ones(first: int, end: int) -> int:
    return (1 << end) - (1 << first)


def _walk(branch: _Branch, text: str) -> bool:
    """Bit n of the state: the positions before n have had their characters."""
    goal = 1 << len(branch.letters)
    end = len(text) - 1 if branch.to_end and text.endswith("\n") else len(text)
    takes: dict[str, int] = {}
    state = _passed(1, branch.optional)
    for place, character in enumerate(text):
        if state & goal and (not branch.to_end or place == end):
            return True
        able = takes.get(character)
        if able is None:
            able = takes[character] = _takers(branch, character)
        state = (state & able) << 1 | (state & (able & branch.loops) << 1)
        state = _passed(state | (0 if branch.from_start else 1), branch.optional)
        if not state:
            return False
    return bool(state & goal)


def _takers(branch: _Branch, character: str) -> int:
    known = {letter: letter.fullmatch(character) is not None for letter in set(branch.letters)}
    return sum(1 << number for number, letter in enumerate(branch.letters) if known[letter])


def _passed(state: int, optional: int) -> int:
    """The state with what can be reached by passing optional positions by."""
    while (more := state | (state & optional) << 1) != state:
        state = more
    return state
