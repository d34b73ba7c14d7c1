"""Folders of partitions as Hive names them: `year=2024/city=New York`, what may not stand in a name percent-encoded."""

from collections.abc import Sequence
from urllib.parse import unquote

NULL = "__HIVE_DEFAULT_PARTITION__"
_ESCAPED = frozenset("\"#%'*/:=?\\\x7f{[]^")


def partition_path(names: Sequence[str], values: Sequence[str | None]) -> str:
    """The folder, below its table's, of the partition with these values; None and an empty text are NULL."""
    pairs = zip(names, values, strict=True)
    return "/".join(f"{escaped(name)}={escaped(value) if value else NULL}" for name, value in pairs)


def partition_values(names: Sequence[str], path: str) -> list[str] | None:
    """The values that a folder says of keys of these names, in their order; None where it is no partition's.

    Folders below it are left out of account; NULL stays as Hive spells it.
    """
    parts = path.strip("/").split("/")
    if len(parts) < len(names):
        return None
    values = []
    for name, part in zip(names, parts, strict=False):
        key, sign, value = part.partition("=")
        if not sign or unquote(key) != name:
            return None
        values.append(unquote(value))
    return values


def escaped(text: str) -> str:
    """A text as part of a folder's name."""
    return "".join(f"%{ord(sign):02X}" if sign in _ESCAPED or ord(sign) < 0x20 else sign for sign in text)
