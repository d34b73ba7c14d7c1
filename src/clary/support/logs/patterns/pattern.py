"""What every compiled filter pattern can do."""

from collections.abc import Mapping
from typing import Protocol


class Pattern(Protocol):
    """A compiled filter pattern. Immutable, safe to share between threads."""

    def match(self, message: str) -> Mapping[str, str] | None:
        """The values of the fields the pattern names, by selector, when the message matches; else None."""

    def extract(self, message: str, selector: str) -> str | None:
        """The value of one selector (`$.latency`, `$bytes`) in a message; None where it has none."""
