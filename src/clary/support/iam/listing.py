"""Lists as IAM cuts them: `Marker` and `MaxItems` in, `IsTruncated` and `Marker` out."""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from clary.kernel.core.errors import AwsError

T = TypeVar("T")

DEFAULT_MAX_ITEMS = 100


def cut(
    items: Iterable[T], name: Callable[[T], str], marker: str | None, max_items: int | None
) -> tuple[list[T], dict[str, Any]]:
    """The items after `marker` in the order of their names, and the members that say whether there are more."""
    after = _read(marker) if marker else ""
    limit = max_items or DEFAULT_MAX_ITEMS
    rest = sorted((item for item in items if name(item) > after), key=name)
    shown = rest[:limit]
    if len(rest) <= limit:
        return shown, {"IsTruncated": False}
    return shown, {"IsTruncated": True, "Marker": base64.urlsafe_b64encode(name(shown[-1]).encode()).decode()}


def _read(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker).decode()
    except (binascii.Error, ValueError):
        raise AwsError("ValidationError", f"Invalid Marker: {marker!r}. Send the one of the last answer.") from None
