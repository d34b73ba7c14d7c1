"""AWS's limits on each shard, for programs that want to meet them: on where the setting `kinesis_throttle` is.

Writes: 1,000 records and 1 MiB a second. Reads: 5 calls and 2 MiB a second, so that who took 10 MiB at once waits five
seconds. Each process counts for itself.
"""

from typing import NamedTuple

from clary.kernel.rooms import OnePerPlatform, Platform

MIB = 1024 * 1024
_MOST_SHARDS = 100_000


class Limit(NamedTuple):
    """What one shard may do in a second, in operations and in bytes."""

    operations: float
    bytes: float


WRITES = Limit(1000, MIB)
READS = Limit(5, 2 * MIB)


class _Allowance:
    """What is left of a second's worth; `bytes` may be overdrawn, and is paid back before the next is let through."""

    __slots__ = ("at", "bytes", "operations")

    def __init__(self, at: float, limit: Limit) -> None:
        self.at = at
        self.operations = limit.operations
        self.bytes = limit.bytes

    def refill(self, now: float, limit: Limit) -> None:
        passed = now - self.at
        self.at = now
        self.operations = min(limit.operations, self.operations + passed * limit.operations)
        self.bytes = min(limit.bytes, self.bytes + passed * limit.bytes)


class Throttle:
    """The allowances of a process."""

    def __init__(self, platform: Platform) -> None:
        self._clock = platform.clock
        self._allowances: dict[tuple[str, str, Limit], _Allowance] = {}

    def may_write(self, storage: str, shard: str, size: int) -> bool:
        """Whether a record of this size may be written now; it counts if it may."""
        allowance = self._of(storage, shard, WRITES)
        if allowance.operations < 1 or allowance.bytes < min(size, WRITES.bytes):
            return False
        allowance.operations -= 1
        allowance.bytes -= size
        return True

    def may_read(self, storage: str, shard: str) -> bool:
        """Whether a call may read now; it counts if it may. `have_read` says how much it took."""
        allowance = self._of(storage, shard, READS)
        if allowance.operations < 1 or allowance.bytes <= 0:
            return False
        allowance.operations -= 1
        return True

    def have_read(self, storage: str, shard: str, size: int) -> None:
        self._of(storage, shard, READS).bytes -= size

    def _of(self, storage: str, shard: str, limit: Limit) -> _Allowance:
        now = self._clock.monotonic()
        key = (storage, shard, limit)
        found = self._allowances.get(key)
        if found is None:
            if len(self._allowances) >= _MOST_SHARDS:
                self._allowances.clear()
            found = self._allowances[key] = _Allowance(now, limit)
        else:
            found.refill(now, limit)
        return found


_throttle_of = OnePerPlatform(Throttle)


def throttle_of(platform: Platform) -> Throttle | None:
    """The throttle of a platform; None where nothing is throttled."""
    return _throttle_of(platform) if platform.settings.kinesis_throttle else None
