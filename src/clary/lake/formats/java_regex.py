r"""Java's regular expressions, as those of Python: what they spell otherwise is written anew.

Possessive quantifiers, atomic groups and lookarounds are the same in both. `[a-z&&[^aeiou]]` and other sets within
sets become sets of the characters of Latin that they have, or alternatives.
"""

import re
import string

_PROPERTIES = {
    "Lower": "a-z", "Upper": "A-Z", "ASCII": r"\x00-\x7F", "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9",
    "Punct": r"!-/:-@\[-`{-~", "Graph": "!-~", "Print": " -~", "Blank": r" \t", "Cntrl": r"\x00-\x1F\x7F",
    "XDigit": "0-9a-fA-F", "Space": r" \t\n\x0B\f\r", "L": "a-zA-Zª-µºÀ-ÖØ-öø-\u02c1\u0370-\u1fff\u2c00-\ud7ff",
    "IsAlphabetic": "a-zA-Zª-µºÀ-ÖØ-öø-\u02c1\u0370-\u1fff\u2c00-\ud7ff", "Lu": "A-ZÀ-ÖØ-Þ", "Ll": "a-zß-öø-ÿ",
    "N": r"\d", "Nd": r"\d", "IsDigit": r"\d", "P": r"!-#%-*,-/:;?@\[-\]_{}¡§«¶·»¿", "Z": r" \u00a0\u2000-\u200a",
    "Zs": r" \u00a0\u2000-\u200a", "S": r"$+<=>^`|~¢-©¬®-±´¸×÷", "IsLatin": "a-zA-ZªºÀ-ÖØ-öø-\u02b8",
    "javaLowerCase": "a-zß-öø-ÿ", "javaUpperCase": "A-ZÀ-ÖØ-Þ", "javaWhitespace": r" \t\n\x0B\f\r",
}  # fmt: skip
_ESCAPES = {"e": r"\x1B", "h": r"[ \t\xA0]", "R": r"(?:\r\n|[\n\x0B\f\r\x85])", "z": r"\Z", "Z": r"(?=\n?\Z)", "G": ""}
_NEGATED = {"H": r"[^ \t\xA0]", "V": r"[^\n\x0B\f\r\x85]"}
_VERTICAL = r"\n\x0B\f\r\x85"
_LONGEST = 20_000


