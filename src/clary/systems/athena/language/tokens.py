"""The tokens of a statement, and a cursor over them that a parser goes by. Both of Athena's dialects are read here.

Hive's DDL writes names in backticks and texts in either kind of quotes, with backslashes; Trino writes names in double
quotes and texts in single ones, with nothing but doubled quotes.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from clary.systems.athena.contract import StatementFailed

WORD, BACK, DOUBLE, TEXT, NUMBER, SIGN, END = "word", "back", "double", "text", "number", "sign", "end"

_SPACE = r"(?P<space>\s+|--[^\r\n]*|/\*.*?\*/)"
_REST = (
    r"|(?P<back>`(?:[^`]|``)+`)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w]))"
    r"|(?P<word>\w+)"
    r"|(?P<sign><=|>=|<>|!=|==|->|=>|\|\||[^\w\s])"
)
_TRINO = re.compile(_SPACE + r"|(?P<text>'(?:[^']|'')*')" + r'|(?P<double>"(?:[^"]|"")*")' + _REST, re.DOTALL)
_HIVE = re.compile(
    _SPACE + r"""|(?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")""" + _REST,
    re.DOTALL,
)
_ESCAPES = {quote: re.compile(r"\\(u[0-9a-fA-F]{4}|[0-3][0-7]{2}|.)|" + quote * 2, re.DOTALL) for quote in ("'", '"')}
_ESCAPED = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_TO_ESCAPE = re.compile(r"[\\'\x00-\x1f\x7f]")
_SHORT = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Token(NamedTuple):
    """A part of a statement, from `start` to `end` of its text. `value` is a name or text without what encloses it."""

    kind: str
    text: str
    value: str
    start: int
    end: int

    def shown(self) -> str:
        return "<EOF>" if self.kind == END else self.text


def tokens(text: str, *, hive: bool = False) -> Iterator[Token]:
    """The tokens of a statement in their order, an `END` last."""
    at = 0
    pattern = _HIVE if hive else _TRINO
    while at < len(text):
        found = pattern.match(text, at)
        if found is None or (found["sign"] in ("'", '"', "`")):
            raise _unterminated(text, at, hive)
        at = found.end()
        kind = found.lastgroup or ""
        if kind != "space":
            yield Token(kind, found[0], _value(kind, found[0], hive), found.start(), at)
    yield Token(END, "", "", at, at)


def position(text: str, place: int) -> tuple[int, int]:
    """The line and the column, both from 1 on, of a place in a text."""
    before = text[:place]
    return before.count("\n") + 1, place - (before.rfind("\n") + 1) + 1


def syntax_error(text: str, place: int, message: str) -> StatementFailed:
    """Trino's error at a place."""
    line, column = position(text, place)
    return StatementFailed("SYNTAX_ERROR", f"line {line}:{column}: {message}")


def parse_exception(text: str, place: int, message: str) -> StatementFailed:
    """Hive's error at a place; it counts columns from 0."""
    line, column = position(text, place)
    return StatementFailed("FAILED", f"ParseException line {line}:{column - 1} {message}")


def hive_text(value: str) -> str:
    """A text as a literal of Hive's DDL."""
    return "'" + _TO_ESCAPE.sub(lambda found: _SHORT.get(found[0]) or f"\\{ord(found[0]):03o}", value) + "'"


