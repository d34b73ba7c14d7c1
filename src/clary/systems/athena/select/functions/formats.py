"""Formats of dates: MySQL's and Joda's, as pieces that DuckDB's strftime and strptime know, or that are text."""

import re

from sqlglot import exp

from clary.systems.athena.select.values import fail, text

_MYSQL = {
    "a": "%a", "b": "%b", "c": "%-m", "d": "%d", "e": "%-d", "f": "%f", "H": "%H", "h": "%I", "I": "%I", "i": "%M",
    "j": "%j", "k": "%-H", "l": "%-I", "M": "%B", "m": "%m", "p": "%p", "r": "%I:%M:%S %p", "S": "%S", "s": "%S",
    "T": "%H:%M:%S", "v": "%V", "W": "%A", "x": "%G", "Y": "%Y", "y": "%y", "%": "%%",
}  # fmt: skip
_JODA = {
    "y": "%Y", "yy": "%y", "yyyy": "%Y", "Y": "%Y", "YYYY": "%Y", "M": "%-m", "MM": "%m", "MMM": "%b", "MMMM": "%B",
    "d": "%-d", "dd": "%d", "D": "%-j", "DDD": "%j", "E": "%a", "EE": "%a", "EEE": "%a", "EEEE": "%A", "e": "%u",
    "H": "%-H", "HH": "%H", "h": "%-I", "hh": "%I", "m": "%-M", "mm": "%M", "s": "%-S", "ss": "%S", "a": "%p",
    "S": "%1", "SS": "%2", "SSS": "%g", "SSSS": "%4", "SSSSS": "%5", "SSSSSS": "%f", "x": "%G", "xxxx": "%G",
    "w": "%-V", "ww": "%V", "Z": "%z", "ZZ": "%:z", "ZZZ": "%Z", "z": "%Z",
}  # fmt: skip
_LOOSE = {"%d": "%-d", "%m": "%-m", "%H": "%-H", "%M": "%-M", "%S": "%-S", "%I": "%-I"}


def mysql(said: str, node: exp.Expr, *, parsing: bool) -> list[str]:
    """The pieces of a format of MySQL's: directives of strftime, and texts between them."""
    pieces = []
    for found in re.finditer(r"%(.)|([^%]+)|%$", said, re.DOTALL):
        if found[2] is not None:
            pieces.append(found[2].replace("%", "%%"))
        elif found[1] in _MYSQL and not (parsing and found[1] in "vxWaj" and found[1] in "vx"):
            pieces += _pieces(_MYSQL[found[1]])
        elif found[1] is not None and found[1] not in "DUuVwX":
            pieces.append(found[1])
        else:
            fail("INVALID_FUNCTION_ARGUMENT", node, f"%{found[1] or ''} not supported in date format string")
    return pieces


def joda(said: str, node: exp.Expr, *, parsing: bool) -> list[str]:
    """The pieces of a format of Joda's."""
    pieces = []
    for found in re.finditer(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+|'", said):
        if found[1] is not None:
            pieces.append((found[1].replace("''", "'") or "'").replace("%", "%%"))
        elif found[2] is None:
            if found[0] == "'":
                fail("INVALID_FUNCTION_ARGUMENT", node, f"Unterminated quote in format '{said}'")
            pieces.append(found[0].replace("%", "%%"))
        elif found[0] in _JODA and not (parsing and _JODA[found[0]] in ("%Z", "%G", "%V", "%-V", "%u")):
            pieces.append(_JODA[found[0]])
        else:
            fail("INVALID_FUNCTION_ARGUMENT", node, f"{found[0]!r} in a format of dates is not supported")
    return pieces


def strptime(pieces: list[str]) -> str:
    """A format that DuckDB parses; numbers may have fewer digits, as Java allows."""
    parsed = {"%1": "%f", "%2": "%f", "%g": "%f", "%4": "%f", "%5": "%f", "%-j": "%j"}
    return "".join(_LOOSE.get(each, parsed.get(each, each)) for each in pieces)


def shown(sql: str, pieces: list[str], zoned: str = "") -> str:
    """SQL of a moment as a format shows it."""
    parts, plain = [], ""
    for each in pieces:
        if re.fullmatch(r"%[1245]|%:?z|%Z", each) is None:
            plain += each
            continue
        if plain:
            parts.append(f"strftime({sql}, {text(plain)})")
            plain = ""
        parts.append(_other(each, sql, zoned))
    if plain or not parts:
        parts.append(f"strftime({sql}, {text(plain)})")
    return f"({' || '.join(parts)})"


def _other(each: str, sql: str, zoned: str) -> str:
    if each == "%Z":
        return f"struct_extract({zoned}, 'z')"
    if each in ("%z", "%:z"):
        return f"trino_offset_text({zoned}, '{':' if each == '%:z' else ''}')"
    return f"left(strftime({sql}, '%f'), {each[1]})"


def _pieces(directives: str) -> list[str]:
    return [each for each in re.split(r"(%-?.)", directives) if each]
