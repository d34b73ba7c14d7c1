"""Which types of values may be stored as which others without a CAST, as Trino widens them by itself."""

from clary.lake.trino_types import hive_type
from clary.lake.types import Type

_WHOLE = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
_ORDER = ("tinyint", "smallint", "int", "bigint", "float", "double")
_TEXTS = ("string", "varchar", "char")


def widens(given: str, wanted: str) -> bool:
    """Whether values of a type of Trino pass for those of another."""
    if given == wanted:
        return True
    try:
        return _widens(hive_type(given, loose=True), hive_type(wanted))
    except ValueError:
        return False


def _widens(given: Type, wanted: Type) -> bool:
    if given.name == "unknown":
        return True
    if given.children or wanted.children:
        return (
            given.name == wanted.name
            and len(given.children) == len(wanted.children)
            and all(map(_widens, given.children, wanted.children))
        )
    if wanted.name == "decimal":
        whole, scale = _digits(given)
        return (
            given.name in (*_WHOLE, "decimal")
            and whole <= wanted.numbers[0] - wanted.numbers[1] >= 0
            and (scale <= wanted.numbers[1])
        )
    if given.name == "decimal":
        return wanted.name in ("float", "double")
    if given.name in _TEXTS:
        # A text that is too long for its column fails when it is stored.
        return wanted.name in _TEXTS
    if given.name in _ORDER and wanted.name in _ORDER:
        return _ORDER.index(given.name) <= _ORDER.index(wanted.name)
    return given.name == wanted.name or (given.name, wanted.name) == ("date", "timestamp")


def _digits(of: Type) -> tuple[int, int]:
    """How many digits a number has before its point, and behind it."""
    if of.name == "decimal":
        return of.numbers[0] - of.numbers[1], of.numbers[1]
    return _WHOLE.get(of.name, 0), 0
