"""Names of folders and files of tables in Hive's way, and runs of rows that lie in one."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.compute as pc

from clary.lake.tables import Column

RUN, LINE = "#run", "#line"
"""The columns that say which rows belong into the same files, and what the lines of texts are."""
BETWEEN = "\x1f"
NULL = "__HIVE_DEFAULT_PARTITION__"
_ESCAPED = frozenset("\"#%'*/:=?\\\x7f{[]^")


def folder_name(keys: Sequence[Column], values: Sequence[str | None]) -> str:
    """The folder of a partition: `k1=v1/k2=v2`; NULL and empty texts have a name that is kept for them."""
    pairs = zip(keys, values, strict=True)
    return "/".join(f"{escaped(key.name)}={escaped(value) if value else NULL}" for key, value in pairs)


def escaped(text: str) -> str:
    """A text as part of a name; the signs that Hive does not let be are written by their numbers, as `%3A`."""
    return "".join(f"%{ord(sign):02X}" if sign in _ESCAPED or ord(sign) < 0x20 else sign for sign in text)


def runs_of(texts: Any) -> Iterator[tuple[str, int]]:
    """The texts of an array, each with where the last of the same that follow each other ends."""
    encoded = pc.run_end_encode(texts)
    yield from zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True)