def compile_java(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """The pattern. Its classes such as `\\d` are of ASCII, as Java's are. Raises ValueError, saying what is wrong."""
    if len(pattern) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} characters")
    try:
        return re.compile(_Translation(pattern).made(), flags | re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from None


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0
        self._flags = ""

    def made(self) -> str:
        parts: list[str] = []
        while self._place < len(self._pattern):
            sign = self._pattern[self._place]
            if sign == "\\":
                parts.append(self._escape())
            elif sign == "[":
                parts.append(self._set())
            elif sign == "(":
                parts.append(self._group())
            else:
                parts.append(sign)
                self._place += 1
        prefix = f"(?{''.join(dict.fromkeys(self._flags))})" if self._flags else ""
        return prefix + "".join(parts)

    def _group(self) -> str:
        rest = self._pattern[self._place :]
        named = re.match(r"\(\?<([a-zA-Z]\w*)>", rest)
        if named is not None:
            self._place += named.end()
            return f"(?P<{named[1]}>"
        flags = re.match(r"\(\?([idmsuxU]+)\)", rest)
        if flags is not None:
            # Python has flags for the whole of a pattern only at its begin; elsewhere a group opens that never ends.
            self._place += flags.end()
            self._flags += "".join(each for each in flags[1] if each in "imsx")
            return ""
        self._place += 1
        return "("

    def _escape(self, in_set: bool = False) -> str:
        pattern, place = self._pattern, self._place
        sign = pattern[place + 1] if place + 1 < len(pattern) else ""
        if not sign:
            raise ValueError("it ends with a backslash")
        self._place += 2
        if sign == "Q":
            end = pattern.find("\\E", self._place)
            text = pattern[self._place : end if end >= 0 else len(pattern)]
            self._place = end + 2 if end >= 0 else len(pattern)
            return re.escape(text)
        if sign in "pP":
            return self._property(negated=sign == "P", in_set=in_set)
        if sign == "k":
            named = re.compile(r"<(\w+)>").match(pattern, self._place)
            if named is None:
                raise ValueError("\\k is not followed by <name>")
            self._place = named.end()
            return f"(?P={named[1]})"
        if sign in "xu0c":
            return self._character(sign)
        if sign == "v":
            return _VERTICAL if in_set else f"[{_VERTICAL}]"
        if sign in _NEGATED:
            return _NEGATED[sign]
        if sign == "h" and in_set:
            return r" \t\xA0"
        if sign in _ESCAPES:
            return _ESCAPES[sign]
        if sign in string.ascii_letters and sign not in "abfnrtdDsSwWBA":
            raise ValueError(f"\\{sign} is not understood")
        if sign == "a":
            return r"\x07"
        return f"\\{sign}"

    def _character(self, sign: str) -> str:
        shapes = {
            "x": r"\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2})",
            "u": r"([0-9A-Fa-f]{4})",
            "0": r"([0-3]?[0-7]{1,2})",
            "c": "(.)",
        }
        found = re.compile(shapes[sign]).match(self._pattern, self._place)
        if found is None:
            raise ValueError(f"\\{sign} is not followed by a character's number")
        self._place = found.end()
        text = next(group for group in found.groups() if group is not None)
        code = ord(text) ^ 64 if sign == "c" else int(text, 8 if sign == "0" else 16)
        if code > 0x10FFFF:
            raise ValueError(f"there is no character {text}")
        return re.escape(chr(code))

    def _property(self, *, negated: bool, in_set: bool) -> str:
        found = re.compile(r"\{\^?(\w+)\}|(\w)").match(self._pattern, self._place)
        name = "" if found is None else found[1] or found[2]
        characters = _PROPERTIES.get(name) or _PROPERTIES.get(name.removeprefix("Is"))
        if found is None or characters is None:
            raise ValueError(f"the class of characters {name!r} is not known")
        self._place = found.end()
        if not in_set:
            return f"[{'^' if negated else ''}{characters}]"
        if negated:
            raise ValueError(f"\\P{{{name}}} within a set is not supported: write it outside of one")
        return characters

    def _set(self) -> str:
        """A set; those within it are united with it, and `&&` leaves what both sides have."""
        self._place += 1
        negated = self._pattern[self._place : self._place + 1] == "^"
        self._place += negated
        sides: list[list[str]] = [[]]
        first = True
        while True:
            sign = self._pattern[self._place : self._place + 1]
            if not sign:
                raise ValueError("a set is not closed")
            if sign == "]" and not first:
                self._place += 1
                break
            first = False
            if self._pattern.startswith("&&", self._place):
                self._place += 2
                sides.append([])
            elif sign == "[":
                sides[-1].append(self._set())
            elif sign == "\\":
                sides[-1].append(self._escape(in_set=True))
            else:
                sides[-1].append("\\" + sign if sign in "[&~|" else sign)
                self._place += 1
        made = [self._united(side) for side in sides if side]
        if len(made) == 1 and made[0].startswith("["):
            return f"[^{made[0][1:]}" if negated else made[0]
        if len(made) == 1:
            return f"(?!{made[0]})(?s:.)" if negated else made[0]
        both = "".join(f"(?={each})" for each in made)
        return f"(?:(?!{both})(?s:.))" if negated else f"(?:{both}(?s:.))"

    @staticmethod
    def _united(side: list[str]) -> str:
        """One side of `&&`: a plain set, or a choice of sets where it has some within."""
        inner = [each for each in side if each.startswith(("[", "(?"))]
        plain = "".join(each for each in side if not each.startswith(("[", "(?")))
        if not inner:
            return f"[{plain}]"
        return f"(?:{'|'.join([*([f'[{plain}]'] if plain else []), *inner])})"
