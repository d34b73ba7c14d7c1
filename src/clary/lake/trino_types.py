"""From types of Trino, as queries have them, to those that tables are made of."""

import re

from clary.lake.types import Type

_TOKEN = re.compile(r'\s*(?:"((?:[^"]|"")*)"|(\w+)|(.))', re.DOTALL)
_PLAIN = {
    "boolean": "boolean", "tinyint": "tinyint", "smallint": "smallint", "integer": "int", "int": "int",
    "bigint": "bigint", "real": "float", "double": "double", "varbinary": "binary", "date": "date",
}  # fmt: skip


def hive_type(text: str, *, loose: bool = False) -> Type:
    """The type of Hive that holds values of a type of Trino. Raises ValueError, naming the type, where none does.

    `loose` lets be what no table has: `unknown`, the type of NULL, and rows whose fields have no names.
    """
    reader = _Reader(text, loose)
    found = reader.type()
    if reader.peek() != ("", ""):
        raise ValueError(text)
    return found


class _Reader:
    def __init__(self, text: str, loose: bool) -> None:
        self._text = text
        self._loose = loose
        self._plain = {**_PLAIN, "unknown": "unknown"} if loose else _PLAIN
        self._tokens = [(found[1] is not None, found[1] or found[2] or found[3]) for found in _TOKEN.finditer(text)]
        self._at = 0

    def peek(self) -> tuple[str, str]:
        """What comes next: its kind, `name` when it is in quotes, and its text; both are empty at the end."""
        if self._at >= len(self._tokens):
            return "", ""
        quoted, text = self._tokens[self._at]
        return ("name" if quoted else "word"), text

    def type(self) -> Type:
        kind, word = self._take()
        name = word.lower()
        if kind != "word":
            raise ValueError(self._text)
        if name == "row":
            return self._row()
        if name in ("array", "map"):
            return Type(name, children=tuple(self._listed()))
        numbers = self._numbers()
        if name == "timestamp" and self.peek()[1].lower() != "with":
            return Type("timestamp")
        if name == "decimal" and numbers:
            return Type("decimal", (numbers[0], numbers[1] if len(numbers) > 1 else 0))
        if name == "varchar":
            return Type("varchar", numbers) if numbers else Type("string")
        if name == "char":
            return Type("char", numbers or (1,))
        if name not in self._plain or numbers:
            raise ValueError(self._text)
        return Type(self._plain[name])

    def _take(self) -> tuple[str, str]:
        found = self.peek()
        self._at += 1
        return found

    def _expect(self, sign: str) -> None:
        if self._take()[1] != sign:
            raise ValueError(self._text)

    def _listed(self) -> list[Type]:
        self._expect("(")
        found = [self.type()]
        while self.peek()[1] == ",":
            self._take()
            found.append(self.type())
        self._expect(")")
        return found

    def _numbers(self) -> tuple[int, ...]:
        if self.peek()[1] != "(":
            return ()
        self._take()
        found = []
        while True:
            _, number = self._take()
            if not number.isdecimal():
                raise ValueError(self._text)
            found.append(int(number))
            if self._take()[1] != ",":
                return tuple(found)

    def _row(self) -> Type:
        names, children = [], []
        self._expect("(")
        while True:
            names.append(self._name())
            children.append(self.type())
            if self.peek()[1] != ",":
                break
            self._take()
        self._expect(")")
        return Type("struct", children=tuple(children), names=tuple(names))

    def _name(self) -> str:
        """The name of a field, in lower case; empty where it has none."""
        kind, name = self._take()
        if kind == "word" and self.peek()[1] in (",", ")", "("):
            if not self._loose:
                raise ValueError(self._text)
            self._at -= 1
            return ""
        if not name:
            raise ValueError(self._text)
        return name.lower()
