"""What of a delivery stream's buffer was delivered, durably.

All records before `position` were. Behind it, each lane that was delivered further than others says through which
offset: a record that is read again, after a restart, is not delivered twice to it.
"""

from collections.abc import Mapping

import orjson

from clary.kernel.kv import KeyValue

PREFIX = b"l"


class Ledger:
    """The ledger of one buffer. For one thread."""

    def __init__(self, kv: KeyValue, buffer: str) -> None:
        self._kv = kv
        self._key = PREFIX + buffer.encode()
        stored = kv.get(self._key)
        found = orjson.loads(stored) if stored else {}
        self.position: int = found.get("position", 0)
        self.counted: int = found.get("counted", 0)
        self._through: dict[str, int] = found.get("through", {})

    def has(self, lane: str, offset: int) -> bool:
        """Whether the record at an offset was delivered to a lane."""
        return offset < self._through.get(lane, 0)

    def note(self, position: int, through: Mapping[str, int], counted: int) -> None:
        """Write down what was delivered by now; `counted` is the offset before which metrics count records."""
        merged = {lane: offset for lane, offset in {**self._through, **through}.items() if offset > position}
        if (position, merged) == (self.position, self._through):
            return
        data = orjson.dumps({"position": position, "through": merged, "counted": counted})
        self._kv.write(lambda tx: tx.put(self._key, data))
        self.position, self._through, self.counted = position, merged, counted


def forget(kv: KeyValue, buffer: str) -> None:
    kv.write(lambda tx: tx.delete(PREFIX + buffer.encode()))