class Cursor:
    """A place among the tokens of a statement, which a parser moves on; `hive` says whose errors it raises."""

    def __init__(self, text: str, *, hive: bool) -> None:
        self.text = text
        self.hive = hive
        self._tokens = list(tokens(text, hive=hive))
        self._at = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    @property
    def previous(self) -> Token:
        return self._tokens[max(self._at - 1, 0)]

    def ahead(self, count: int) -> Token:
        """The token that many behind the next one."""
        return self._tokens[min(self._at + count, len(self._tokens) - 1)]

    def rest(self) -> list[Token]:
        """The tokens from the next one on, but for the end."""
        return self._tokens[self._at : -1]

    def take(self) -> Token:
        token = self.next
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def is_word(self, *words: str) -> bool:
        """Whether these words, in lower case, come next."""
        return all(
            (token := self.ahead(count)).kind == WORD and token.text.lower() == word for count, word in enumerate(words)
        )

    def words(self, *words: str) -> bool:
        """Go past these words if they come next."""
        if not self.is_word(*words):
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Go past these words, each of which must come."""
        for word in words:
            if not self.words(word):
                self.fail_at_next(word.upper() if self.hive else f"'{word.upper()}'")

    def sign(self, sign: str) -> bool:
        """Go past a sign if it comes next."""
        if self.next.kind != SIGN or self.next.text != sign:
            return False
        self._at += 1
        return True

    def expect_sign(self, sign: str) -> None:
        if not self.sign(sign):
            self.fail_at_next(sign if self.hive else f"'{sign}'")

    def literal(self) -> str:
        """The text that a literal is; Hive takes several behind each other for one."""
        if self.next.kind != TEXT:
            self.fail_at_next("StringLiteral" if self.hive else "<string>")
        value = self.take().value
        while self.hive and self.next.kind == TEXT:
            value += self.take().value
        return value

    def number(self) -> int:
        if self.next.kind != NUMBER or not self.next.text.isdecimal():
            self.fail_at_next("Number" if self.hive else "<integer>")
        return int(self.take().text)

    def end(self) -> None:
        """Nothing may follow."""
        if self.next.kind == END:
            return
        if self.hive:
            raise self.wrong(f"missing EOF at '{self.next.shown()}' near '{self.previous.shown()}'")
        self.fail_at_next("<EOF>")

    def fail_at_next(self, *expected: str, rule: str = "") -> NoReturn:
        """Raise that something else is expected; `rule` is what Hive says that it was reading."""
        shown = self.next.shown()
        if self.hive:
            place = f" in {rule}" if rule else ""
            raise self.wrong(
                f"mismatched input '{shown}' expecting {' or '.join(expected)} near '{self.previous.shown()}'{place}"
            )
        raise self.wrong(f"mismatched input '{shown}'. Expecting: {', '.join(expected)}")

    def not_recognized(self, rule: str) -> NoReturn:
        """Raise what Hive says where no alternative of a rule fits."""
        at = self._at
        near = " ".join(f"'{token.shown()}'" for token in self._tokens[at : at + 3])
        raise parse_exception(self.text, self._tokens[at].start, f"cannot recognize input near {near} in {rule}")

    def wrong(self, message: str, token: Token | None = None) -> StatementFailed:
        """An error at a token, else at the next one."""
        make = parse_exception if self.hive else syntax_error
        return make(self.text, (token or self.next).start, message)


def _value(kind: str, text: str, hive: bool) -> str:
    if kind == BACK:
        return text[1:-1].replace("``", "`")
    if kind == TEXT and hive:
        return _ESCAPES[text[0]].sub(_unescaped, text[1:-1])
    if kind in (TEXT, DOUBLE):
        return text[1:-1].replace(text[0] * 2, text[0])
    return text


def _unescaped(found: re.Match[str]) -> str:
    escape: str | None = found[1]
    if escape is None:
        return found[0][0]
    if len(escape) == 5:
        return chr(int(escape[1:], 16))
    if len(escape) == 3:
        return chr(int(escape, 8))
    return _ESCAPED.get(escape, escape)


def _unterminated(text: str, at: int, hive: bool) -> StatementFailed:
    if hive:
        return parse_exception(text, at, f"character '{text[at]}' not supported here: it begins what does not end")
    sort = {"'": "string", '"': "identifier"}.get(text[at], "identifier")
    return syntax_error(text, at, f"mismatched input '{text[at]}'. Expecting: the end of a quoted {sort}")
