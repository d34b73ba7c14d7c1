"""The options of Redshift's COPY that users of Firehose write, read into what Clary does with each. Pure.

    json 'auto ignorecase' gzip maxerror 10 timeformat 'epochmillisecs'

Options are never sent to a server: they say how Clary reads the staged object. One that is not known here, or that
COPY would not take beside the others, is refused when the stream is made.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

MOST_ERRORS = 100_000
DELIMITED, CSV, JSON = "delimited", "csv", "json"
TIMES = frozenset({"auto", "epochsecs", "epochmillisecs", "YYYY-MM-DD HH:MI:SS", "YYYY-MM-DD HH24:MI:SS"})
DATES = frozenset({"auto", "YYYY-MM-DD"})


class Wrong(Exception):
    """The text is not what COPY's options, names or URLs look like; the message says why."""


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """How a staged object is read. `jsonpaths` is the S3 URI of the file that says which column is where.

    `max_error` is how many rows may be refused before the load is; 0 counts as 1, as on Redshift.
    """

    format: str = DELIMITED
    jsonpaths: str = ""
    ignore_case: bool = False
    delimiter: str = ""
    quote: str = '"'
    escape: bool = False
    remove_quotes: bool = False
    gzip: bool = False
    ignore_header: int = 0
    null_as: str = "\\N"
    empty_as_null: bool = False
    blanks_as_null: bool = False
    fill_record: bool = False
    ignore_blank_lines: bool = False
    trim_blanks: bool = False
    explicit_ids: bool = False
    truncate_columns: bool = False
    max_error: int = 0
    replacement: str | None = None  # for characters that are not valid UTF-8; None refuses the row
    time_format: str = "auto"


class _Token(NamedTuple):
    kind: str  # word, text or number
    value: str


_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_][A-Za-z_0-9]*)|'(?P<text>(?:[^']|'')*)'|(?P<number>[0-9]{1,18})|(?P<end>\Z))"
)
_OCTAL = re.compile(r"\\([0-7]{1,3})")
_NAMED = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}

_FLAGS: dict[str, dict[str, object]] = {
    "ESCAPE": {"escape": True},
    "REMOVEQUOTES": {"remove_quotes": True},
    "GZIP": {"gzip": True},
    "EMPTYASNULL": {"empty_as_null": True},
    "BLANKSASNULL": {"blanks_as_null": True},
    "FILLRECORD": {"fill_record": True},
    "IGNOREBLANKLINES": {"ignore_blank_lines": True},
    "TRIMBLANKS": {"trim_blanks": True},
    "EXPLICIT_IDS": {"explicit_ids": True},
    "TRUNCATECOLUMNS": {"truncate_columns": True},
    "MANIFEST": {},  # Firehose writes one anyway
    "ROUNDEC": {},  # PostgreSQL rounds anyway
}
_NOT_WITH = {
    JSON: frozenset(
        ("DELIMITER", "ESCAPE", "FILLRECORD", "IGNOREBLANKLINES", "IGNOREHEADER", "NULL", "QUOTE", "REMOVEQUOTES")
    ),
    CSV: frozenset({"ESCAPE", "REMOVEQUOTES"}),
    DELIMITED: frozenset({"QUOTE"}),
}


def parse_options(text: str) -> CopyOptions:
    """What COPY's options say. Raises Wrong for what is unknown, repeated, or not possible together."""
    reader = _Reader(text.rstrip().removesuffix(";"))  # which AWS's own examples end with
    options, seen = CopyOptions(), set[str]()
    while (word := reader.option()) is not None:
        name = "FORMAT" if word in ("CSV", "JSON") else word
        if name in seen:
            raise Wrong(f"{word} is given twice, or beside another format")
        seen.add(name)
        options = _applied(options, word, reader)
    options = replace(options, delimiter=options.delimiter or ("," if options.format == CSV else "|"))
    wrong = sorted(_NOT_WITH[options.format] & seen)
    if wrong:
        raise Wrong(f"{', '.join(wrong)} cannot be used with {options.format} data")
    if options.format == JSON:
        return options
    if options.format == CSV and options.quote == options.delimiter:
        raise Wrong("QUOTE and DELIMITER must not be the same character")
    return options


def _applied(options: CopyOptions, word: str, reader: "_Reader") -> CopyOptions:
    if word in _FLAGS:
        return replace(options, **_FLAGS[word])  # type: ignore[arg-type]
    known = _READERS.get(word)
    if known is None:
        raise Wrong(f"{word[:40]} is not known; Clary knows {', '.join(KNOWN)}")
    return known(options, reader)


class _Reader:
    """The options' tokens, one after another."""

    def __init__(self, text: str) -> None:
        self._tokens: list[_Token] = []
        self._next = 0
        position = 0
        while True:
            match = _TOKEN.match(text, position)
            if match is None:
                rest = text[position : position + 20].strip()
                raise Wrong(f"{rest!r} is not an option: options are words, numbers, and texts in single quotes")
            if match.lastgroup == "end":
                return
            assert match.lastgroup is not None
            self._tokens.append(_Token(match.lastgroup, match[match.lastgroup].replace("''", "'")))
            position = match.end()

    def option(self) -> str | None:
        """The next option's name in capitals; None when there is none left."""
        if self._next == len(self._tokens):
            return None
        token = self._take()
        if token.kind != "word":
            raise Wrong(f"{token.value!r} stands where an option's name is expected")
        return token.value.upper()

    def text(self, option: str) -> str:
        """The option's text in quotes, with or without AS before it."""
        return self._value(option, "text", "a text in single quotes")

    def number(self, option: str, most: int) -> int:
        found = int(self._value(option, "number", "a whole number"))
        if found > most:
            raise Wrong(f"{option} must be at most {most}, not {found}")
        return found

    def optional_text(self) -> str | None:
        """A text, when one follows."""
        kinds = [token.kind for token in self._tokens[self._next : self._next + 2]]
        if kinds[:1] == ["text"] or (kinds == ["word", "text"] and self._at_as()):
            return self.text("")
        return None

    def word(self, choices: frozenset[str]) -> str | None:
        """The next word in capitals, when it is one of the choices."""
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.kind == "word" and token.value.upper() in choices:
                return self._take().value.upper()
        return None

    def _value(self, option: str, kind: str, wanted: str) -> str:
        if self._at_as():
            self._take()
        if self._next == len(self._tokens) or self._tokens[self._next].kind != kind:
            raise Wrong(f"{option} must be followed by {wanted}")
        return self._take().value

    def _at_as(self) -> bool:
        return self._next < len(self._tokens) and self._tokens[self._next].value.upper() == "AS"

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]


