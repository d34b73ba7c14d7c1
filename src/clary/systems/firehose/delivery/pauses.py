"""How a worker waits: for so many seconds, unless it is to end."""

from collections.abc import Callable


class Stopped(Exception):
    """The worker is to end: what it was doing is neither done nor failed, and is begun anew some time."""


Pause = Callable[[float], bool]
"""Waits so many seconds; says whether whoever waits is to end, and then at once."""
