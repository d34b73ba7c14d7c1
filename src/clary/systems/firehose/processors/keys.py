"""The values of partition keys, as they stand in names."""

from typing import Any


def key_text(value: Any) -> str:
    """A partition key's value as text. Raises ValueError for what none can be."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or not value:
        raise ValueError("partitionKeys values must not be null or empty")
    return value
