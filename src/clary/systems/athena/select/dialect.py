"""How Athena's queries are read: sqlglot's dialect of Trino, less what it rewrites while it reads.

Functions stay as they were written, by name and arguments, for their meaning is looked up here and nowhere else.
"""

from typing import Any

from sqlglot import exp
from sqlglot.dialects.trino import Trino

from clary.systems.athena.select.json_syntax import READERS

_SPECIAL = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "POSITION", "SUBSTRING", "NORMALIZE", "LISTAGG")


def _typed_literal(_parser: Any, this: exp.Expr, kind: exp.DataType) -> exp.Expr:
    """`DECIMAL '1.50'` means other digits than `CAST('1.50' AS DECIMAL)`: remember which of both it was."""
    cast = exp.Cast(this=this, to=kind)
    cast.meta["literal"] = True
    return cast


_NONE: dict[str, Any] = {}
_KEPT = {name: read for name, read in Trino.Parser.FUNCTION_PARSERS.items() if name in _SPECIAL}
_LITERALS = dict.fromkeys(exp.DType, _typed_literal)


class AthenaSelect(Trino):
    """Trino's dialect whose function calls are all `Anonymous`, and whose subscripts count as they are written."""

    INDEX_OFFSET = 0

    class Parser(Trino.Parser):  # type: ignore[misc, valid-type]
        """Reads functions by their names alone, but those that have a syntax of their own."""

        FUNCTIONS = _NONE
        FUNCTION_PARSERS = _KEPT | READERS
        TYPE_LITERAL_PARSERS = _LITERALS
