"""A pile: the messages of one queue, in one transaction.

Below the pile's key lie, by kind:

    c                        how many messages there are, and the last sequence number given
    m <seq>                  a message as it was sent
    s <seq>                  its state
    v <ms> <seq>             when it is visible; "d" for one that is delayed, "f" for one that was received
    g <group> 0 <seq>        FIFO: the messages of a group, in order
    r <ms> <seq>             FIFO: when a group can be received from, and its first message
    h <group>                FIFO: the `r` of a group
    a <attempt>              FIFO: what a receive attempt was given

A sequence number is the millisecond from which the message is retained, shifted by 22 bits, and a counter: so the
messages that expire first come first, and in a FIFO queue those that were sent first.
"""

import struct
from collections.abc import Iterator

from clary.kernel.kv import Snapshot, Transaction
from clary.support.sqs.keys import below, number, pile_key, read_number
from clary.support.sqs.records import Message, Queue, State, read_message, read_state

_COUNTER = struct.Struct(">QQ")
_SEQUENCE_BITS = 22
_DELAYED, _RECEIVED = b"d", b"f"


class PileView:
    """A pile to look at."""

    def __init__(self, tx: Snapshot, queue: Queue) -> None:
        self._snapshot = tx
        self._fifo = queue.is_fifo
        self._key = pile_key(queue.pile)

    def count(self) -> int:
        return self._counter()[0]

    def last(self) -> int:
        """The last sequence number given."""
        return self._counter()[1]

    def counts(self, now_ms: int) -> tuple[int, int, int]:
        """How many messages are visible, in flight, and delayed."""
        delayed = received = 0
        start, end = below(self._key + b"v")
        for _, kind in self._snapshot.scan(start + number(now_ms + 1), end):
            if kind == _DELAYED:
                delayed += 1
            else:
                received += 1
        return max(0, self.count() - delayed - received), received, delayed

    def next_ms(self) -> int | None:
        """When something can be received, past or to come."""
        start, end = below(self._key + (b"r" if self._fifo else b"v"))
        for key, _ in self._snapshot.scan(start, end, limit=1):
            return read_number(key[len(start) : len(start) + 8])
        return None

    def message(self, seq: int) -> Message | None:
        data = self._snapshot.get(self._key + b"m" + number(seq))
        return None if data is None else read_message(data)

    def state(self, seq: int) -> State | None:
        data = self._snapshot.get(self._key + b"s" + number(seq))
        return None if data is None else read_state(data)

    def sequence(self, *, after: int = 0, until_ms: int | None = None, limit: int | None = None) -> list[int]:
        """The messages behind a sequence number, those retained from before `until_ms` only."""
        start, end = below(self._key + b"m")
        stop = end if until_ms is None else start + number(until_ms << _SEQUENCE_BITS)
        found = self._snapshot.scan(start + number(after + 1), stop, limit=limit)
        return [read_number(key[len(start) :]) for key, _ in found]

    def visible(self, now_ms: int, limit: int) -> list[int]:
        """The messages that have been visible longest."""
        start, _ = below(self._key + b"v")
        found = self._snapshot.scan(start, start + number(now_ms + 1), limit=limit)
        return [read_number(key[-8:]) for key, _ in found]

    def ready_groups(self, now_ms: int, limit: int) -> list[str]:
        """The groups that can be received from, longest ready first."""
        start, _ = below(self._key + b"r")
        return [group.decode() for _, group in self._snapshot.scan(start, start + number(now_ms + 1), limit=limit)]

    def in_group(self, group: str) -> Iterator[int]:
        """The messages of a group, in order."""
        start, end = below(self._key + b"g" + group.encode() + b"\0")
        for key, _ in self._snapshot.scan(start, end):
            yield read_number(key[-8:])

    def _counter(self) -> tuple[int, int]:
        data = self._snapshot.get(self._key + b"c")
        return (0, 0) if data is None else _COUNTER.unpack(data)


class Pile(PileView):
    """A pile to change. Whoever changes messages of a FIFO group must `settle` the group before the commit."""

    def __init__(self, tx: Transaction, queue: Queue) -> None:
        super().__init__(tx, queue)
        self._tx = tx

    def add(self, message: Message, visible_ms: int, *, keeps_its_age: bool = False) -> int:
        """Put a message in; return its sequence number. One that keeps its age goes among those as old."""
        count, last = self._counter()
        seq = message.retained_from_ms << _SEQUENCE_BITS
        if not keeps_its_age:
            seq = max(seq, last + 1)
        while keeps_its_age and self._tx.get(self._key + b"s" + number(seq)) is not None:
            seq += 1
        if self._fifo:
            self._tx.put(self._key + b"g" + message.group.encode() + b"\0" + number(seq), b"")
        self._tx.put(self._key + b"c", _COUNTER.pack(count + 1, max(seq, last)))
        self._tx.put(self._key + b"m" + number(seq), message.dump())
        self._write(seq, State(visible_ms))
        return seq

    def change(self, seq: int, old: State, new: State) -> None:
        self._tx.delete(self._key + b"v" + number(old.visible_ms) + number(seq))
        self._write(seq, new)

    def remove(self, seq: int, state: State, group: str) -> None:
        count, last = self._counter()
        self._tx.put(self._key + b"c", _COUNTER.pack(count - 1, last))
        self._tx.delete(self._key + b"m" + number(seq))
        self._tx.delete(self._key + b"s" + number(seq))
        self._tx.delete(self._key + b"v" + number(state.visible_ms) + number(seq))
        if self._fifo:
            self._tx.delete(self._key + b"g" + group.encode() + b"\0" + number(seq))

    def settle(self, group: str) -> None:
        """Work out when a group can next be received from: when none of its messages is in flight any more.

        Those that were received stand at its head, because a receive takes them from there. A standard queue has no
        groups to settle.
        """
        if not self._fifo:
            return
        holder = self._key + b"h" + group.encode()
        old = self._tx.get(holder)
        if old is not None:
            self._tx.delete(self._key + b"r" + old)
        head = ready_ms = 0
        for seq in self.in_group(group):
            state = self.state(seq)
            assert state is not None
            if head and not state.receives:
                break
            head, ready_ms = head or seq, max(ready_ms, state.visible_ms)
            if not state.receives:
                break
        if head:
            place = number(ready_ms) + number(head)
            self._tx.put(holder, place)
            self._tx.put(self._key + b"r" + place, group.encode())
        elif old is not None:
            self._tx.delete(holder)

    def remember_attempt(self, attempt: str, given: bytes) -> bytes:
        """Note what a receive attempt was given; return the key of the note."""
        key = self._key + b"a" + attempt.encode()
        self._tx.put(key, given)
        return key

    def attempt(self, attempt: str) -> bytes | None:
        return self._tx.get(self._key + b"a" + attempt.encode())

    def _write(self, seq: int, state: State) -> None:
        self._tx.put(self._key + b"s" + number(seq), state.dump())
        kind = _RECEIVED if state.receives else _DELAYED
        self._tx.put(self._key + b"v" + number(state.visible_ms) + number(seq), kind)
