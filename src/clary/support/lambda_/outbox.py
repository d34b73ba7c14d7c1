"""What waits to be invoked asynchronously, in the key-value domain `lambda-events`.

    e <function> 0 <due ms> <number>      an Event, behind it the payload
    n                                     the last number given

A function is written `<account>/<region>/<name>`. An event leaves when its invocation has come to an end, and what is
told of that has been stored elsewhere: whatever is killed when, each is invoked at least once and none is forgotten.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from clary.kernel.core.clock import Clock
from clary.kernel.kv import KeyValue, Transaction, after_prefix, names_below

DOMAIN = "lambda-events"
TOPIC = "lambda-events"


@dataclass(frozen=True, slots=True)
class Event:
    """An invocation to be made. Times are epoch seconds. `tries` counts those that the function itself failed,
    `refusals` those that did not come so far in a row."""

    request: str
    qualifier: str
    arrived_at: float
    client_context: str = ""
    tries: int = 0
    refusals: int = 0


class Waiting(NamedTuple):
    """An event as it stands in the outbox."""

    key: bytes
    due_at: float
    event: Event
    payload: bytes


class Outbox:
    """The events of a home."""

    def __init__(self, kv: KeyValue, clock: Clock) -> None:
        self._kv = kv
        self._clock = clock

    async def post(self, function: str, event: Event, payload: bytes) -> None:
        """Store an event, durably, to be invoked at once."""
        due_ms = int(event.arrived_at * 1000)
        data = _dump(event, payload)

        def write(transaction: Transaction) -> None:
            last = transaction.get(b"n")
            number = 1 if last is None else int.from_bytes(last, "big") + 1
            transaction.put(b"n", number.to_bytes(8, "big"))
            transaction.put(_key(function, due_ms, number), data)

        await self._kv.write_async(write)

    def functions(self) -> list[str]:
        """The functions that something waits for."""
        return names_below(self._kv, b"e")

    def waiting(self, function: str) -> Iterator[Waiting]:
        """What waits for a function, in the order in which it is due."""
        prefix = _prefix(function)
        for key, data in self._kv.scan(prefix, after_prefix(prefix)):
            said, _, payload = data.partition(b"\n")
            due_ms = int.from_bytes(key[len(prefix) : len(prefix) + 8], "big")
            yield Waiting(key, due_ms / 1000, Event(**orjson.loads(said)), payload)

    async def settle(self, waiting: Waiting) -> None:
        """Forget an event whose invocation has come to an end."""
        await self._kv.write_async(lambda transaction: transaction.delete(waiting.key))

    async def put_off(self, waiting: Waiting, seconds: float, *, tries: int, refusals: int) -> None:
        """Have an event wait for so long."""
        due_ms = int((self._clock.now() + seconds) * 1000)
        stem, number = waiting.key[:-16], waiting.key[-8:]
        data = _dump(replace(waiting.event, tries=tries, refusals=refusals), waiting.payload)

        def write(transaction: Transaction) -> None:
            if transaction.delete(waiting.key):
                transaction.put(stem + due_ms.to_bytes(8, "big") + number, data)

        await self._kv.write_async(write)

    def drop(self, function: str) -> None:
        """Forget everything that waits for a function that is gone."""
        prefix = _prefix(function)
        keys = [key for key, _ in self._kv.scan(prefix, after_prefix(prefix))]
        if keys:
            self._kv.write(lambda transaction: [transaction.delete(key) for key in keys])


def _dump(event: Event, payload: bytes) -> bytes:
    return orjson.dumps(event) + b"\n" + payload


def _prefix(function: str) -> bytes:
    return b"e" + function.encode() + b"\0"


def _key(function: str, due_ms: int, number: int) -> bytes:
    return _prefix(function) + due_ms.to_bytes(8, "big") + number.to_bytes(8, "big")
