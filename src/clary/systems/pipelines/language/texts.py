"""Single values as text, and numbers from text: the same in parameters, arguments and conditions."""

import math
import re

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d+")
_LONGEST = 64


def as_text(value: bool | int | float | str) -> str:
    """`true`, `5`, `0.25`, and strings as they are."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def as_number(text: str) -> int | float | None:
    """The number that a text is, None where it is none: no spaces, no underscores, no infinity."""
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else None


def as_boolean(text: str) -> bool | None:
    """`true` or `false` in any case; None where it is neither."""
    return {"true": True, "false": False}.get(text.lower()) if len(text) <= 5 else None
