"""Trees of queries and of DML, as sqlglot reads them in its dialect `trino`; errors are told as Trino tells them."""

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.language.tokens import position, syntax_error

if TYPE_CHECKING:
    from sqlglot import exp

# What sqlglot cannot read it warns of in the log; whoever asked is told by an error.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_REQUIRED = re.compile(r"Required keyword: '(\w+)'")


def query_tree(text: str, start: int, end: int) -> "exp.Expression":
    """The tree of the query that is a part of a text; errors tell their place in the whole."""
    kinds = _sqlglot().exp

    tree = _tree(text, start, end)
    if not isinstance(tree, kinds.Query | kinds.Values):
        raise syntax_error(text, start, f"mismatched input '{text[start:].split(None, 1)[0]}'. Expecting: <query>")
    return cast("exp.Expression", tree)


def is_literal(text: str) -> bool:
    """Whether a text is one value that stands for itself: a literal, of a type, or an array of them."""
    sqlglot = _sqlglot()
    kinds = sqlglot.exp
    allowed = (
        kinds.Literal, kinds.Neg, kinds.Boolean, kinds.Null, kinds.Cast, kinds.DataType, kinds.DataTypeParam,
        kinds.Interval, kinds.Var, kinds.Array, kinds.HexString, kinds.Paren,
    )  # fmt: skip
    try:
        tree = sqlglot.parse_one(text, read="trino")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return False
    return not isinstance(tree, kinds.Var | kinds.DataType) and all(isinstance(node, allowed) for node in tree.walk())


def condition_tree(text: str, start: int) -> "exp.Expression":
    """The tree of the condition that a text ends with, from `start` on."""
    kinds = _sqlglot().exp

    head = "SELECT 1 WHERE "
    blanked = "".join(sign if sign in "\r\n" else " " for sign in text[: start - len(head)]) + head + text[start:]
    tree = _tree(blanked, 0, len(blanked))
    where = tree.args.get("where") if isinstance(tree, kinds.Select) else None
    others = [name for name, value in tree.args.items() if value and name not in ("expressions", "where")]
    if where is None or others:
        raise syntax_error(text, start, "a condition alone is expected after WHERE")
    return cast("exp.Expression", where.this)


def dml_tree(text: str, kind: str) -> "exp.Expression":
    """The tree of a whole statement; `kind` is the name of its class."""
    kinds = _sqlglot().exp

    tree = _tree(text, 0, len(text))
    if not isinstance(tree, getattr(kinds, kind)):
        raise syntax_error(text, 0, f"this is not a statement of {kind.upper()} that is understood")
    return cast("exp.Expression", tree)


def _sqlglot() -> Any:
    """The library that reads queries. Raises StatementFailed where it is not installed."""
    try:
        import sqlglot
    except ImportError:
        message = "Queries need sqlglot and DuckDB, which are not installed: pip install 'clary[data]'"
        raise StatementFailed("NOT_SUPPORTED", message) from None
    return sqlglot


def _tree(text: str, start: int, end: int) -> Any:
    """What sqlglot reads of a part of a text. What is before is blanked, so that places are those of the whole."""
    sqlglot = _sqlglot()
    blanked = "".join(sign if sign in "\r\n" else " " for sign in text[:start]) + text[start:end]
    try:
        from clary.systems.athena.select.dialect import AthenaSelect

        trees = sqlglot.parse(blanked, read=AthenaSelect)
    except sqlglot.errors.ParseError as error:
        raise _syntax_error(text, end, error.errors[0] if error.errors else {}) from None
    except sqlglot.errors.SqlglotError as error:
        raise syntax_error(text, start, f"the query cannot be read: {error}") from None
    except RecursionError:
        raise syntax_error(text, start, "statement is too large (stack overflow while parsing)") from None
    found = [tree for tree in trees if tree is not None]
    if len(found) != 1:
        raise syntax_error(text, start, "mismatched input '<EOF>'. Expecting: <query>")
    return found[0]


def _syntax_error(text: str, end: int, error: Mapping[str, Any]) -> StatementFailed:
    """sqlglot's error in Trino's words. What it stumbled over is the last token where the text ended too early."""
    description = str(error.get("description") or "")
    shown = str(error.get("highlight") or "")
    line, last = int(error.get("line") or 1), int(error.get("col") or 1)
    if not description.startswith("Invalid expression") and not text[:end].rstrip().removesuffix(shown).strip():
        shown = ""
    at_end = shown and not str(error.get("end_context") or "").strip()
    if at_end and not description.startswith("Invalid expression"):
        line, column = position(text, end)
        shown = "<EOF>"
    else:
        column = max(last - len(shown) + 1, 1)
    missing = _REQUIRED.search(description)
    if missing:
        expected = "<expression>"
    elif description.startswith("Expecting "):
        expected = f"'{description.removeprefix('Expecting ')}'"
    elif description.startswith("Invalid expression"):
        return StatementFailed("SYNTAX_ERROR", f"line {line}:{column}: mismatched input '{shown}'")
    else:
        return StatementFailed("SYNTAX_ERROR", f"line {line}:{column}: mismatched input '{shown}': {description}")
    return StatementFailed("SYNTAX_ERROR", f"line {line}:{column}: mismatched input '{shown}'. Expecting: {expected}")
