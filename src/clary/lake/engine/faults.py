"""DuckDB's errors as Trino would tell them: the name of the error, and what is said of it."""

import re
from collections.abc import Sequence

import duckdb

from clary.lake.engine.tasks import TaskFailed
from clary.lake.scans import Scan

INTERRUPTED = "INTERRUPTED"
_POSITION = re.compile(r"\n\s*\nLINE \d+:.*", re.DOTALL)
_PREFIX = re.compile(r"^[A-Za-z][A-Za-z /-]* Error: ")
# What our own functions say, where DuckDB can only be told by a text that it cannot convert.
_SAID = re.compile(r"\b([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+): (.+?)(?:' to (?:BOOL|BOOLEAN)\b.*)?$", re.DOTALL)
_BY_TYPE: tuple[tuple[type[Exception], str], ...] = (
    (duckdb.InterruptException, INTERRUPTED),
    (duckdb.OutOfMemoryException, "EXCEEDED_LOCAL_MEMORY_LIMIT"),
    (duckdb.ConversionException, "INVALID_CAST_ARGUMENT"),
    (duckdb.OutOfRangeException, "NUMERIC_VALUE_OUT_OF_RANGE"),
    (duckdb.TypeMismatchException, "TYPE_MISMATCH"),
    (duckdb.InvalidInputException, "INVALID_FUNCTION_ARGUMENT"),
    (duckdb.NotImplementedException, "NOT_SUPPORTED"),
    (duckdb.BinderException, "TYPE_MISMATCH"),
    (duckdb.CatalogException, "FUNCTION_NOT_FOUND"),
    (duckdb.ParserException, "SYNTAX_ERROR"),
    (duckdb.IOException, "GENERIC_INTERNAL_ERROR"),
    (MemoryError, "EXCEEDED_LOCAL_MEMORY_LIMIT"),
)


def told(error: Exception, scans: Sequence[Scan] = ()) -> tuple[str, str]:
    """Trino's code for an error of a task, and its message without DuckDB's own words and places."""
    if isinstance(error, TaskFailed):
        return error.code, error.message
    code = next((code for kind, code in _BY_TYPE if isinstance(error, kind)), "GENERIC_INTERNAL_ERROR")
    text = _PREFIX.sub("", _POSITION.sub("", str(error))).strip()
    said = _SAID.search(text)
    if said is not None:
        return said[1], said[2].strip().partition("\n")[0]
    if code == "EXCEEDED_LOCAL_MEMORY_LIMIT":
        return code, "Query exceeded the memory that it may use on this machine: see CLARY_QUERY_MEMORY_BYTES"
    if "division by zero" in text.lower() or "divide by zero" in text.lower():
        return "DIVISION_BY_ZERO", "Division by zero"
    return code, text.partition("\n")[0]
