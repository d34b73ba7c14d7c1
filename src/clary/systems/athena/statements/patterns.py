"""Patterns of SHOW: names that match one of several, parted by `|`, in which `*` is any text, as in Hive."""

import re
from collections.abc import Callable


def matcher(pattern: str | None) -> Callable[[str], bool]:
    """Whether a name matches a pattern; without one every name does.

    Athena takes `.` for any character as well, as Java's regular expressions do: `show tables 'a.*'`.
    """
    if pattern is None:
        return lambda name: True
    found = re.compile("|".join(f"(?:{_expression(part)})" for part in pattern.split("|")), re.IGNORECASE)
    return lambda name: found.fullmatch(name) is not None


def _expression(part: str) -> str:
    # Several stars mean what one does: what is repeated once more takes forever to match.
    made = re.sub(r"(?:\.?\*)+", "\0", part.strip())
    return "".join(".*" if sign == "\0" else "." if sign == "." else re.escape(sign) for sign in made)
