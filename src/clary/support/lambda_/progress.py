"""How far event source mappings are, in the key-value domain `lambda-mappings`.

c <uuid> / <shard>     a Checkpoint: what of a shard has been dealt with
r <uuid>               how the last batch went, AWS's LastProcessingResult
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from clary.kernel.kv import KeyValue, after_prefix
from clary.kernel.rooms import Platform
from clary.support.lambda_.mappings import DOMAIN


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The sequence number of the last record of a shard that was dealt with, empty for none yet; `done` when the shard
    is closed and nothing is left in it. `window` is the start of the tumbling window that is open, 0 for none, and
    `state` what its function made of it so far."""

    sequence: str = ""
    done: bool = False
    window: int = 0
    state: dict[str, Any] = field(default_factory=dict)


class Progress:
    """The checkpoints of one mapping."""

    def __init__(self, platform: Platform, mapping: str) -> None:
        self._kv: KeyValue = platform.kv(DOMAIN)
        self._mapping = mapping
        self._result = ""

    def checkpoints(self) -> dict[str, Checkpoint]:
        """By shard."""
        prefix = _prefix(self._mapping)
        return {
            key.removeprefix(prefix).decode(): Checkpoint(**orjson.loads(data))
            for key, data in self._kv.scan(prefix, after_prefix(prefix))
        }

    async def save(self, shard: str, checkpoint: Checkpoint) -> None:
        """Durable once returned."""
        key, data = _prefix(self._mapping) + shard.encode(), orjson.dumps(checkpoint)
        await self._kv.write_async(lambda transaction: transaction.put(key, data))

    async def tell(self, result: str) -> None:
        """Say how the last batch went, when that is news."""
        if result != self._result:
            self._result = result
            data = result.encode()
            await self._kv.write_async(lambda transaction: transaction.put(_result_key(self._mapping), data))


def result_of(platform: Platform, mapping: str) -> str | None:
    """How the last batch of a mapping went; None before there was one."""
    found = platform.kv(DOMAIN).get(_result_key(mapping))
    return None if found is None else found.decode()


def forget(platform: Platform, mapping: str) -> None:
    """Forget a mapping that is gone."""
    kv, prefix = platform.kv(DOMAIN), _prefix(mapping)
    keys = [key for key, _ in kv.scan(prefix, after_prefix(prefix))]
    kv.write(lambda transaction: [transaction.delete(key) for key in (*keys, _result_key(mapping))])


def _prefix(mapping: str) -> bytes:
    return b"c" + mapping.encode() + b"/"


def _result_key(mapping: str) -> bytes:
    return b"r" + mapping.encode()
