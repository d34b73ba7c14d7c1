"""Partition keys that a JQ query finds in a record."""

from typing import Any

import jq

from clary.systems.firehose.processors.keys import key_text


class Extraction:
    """A query, compiled once. For one thread."""

    def __init__(self, query: str) -> None:
        self._program: Any = jq.compile(query)

    def keys(self, data: bytes) -> dict[str, str]:
        """The keys of a record. Raises ValueError when it is no JSON or a key has no value."""
        try:
            found = self._program.input_text(data.decode()).first()
        except (ValueError, StopIteration) as error:
            raise ValueError(f"The query failed: {error or 'it gave nothing'}") from None
        if not isinstance(found, dict):
            raise ValueError("The query gave no object.")
        return {str(name): key_text(value) for name, value in found.items()}
