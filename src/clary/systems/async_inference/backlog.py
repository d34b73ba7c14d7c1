"""The requests of all asynchronous endpoints that are not answered yet, in the key-value domain `async_inference`.

    q <queue> 0 <number>      a request
    b <number>                the body of one that was sent with it
    x <ms> <number>           the queue of a request that expires at that time
    c <queue>                 how many requests it has
    n                         the last number given

A queue is written `<account>/<region>/<endpoint>/<revision>`. A request is on disk when `add` returns, and leaves with
one commit when what became of it is on disk elsewhere: whatever is killed when, each is answered, some of them twice.
"""

from collections.abc import Collection
from dataclasses import replace

from clary.kernel.kv import KeyValue, Transaction, after_prefix, names_below
from clary.kernel.rooms import Platform
from clary.systems.async_inference.records import KV_DOMAIN, Request, dump, load

_AT_ONCE = 200


class Backlog:
    """The queues of a home. Those that write do so from an event loop."""

    def __init__(self, platform: Platform) -> None:
        self._kv: KeyValue = platform.kv(KV_DOMAIN)

    async def add(self, request: Request, body: bytes = b"") -> Request:
        """Queue a request, durably, behind all others; return it with its number."""

        def write(tx: Transaction) -> Request:
            number = _number(tx.get(b"n")) + 1
            queued = replace(request, number=number)
            tx.put(b"n", _packed(number))
            tx.put(_key(queued), dump(queued))
            tx.put(_expiry(queued), queued.queue.encode())
            if body:
                tx.put(b"b" + _packed(number), body)
            _count(tx, queued.queue, 1)
            return queued

        return await self._kv.write_async(write)

    def queues(self) -> list[str]:
        """The queues that have requests."""
        return names_below(self._kv, b"q")

    def first(self, queue: str, limit: int, without: Collection[int] = ()) -> list[Request]:
        """The first requests of a queue in order of arrival, but for those with the numbers `without`."""
        found: list[Request] = []
        prefix = _prefix(queue)
        for key, data in self._kv.scan(prefix, after_prefix(prefix)):
            if len(found) >= limit:
                break
            if _number(key[len(prefix) :]) not in without:
                found.append(load(data))
        return found

    def expired(self, now: float, without: Collection[int] = ()) -> list[Request]:
        """Some of the requests that have waited too long, but for those with the numbers `without`."""
        found = []
        for key, queue in self._kv.scan(b"x", b"x" + _packed(int(now * 1000))):
            number = _number(key[9:])
            data = None if number in without else self._kv.get(_prefix(queue.decode()) + key[9:])
            if data is not None:
                found.append(load(data))
            if len(found) == _AT_ONCE:
                break
        return found

    def body(self, request: Request) -> bytes:
        """The body of a request that was sent with it."""
        return self._kv.get(b"b" + _packed(request.number)) or b""

    def size(self, queue: str) -> int:
        return _number(self._kv.get(_counter(queue)))

    async def note(self, request: Request) -> None:
        """Store a request as it is now, if it still waits."""

        def write(tx: Transaction) -> None:
            if tx.get(_key(request)) is not None:
                tx.put(_key(request), dump(request))

        await self._kv.write_async(write)

    async def settle(self, request: Request) -> bool:
        """Forget a request whose end is on disk elsewhere; whether it was still there."""

        def write(tx: Transaction) -> bool:
            if not tx.delete(_key(request)):
                return False
            tx.delete(_expiry(request))
            tx.delete(b"b" + _packed(request.number))
            _count(tx, request.queue, -1)
            return True

        return await self._kv.write_async(write)


def _count(tx: Transaction, queue: str, change: int) -> None:
    size = _number(tx.get(_counter(queue))) + change
    if size > 0:
        tx.put(_counter(queue), _packed(size))
    else:
        tx.delete(_counter(queue))


def _counter(queue: str) -> bytes:
    return b"c" + queue.encode()


def _prefix(queue: str) -> bytes:
    return b"q" + queue.encode() + b"\0"


def _key(request: Request) -> bytes:
    return _prefix(request.queue) + _packed(request.number)


def _expiry(request: Request) -> bytes:
    return b"x" + _packed(int(request.expires_at * 1000)) + _packed(request.number)


def _packed(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _number(data: bytes | None) -> int:
    return int.from_bytes(data or b"", "big")