def _csv(options: CopyOptions, reader: _Reader) -> CopyOptions:
    return replace(options, format=CSV)


def _json(options: CopyOptions, reader: _Reader) -> CopyOptions:
    return _json_of(options, reader.optional_text())


def _json_of(options: CopyOptions, how: str | None) -> CopyOptions:
    if how is None or how.lower() == "auto":
        return replace(options, format=JSON)
    if how.lower() == "auto ignorecase":
        return replace(options, format=JSON, ignore_case=True)
    bucket, _, key = how.removeprefix("s3://").partition("/")
    if how.startswith("s3://") and bucket and key:
        return replace(options, format=JSON, jsonpaths=how)
    raise Wrong(f"JSON must be followed by 'auto', 'auto ignorecase' or 's3://bucket/jsonpaths', not {how!r}")


def _format(options: CopyOptions, reader: _Reader) -> CopyOptions:
    reader.word(frozenset({"AS"}))
    if reader.word(frozenset({"CSV"})):
        return replace(options, format=CSV)
    if reader.word(frozenset({"JSON"})):
        return _json_of(options, reader.optional_text())
    raise Wrong("FORMAT must be CSV or JSON: Firehose stages text, so that nothing else can be loaded")


def _delimiter(options: CopyOptions, reader: _Reader) -> CopyOptions:
    return replace(options, delimiter=_character("DELIMITER", reader.text("DELIMITER"), "\n\r\0"))


def _quote(options: CopyOptions, reader: _Reader) -> CopyOptions:
    return replace(options, quote=_character("QUOTE", reader.text("QUOTE"), "\n\r\0"))


def _null(options: CopyOptions, reader: _Reader) -> CopyOptions:
    text = reader.text("NULL AS")
    return replace(options, null_as="\0" if text in ("\\0", "\\000") else text)


def _ignore_header(options: CopyOptions, reader: _Reader) -> CopyOptions:
    return replace(options, ignore_header=reader.number("IGNOREHEADER", 2**31 - 1))


def _max_error(options: CopyOptions, reader: _Reader) -> CopyOptions:
    return replace(options, max_error=reader.number("MAXERROR", MOST_ERRORS))


def _accept_invalid(options: CopyOptions, reader: _Reader) -> CopyOptions:
    text = reader.optional_text()
    return replace(options, replacement="?" if text is None else _character("ACCEPTINVCHARS", text, "\0"))


def _times(options: CopyOptions, reader: _Reader) -> CopyOptions:
    text = reader.text("TIMEFORMAT")
    return replace(options, time_format=_one_of("TIMEFORMAT", text, TIMES))


def _dates(options: CopyOptions, reader: _Reader) -> CopyOptions:
    _one_of("DATEFORMAT", reader.text("DATEFORMAT"), DATES)
    return options


def _one_of(option: str, text: str, known: frozenset[str]) -> str:
    for name in known:
        if text.lower() == name.lower():
            return name
    raise Wrong(f"{option} must be one of {', '.join(map(repr, sorted(known)))}, not {text!r}")


def _encoding(options: CopyOptions, reader: _Reader) -> CopyOptions:
    reader.word(frozenset({"AS"}))
    name = reader.optional_text() or reader.option() or ""
    if name.upper() != "UTF8":
        raise Wrong("ENCODING must be UTF8")
    return options


def _region(options: CopyOptions, reader: _Reader) -> CopyOptions:
    reader.text("REGION")
    return options


def _update(options: CopyOptions, reader: _Reader) -> CopyOptions:
    reader.word(frozenset({"ON", "OFF", "TRUE", "FALSE", "PRESET"}))
    return options


def _rows(options: CopyOptions, reader: _Reader) -> CopyOptions:
    reader.number("COMPROWS", 10**9)
    return options


def _character(option: str, text: str, never: str) -> str:
    """One character, which may be written as `\\t` or in octal digits."""
    octal = _OCTAL.fullmatch(text)
    found = _NAMED.get(text) or (chr(int(octal[1], 8)) if octal else text)
    if len(found) != 1 or found in never:
        raise Wrong(f"{option} must be one character, not {text!r}")
    return found


_READERS: dict[str, Callable[[CopyOptions, _Reader], CopyOptions]] = {
    "CSV": _csv,
    "JSON": _json,
    "FORMAT": _format,
    "DELIMITER": _delimiter,
    "QUOTE": _quote,
    "NULL": _null,
    "IGNOREHEADER": _ignore_header,
    "MAXERROR": _max_error,
    "ACCEPTINVCHARS": _accept_invalid,
    "TIMEFORMAT": _times,
    "DATEFORMAT": _dates,
    "ENCODING": _encoding,
    "REGION": _region,
    "COMPUPDATE": _update,
    "STATUPDATE": _update,
    "COMPROWS": _rows,
}

KNOWN = tuple(sorted({*_FLAGS, *_READERS}))
