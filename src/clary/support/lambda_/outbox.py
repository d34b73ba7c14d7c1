"""What waits to be invoked asynchronously, in the key-value domain `lambda-events`.

    e, n      what `kernel.kv.lanes` keeps: each an Event, behind it the payload, a lane for each function, ordered by
              when they are due

A function is written `<account>/<region>/<name>`. An event leaves when its invocation has come to an end, and what is
told of that has been stored elsewhere: whatever is killed when, each is invoked at least once and none is forgotten.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from clary.kernel.core.clock import Clock
from clary.kernel.kv import KeyValue
from clary.kernel.kv.lanes import Lanes, order_of

DOMAIN = "lambda-events"
TOPIC = "lambda-events"

_LANES = Lanes(b"e")


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
        waiting = [(function, int(event.arrived_at * 1000), _dump(event, payload))]
        await self._kv.write_async(lambda tx: _LANES.add(tx, _LANES.take_numbers(tx), waiting))

    def functions(self) -> list[str]:
        """The functions that something waits for."""
        return _LANES.names(self._kv)

    def waiting(self, function: str) -> Iterator[Waiting]:
        """What waits for a function, in the order in which it is due."""
        for key, data in _LANES.scan(self._kv, function):
            said, _, payload = data.partition(b"\n")
            yield Waiting(key, order_of(key) / 1000, Event(**orjson.loads(said)), payload)

    async def settle(self, waiting: Waiting) -> None:
        """Forget an event whose invocation has come to an end."""
        await self._kv.write_async(lambda tx: _LANES.settle(tx, [waiting.key]))

    async def put_off(self, waiting: Waiting, seconds: float, *, tries: int, refusals: int) -> None:
        """Have an event wait for so long."""
        due_ms = int((self._clock.now() + seconds) * 1000)
        data = _dump(replace(waiting.event, tries=tries, refusals=refusals), waiting.payload)
        await self._kv.write_async(lambda tx: _LANES.settle(tx, (), [(waiting.key, due_ms, data)]))


def _dump(event: Event, payload: bytes) -> bytes:
    return orjson.dumps(event) + b"\n" + payload
