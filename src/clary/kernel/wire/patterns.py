"""The models' patterns, which are Java's regular expressions, as Python functions.

AWS's servers match the whole value, whether the pattern is anchored or not. Java's classes (`\\p{L}`), surrogate pairs
and `\\z` are translated. Most values are ASCII: the Unicode tables behind `\\p{L}` are only built when one is not.

Some patterns take a backtracking engine exponential or quadratic time on values made for it. For those an equal pattern
that has one way to match stands in EQUAL; a test looks for new ones and compares both on values.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache

Pattern = Callable[[str], bool]

EQUAL = {
    r"[a-z0-9]([-a-z0-9]*[a-z0-9]){0,39}?": r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?",
    r"https://([.\-_a-zA-Z0-9]+/?){3,1016}": r"https://(?:[.\-_a-zA-Z0-9]/?){3,1016}",
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": r"[a-z0-9*](?:[._\-/]?[a-z0-9*])*",
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$": r"\t*[^\x00-\x1F:\x7F][^\x00-\x08\x0A-\x1F:\x7F]*",
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": r"\t*[\x20-\x7E][\t\x20-\x7E]*",
    r"\$(\.[a-zA-Z0-9_.@\[\]\(\)-]+)*": r"\$(?:\.[a-zA-Z0-9_.@\[\]\(\)-]+)?",
    r".*\S.*": r"[^\S\n]*\S.*",
}
"""A model's pattern -> one that matches the same values in linear time."""

_CATEGORY = re.compile(r"\\p\{(\w+)\}")
_POSIX = {"Alnum": "a-zA-Z0-9", "Alpha": "a-zA-Z", "ASCII": r"\x00-\x7f", "Print": r"\x20-\x7e", "Graph": r"\x21-\x7e"}
_ASTRAL = "\\U00010000-\\U0010FFFF"
# No category reaches past these: what lies between and behind is unassigned or private
_ASSIGNED = (range(0x323B0), range(0xE0000, 0xE01F0))


@cache
def compile_pattern(java: str) -> Pattern:
    """Whether a whole value matches `java`. Raises re.error for what has no translation: a test lists those (none)."""
    if java == ".*":
        return lambda value: "\n" not in value
    ascii_only = re.compile(translate(java, ascii_only=True), re.ASCII)
    if not _CATEGORY.search(java):
        return lambda value: ascii_only.fullmatch(value) is not None

    def matches(value: str) -> bool:
        if value.isascii():
            return ascii_only.fullmatch(value) is not None
        return _full(java).fullmatch(value) is not None

    return matches


@cache
def _full(java: str) -> re.Pattern[str]:
    return re.compile(translate(java, ascii_only=False), re.ASCII)


def translate(java: str, *, ascii_only: bool) -> str:
    """The Python pattern; with `ascii_only`, Unicode categories hold only their ASCII members."""
    text = EQUAL.get(java, java).replace("\\uD800\\uDC00-\\uDBFF\\uDFFF", _ASTRAL)
    text = text.replace("\\z", "\\Z").replace("\\w-_", "\\w\\-_")
    text = re.sub(r"\$\{\d+,\d+\}$", "$", text)  # a repeated anchor is an anchor
    found, position = "", 0
    for category in _CATEGORY.finditer(text):
        found += text[position : category.start()]
        members = _POSIX.get(category[1]) or _members(category[1], 0x80 if ascii_only else None)
        found += members if _inside_class(found) else f"[{members}]"
        position = category.end()
    return found + text[position:]


def _inside_class(text: str) -> bool:
    """Whether a pattern that begins with `text` is inside brackets at its end."""
    inside = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in "[]":
            inside = character == "["
    return inside


@cache
def _members(category: str, below: int | None) -> str:
    """The characters of a Unicode category (`L`, `Zs`), as the inside of brackets."""
    ranges: list[list[int]] = []
    for block in (range(below),) if below else _ASSIGNED:
        for point in block:
            if unicodedata.category(chr(point)).startswith(category):
                if ranges and ranges[-1][1] == point - 1:
                    ranges[-1][1] = point
                else:
                    ranges.append([point, point])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
