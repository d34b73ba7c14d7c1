"""How Athena's queries are read: sqlglot's dialect of Trino, less what it rewrites while it reads.

Functions stay as they were written, by name and arguments, for their meaning is looked up here and nowhere else.
"""

from typing import Any

from sqlglot import exp
from sqlglot.dialects.trino import Trino

_SPECIAL = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "POSITION", "SUBSTRING", "NORMALIZE", "LISTAGG")


def _typed_literal(_parser: Any, this: exp.Expression, kind: exp.DataType) -> exp.Expression:
    """`DECIMAL '1.50'` means other digits than `CAST('1.50' AS DECIMAL)`: remember which of both it was."""
    cast = exp.Cast(this=this, to=kind)
    cast.meta["literal"] = True
    return cast


class AthenaSelect(Trino):
    """Trino's dialect whose function calls are all `Anonymous`, and whose subscripts count as they are written."""

    INDEX_OFFSET = 0

    class Parser(Trino.Parser):
        """Reads functions by their names alone, but those that have a syntax of their own."""

        FUNCTIONS: dict[str, Any] = {}  # noqa: RUF012 (sqlglot's way of configuring a dialect)
        FUNCTION_PARSERS = {name: read for name, read in Trino.Parser.FUNCTION_PARSERS.items() if name in _SPECIAL}
        TYPE_LITERAL_PARSERS = {kind: _typed_literal for kind in exp.DType}  # noqa: RUF012
