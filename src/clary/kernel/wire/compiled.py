"""A table of what is compiled once and used by every thread after."""

import threading
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

_compiling = threading.RLock()


class Compiled(dict[K, V]):
    """Makes a key's value when it is first looked up, and shows it to nobody before it is whole.

    That matters because recursive shapes are compiled into objects that exist before they are filled. One lock for
    all tables: compiling one thing asks for others. A look-up of what is there costs what a dict's costs.
    """

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        with _compiling:
            if key not in self:
                self[key] = self._make(key)
            return dict.__getitem__(self, key)
