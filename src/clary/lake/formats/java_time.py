"""Java's patterns of times, as the formats that DuckDB's strptime reads."""

import re

_RUNS = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|.", re.DOTALL)
_LETTERS = {
    "y": "%Y", "u": "%Y", "d": "%d", "H": "%H", "k": "%H", "h": "%I", "K": "%I", "m": "%M", "s": "%S", "a": "%p",
    "Z": "%z", "X": "%z", "x": "%z", "z": "%Z", "D": "%j",
}  # fmt: skip
_FRACTIONS = {3: "%g", 6: "%f", 9: "%n"}


def strptime_formats(pattern: str) -> list[str]:
    """The formats that read what `pattern` writes. Raises ValueError that names the letters that none reads."""
    made = ""
    for found in _RUNS.finditer(pattern):
        run, letter = found[0], found[2]
        if found[1] is not None:
            made += _plain(found[1].replace("''", "'") or "'")
        elif letter is None:
            made += _plain(run)
        elif letter in "ML":
            made += {3: "%b", 4: "%B"}.get(len(run), "%m")
        elif letter == "E":
            made += "%A" if len(run) > 3 else "%a"
        elif letter == "y" and len(run) == 2:
            made += "%y"
        elif letter in "Sn":
            made += _FRACTIONS.get(len(run), "%f")
        elif letter in _LETTERS:
            made += _LETTERS[letter]
        else:
            raise ValueError(f"{run} is no part of a time that Clary reads, in {pattern!r}")
    return [made]


def _plain(text: str) -> str:
    return text.replace("%", "%%")
