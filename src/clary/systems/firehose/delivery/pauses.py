"""How a worker waits: for so many seconds, unless it is to end."""

from collections.abc import Callable

Pause = Callable[[float], bool]
"""Waits so many seconds; says whether whoever waits is to end, and then at once."""
