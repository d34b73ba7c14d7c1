"""Patterns of names, matched in time that grows with pattern times name, whatever the pattern is.

A pattern is a list of atoms, each a test of one character and whether it may be left out and come more than once.
Names are matched whole, by following all the ways through the atoms at once; nothing backtracks.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

Test = Callable[[str], bool]


class Atom(NamedTuple):
    test: Test
    optional: bool = False
    repeated: bool = False


Pattern = tuple[Atom, ...]

_MOST_OPEN = 32
_PART = re.compile(r"(\\.|\[\^?\]?[^\]]*\]|.)([*+?]?)", re.DOTALL)
_CLASSES: dict[str, Test] = {"d": str.isdigit, "w": lambda one: one.isalnum() or one == "_", "s": str.isspace}


def _anything(one: str) -> bool:
    return True


_ANY_TEXT = Atom(_anything, optional=True, repeated=True)


def matches(pattern: Pattern, text: str) -> bool:
    """Whether `text`, all of it, is what the pattern describes."""
    places = _onward(pattern, {0})
    for character in text:
        after = set()
        for place in places:
            if place < len(pattern) and pattern[place].test(character):
                after.add(place + 1)
                if pattern[place].repeated:
                    after.add(place)
        places = _onward(pattern, after)
        if not places:
            return False
    return len(pattern) in places


def like(pattern: str) -> Pattern:
    """SQL's LIKE: `%` is any text, `_` any character, and a backslash takes their meaning away. Raises ValueError."""
    atoms, characters = [], iter(pattern)
    for character in characters:
        if character == "%":
            atoms.append(_ANY_TEXT)
        elif character == "_":
            atoms.append(Atom(_anything))
        else:
            atoms.append(Atom(_exactly(next(characters, "\\") if character == "\\" else character)))
    return _bounded(atoms)


@lru_cache(maxsize=256)
def names(expression: str) -> tuple[Pattern, ...]:
    """The patterns of an expression of GetTables, of which a name must match one.

    They are regular expressions without groups, alternatives parted by `|`. As in Hive, a `*` that follows a plain
    character or nothing is any text. Raises ValueError, saying what is wrong.
    """
    return tuple(_bounded(_atoms(part.removeprefix("^").removesuffix("$"))) for part in expression.split("|"))


def _atoms(text: str) -> list[Atom]:
    atoms = []
    for part, quantifier in _PART.findall(text):
        if part in "(){}+?":
            raise ValueError(f"{part!r} is not understood here: use . * + ? | and [...], without groups and counts")
        if part == "*":
            atoms.append(_ANY_TEXT)
            continue
        test = _test(part)
        if quantifier == "*" and len(part) == 1 and part != ".":
            atoms += [Atom(test), _ANY_TEXT]
        else:
            atoms.append(Atom(test, optional=quantifier in ("*", "?"), repeated=quantifier in ("*", "+")))
    return atoms


def _bounded(atoms: list[Atom]) -> Pattern:
    """The atoms, any text after any text once. Raises ValueError for more that may be left out than one may follow."""
    kept = [atom for place, atom in enumerate(atoms) if atom is not _ANY_TEXT or atoms[place - 1 : place] != [atom]]
    if sum(atom.optional or atom.repeated for atom in kept) > _MOST_OPEN:
        raise ValueError(f"it has more than {_MOST_OPEN} wildcards and repetitions")
    return tuple(kept)


def _test(part: str) -> Test:
    if part == ".":
        return _anything
    if part.startswith("\\") and len(part) == 2:
        return _CLASSES.get(part[1], _exactly(part[1]))
    if part.startswith("[") and len(part) > 1:
        return _one_of(part)
    if part in ("[", "\\"):
        raise ValueError(f"{part!r} is not closed")
    return _exactly(part)


def _one_of(part: str) -> Test:
    inside = part[1:-1]
    negated = inside.startswith("^")
    members = inside.removeprefix("^").replace("\\", "")
    singles, spans, place = set(), [], 0
    while place < len(members):
        if members[place + 1 : place + 2] == "-" and place + 2 < len(members):
            spans.append((members[place], members[place + 2]))
            place += 3
        else:
            singles.add(members[place])
            place += 1
    return lambda one: (one in singles or any(low <= one <= high for low, high in spans)) != negated


def _exactly(wanted: str) -> Test:
    return lambda one: one == wanted


def _onward(pattern: Pattern, places: set[int]) -> set[int]:
    """These places and those that are reached from them past what may be left out."""
    reached = set(places)
    for start in places:
        behind = start + 1
        while behind <= len(pattern) and pattern[behind - 1].optional and behind not in reached:
            reached.add(behind)
            behind += 1
    return reached
