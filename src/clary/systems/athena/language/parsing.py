"""From the text of a statement to what it asks for: DDL is read as Hive reads it, everything else as Trino does."""

import contextlib
from collections.abc import Sequence

from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.language.hive import hive_statement
from clary.systems.athena.language.statements import Execute, Prepare, Statement
from clary.systems.athena.language.tokens import BACK, DOUBLE, END, SIGN, WORD, Cursor, Token, syntax_error, tokens
from clary.systems.athena.language.trees import is_literal
from clary.systems.athena.language.trino import BACKQUOTED, trino_statement

_HIVE_HEADS = frozenset({"create", "drop", "alter", "msck", "describe", "desc", "show"})
_NOT_SUPPORTED = frozenset(
    {
        "analyze", "call", "comment", "commit", "deny", "grant", "import", "export", "load", "lock", "refresh", "reset",
        "revoke", "rollback", "set", "start", "truncate", "unlock", "use",
    }
)  # fmt: skip
_HIVE_NOT_SUPPORTED = (
    ("alter", "view"), ("alter", "index"), ("create", "function"), ("create", "index"), ("create", "macro"),
    ("create", "role"), ("create", "temporary"), ("create", "materialized"), ("drop", "function"), ("drop", "index"),
    ("drop", "macro"), ("drop", "role"), ("drop", "materialized"), ("msck", "table"), ("show", "catalogs"),
    ("show", "compactions"), ("show", "grant"), ("show", "grants"), ("show", "indexes"), ("show", "locks"),
    ("show", "principals"), ("show", "role"), ("show", "roles"), ("show", "session"), ("show", "stats"),
    ("show", "transactions"),
)  # fmt: skip


def parse(text: str, parameters: Sequence[str] = ()) -> Statement:
    """What a statement asks for, with `parameters`, literals as SQL writes them, in the places of its `?`.

    Raises StatementFailed, saying what is wrong and where.
    """
    whole = _one_statement(text)
    statement = _parsed(whole, parameters)
    if parameters and isinstance(statement, Execute):
        if statement.parameters:
            raise _wrong_count(0, len(parameters))
        return Execute(text=statement.text, name=statement.name, parameters=tuple(parameters))
    return statement


def bound(text: str, parameters: Sequence[str]) -> str:
    """A statement with literals in the places of its `?`. Raises StatementFailed when their number is another."""
    places = _places(text)
    if len(places) != len(parameters):
        raise _wrong_count(len(places), len(parameters))
    parts, at = [], 0
    for token, parameter in zip(places, parameters, strict=True):
        parts += [text[at : token.start], " ", _literal(parameter), " "]
        at = token.end
    return "".join([*parts, text[at:]])


def _parsed(text: str, parameters: Sequence[str]) -> Statement:
    head = _head(text)
    first = head[0].text.lower() if head[0].kind == WORD else ""
    words = tuple(token.text.lower() if token.kind == WORD else "" for token in head[:2])
    if first in _NOT_SUPPORTED or words in _HIVE_NOT_SUPPORTED:
        shown = first if first in _NOT_SUPPORTED else " ".join(words)
        raise StatementFailed("NOT_SUPPORTED", f"Queries of this type are not supported: {shown.upper()}")
    if _is_hive(head):
        if parameters:
            raise _wrong_count(0, len(parameters))
        return hive_statement(Cursor(text, hive=True), text)
    if first not in ("prepare", "execute"):
        if parameters or _places(text):
            text = bound(text, parameters)
    elif parameters and first == "prepare":
        raise _wrong_count(0, len(parameters))
    return _trino(text)


def _trino(text: str) -> Statement:
    cursor = Cursor(text, hive=False)
    for token in cursor.rest():
        if token.kind == BACK:
            raise cursor.wrong(BACKQUOTED, token)
        if token.kind == DOUBLE and not token.value:
            raise cursor.wrong("Zero-length delimited identifier not allowed", token)
    statement = trino_statement(cursor, text, _inner)
    if isinstance(statement, Prepare):
        # What cannot be read is told now, not when it is executed.
        _inner(statement.body, 0, len(statement.body))
    return statement


def _inner(text: str, start: int, end: int) -> Statement:
    """The statement that a part of a text is; errors tell their place in the whole."""
    blanked = "".join(sign if sign in "\r\n" else " " for sign in text[:start]) + text[start:end]
    head = _head(blanked)
    if head[0].text.lower() in ("explain", "prepare", "execute", "deallocate") or _is_hive(head):
        raise syntax_error(blanked, head[0].start, f"mismatched input '{head[0].shown()}'. Expecting: <query>")
    return _trino(blanked)


def _one_statement(text: str) -> str:
    """The text less semicolons at its end. Raises StatementFailed where one stands between two statements."""
    hive = _is_hive(_head(text))
    semicolon: Token | None = None
    last: Token | None = None
    for token in tokens(text, hive=hive):
        if token.kind == END:
            break
        if token.kind == SIGN and token.text == ";":
            semicolon = semicolon or token
        elif semicolon is not None:
            raise StatementFailed("NOT_SUPPORTED", f"Only one sql statement is allowed. Got: {text}")
        else:
            last = token
    if last is None:
        raise syntax_error(text, 0, "mismatched input '<EOF>'. Expecting: a statement")
    return text[: last.end]


def _head(text: str) -> list[Token]:
    """The tokens that tell which statement it is, a dozen at most. A text in Hive's quotes may end them."""
    found: list[Token] = []
    with contextlib.suppress(StatementFailed):
        for token in tokens(text):
            found.append(token)
            if len(found) == 12 or token.kind == END:
                break
    return found or [Token(END, "", "", 0, 0)]


def _is_hive(head: Sequence[Token]) -> bool:
    words = [token.text.lower() for token in head]
    if words[0] not in _HIVE_HEADS or head[0].kind != WORD:
        return False
    if "view" in words[1:4] and (
        words[1] == "view" or words[:3] == ["show", "create", "view"] or words[1:4] == ["or", "replace", "view"]
    ):
        return False
    return words[:2] != ["create", "table"] or not _is_made_of_a_query(head)


def _is_made_of_a_query(head: Sequence[Token]) -> bool:
    """Whether `CREATE TABLE ...` goes on as CREATE TABLE AS does: AS or WITH comes, or names without types."""
    at = 5 if [token.text.lower() for token in head[2:5]] == ["if", "not", "exists"] else 2
    at += 1
    while at + 1 < len(head) and head[at].text == ".":
        at += 2
    if at < len(head) and head[at].text.lower() == "comment":
        at += 2
    if at >= len(head):
        return False
    if head[at].text == "(" and at + 2 < len(head):
        return head[at + 2].text in (",", ")")
    if head[at].text.lower() == "with":
        return at + 1 < len(head) and head[at + 1].text == "("
    return head[at].text.lower() == "as"


def _places(text: str) -> list[Token]:
    return [token for token in tokens(text) if token.kind == SIGN and token.text == "?"]


def _literal(parameter: str) -> str:
    words = [token.text for token in tokens(parameter) if token.kind != END]
    text = " ".join(words)
    if not words or not is_literal(text):
        raise StatementFailed(
            "INVALID_PARAMETER_USAGE", f"{parameter!r} is not a literal: a text stands in single quotes, as in 'text'"
        )
    return text


def _wrong_count(expected: int, found: int) -> StatementFailed:
    return StatementFailed(
        "INVALID_PARAMETER_USAGE", f"Incorrect number of parameters: expected {expected} but found {found}"
    )
