"""What happens to messages: sent, received, deleted, hidden, moved; each within one transaction.

A change returns with it the ARN of every queue that has something new, whose waiting receivers are to be woken.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.kv import Transaction
from clary.support.sqs.handles import Handle, invalid_handle
from clary.support.sqs.keys import deduplication_key, expiry_key, number, queue_key, read_number
from clary.support.sqs.lookup import invalid_value
from clary.support.sqs.piles import Pile
from clary.support.sqs.records import Message, Queue, State, read_queue

LONGEST_VISIBILITY_SECONDS = 43_200
_REMEMBERED_MS = 300_000
_MOST_LOOKED_AT = 1000


class Sent(NamedTuple):
    """What a send answers. A repeated one answers what the first did."""

    message_id: str
    sequence_number: str | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message in flight."""

    message: Message
    state: State
    handle: Handle


@dataclass(frozen=True, slots=True)
class Asked:
    """What a receive asks for."""

    limit: int
    hidden_ms: int
    attempt: str = ""


def send(tx: Transaction, queue: Queue, message: Message, delay_ms: int, now_ms: int) -> Sent:
    """Put a message into a queue, unless it is FIFO and was sent the same in the last five minutes."""
    if not queue.is_fifo:
        Pile(tx, queue).add(message, now_ms + delay_ms)
        return Sent(message.id, None)
    scope = message.group if queue.attributes.get("DeduplicationScope") == "messageGroup" else ""
    key = deduplication_key(queue.id, scope, message.deduplication_id)
    known = tx.get(key)
    if known is not None and read_number(known[:8]) > now_ms:
        return Sent(*orjson.loads(known[8:]))
    pile = Pile(tx, queue)
    sent = Sent(message.id, f"{pile.add(message, now_ms + delay_ms):020d}")
    pile.settle(message.group)
    remember(tx, key, orjson.dumps(list(sent)), now_ms + _REMEMBERED_MS)
    return sent


def remember(tx: Transaction, key: bytes, value: bytes, until_ms: int) -> None:
    """Keep a value that is of no use, and swept away, after `until_ms`; it is stored behind that time."""
    tx.put(key, number(until_ms) + value)
    tx.put(expiry_key(until_ms, key), b"")


def receive(tx: Transaction, queue: Queue, asked: Asked, now_ms: int) -> tuple[list[Received], set[str]]:
    """Take messages that are visible and hide them; dead letters go where they belong, expired ones go."""
    pile = Pile(tx, queue)
    if queue.is_fifo and asked.attempt:
        again = _receive_again(pile, queue, asked, now_ms)
        if again:
            return again, set()
    taking = _Taking(tx, queue, pile, asked, now_ms)
    if queue.is_fifo:
        for group in pile.ready_groups(now_ms, _MOST_LOOKED_AT):
            taking.take(_while_visible(pile, list(pile.in_group(group)), now_ms))
            pile.settle(group)
            if taking.is_full:
                break
    else:
        looked_at = 0
        while not taking.is_full and looked_at < _MOST_LOOKED_AT:
            found = pile.visible(now_ms, asked.limit)
            if not found:
                break
            looked_at += len(found)
            taking.take(iter(found))
    if asked.attempt and taking.received:
        given = orjson.dumps([[each.handle.seq, each.state.receipt.hex()] for each in taking.received])
        until_ms = now_ms + _REMEMBERED_MS
        key = pile.remember_attempt(asked.attempt, number(until_ms) + given)
        tx.put(expiry_key(until_ms, key), b"")
    return taking.received, taking.fed


class _Taking:
    """One receive under way."""

    def __init__(self, tx: Transaction, queue: Queue, pile: Pile, asked: Asked, now_ms: int) -> None:
        self.received: list[Received] = []
        self.fed: set[str] = set()
        self._tx = tx
        self._queue = queue
        self._pile = pile
        self._asked = asked
        self._now_ms = now_ms
        self._hidden_ms = max(asked.hidden_ms, 0)
        self._expired_ms = now_ms - 1000 * queue.number("MessageRetentionPeriod")
        self._dead_letters, self._most_receives = dead_letter_queue(tx, queue)

    @property
    def is_full(self) -> bool:
        return len(self.received) >= self._asked.limit

    def take(self, candidates: Iterator[int]) -> None:
        for seq in candidates:
            if self.is_full:
                return
            message, state = self._pile.message(seq), self._pile.state(seq)
            assert message is not None
            assert state is not None
            if message.retained_from_ms <= self._expired_ms:
                self._pile.remove(seq, state, message.group)
            elif self._dead_letters is not None and state.receives >= self._most_receives:
                self._pile.remove(seq, state, message.group)
                buried = replace(message, source_arn=message.source_arn or self._queue.arn)
                put_aside(self._tx, self._dead_letters, buried, self._now_ms)
                self.fed.add(self._dead_letters.arn)
            else:
                self._receive(seq, message, state)

    def _receive(self, seq: int, message: Message, state: State) -> None:
        new = State(
            # Hidden for no time at all, a message must still not be seen twice by the same receive.
            self._now_ms + max(self._hidden_ms, 1),
            state.receives + 1,
            state.first_received_ms or self._now_ms,
            self._now_ms,
            secrets.token_bytes(8),
        )
        self._pile.change(seq, state, new)
        handle = Handle(self._queue.id, self._queue.pile, seq, new.receipt)
        self.received.append(Received(message, new, handle))


def _while_visible(pile: Pile, candidates: Sequence[int], now_ms: int) -> Iterator[int]:
    for seq in candidates:
        state = pile.state(seq)
        if state is None or state.visible_ms > now_ms:
            return
        yield seq


def _receive_again(pile: Pile, queue: Queue, asked: Asked, now_ms: int) -> list[Received]:
    """What the same attempt was given before, hidden anew: what of it is neither deleted nor visible again."""
    given = pile.attempt(asked.attempt)
    if given is None or read_number(given[:8]) <= now_ms:
        return []
    found = []
    for seq, receipt in orjson.loads(given[8:]):
        message, state = pile.message(seq), pile.state(seq)
        if message is None or state is None or state.receipt.hex() != receipt or state.visible_ms <= now_ms:
            continue
        new = state._replace(visible_ms=now_ms + max(asked.hidden_ms, 1))
        pile.change(seq, state, new)
        found.append(Received(message, new, Handle(queue.id, queue.pile, seq, new.receipt)))
    for group in {each.message.group for each in found}:
        pile.settle(group)
    return found


def put_aside(tx: Transaction, target: Queue, message: Message, now_ms: int) -> None:
    """Move a message into another queue. In a standard queue it keeps its age; in a FIFO queue it starts anew."""
    pile = Pile(tx, target)
    if target.is_fifo:
        pile.add(replace(message, retained_from_ms=now_ms), now_ms)
        pile.settle(message.group)
    else:
        pile.add(message, now_ms, keeps_its_age=message.retained_from_ms < now_ms)


def take_out(pile: Pile, seq: int) -> None:
    """Remove a message, whatever its state."""
    message, state = pile.message(seq), pile.state(seq)
    assert message is not None
    assert state is not None
    pile.remove(seq, state, message.group)
    pile.settle(message.group)


def dead_letter_queue(tx: Transaction, queue: Queue) -> tuple[Queue | None, int]:
    """Where a queue's dead letters go, and after how many receives; no queue when it has none or it is gone."""
    redrive = queue.document("RedrivePolicy")
    if not redrive:
        return None, 0
    arn = parse_arn(redrive["deadLetterTargetArn"])
    data = tx.get(queue_key(arn.account, arn.region, arn.resource))
    if data is None:
        return None, 0
    target = read_queue(data)
    return (target if allows_source(target, queue.arn) else None), int(redrive["maxReceiveCount"])


def allows_source(target: Queue, source_arn: str) -> bool:
    """Whether a queue lets another use it for dead letters."""
    allow = target.document("RedriveAllowPolicy")
    permission = allow.get("redrivePermission", "allowAll")
    return permission == "allowAll" or (permission == "byQueue" and source_arn in allow.get("sourceQueueArns", ()))


def delete(tx: Transaction, queue: Queue, handle: Handle, text: str, now_ms: int) -> bool:
    """Delete a message by one of its receives; say whether a group has more to receive now.

    A handle that a later receive replaced deletes nothing: like on AWS, that is no error in a standard queue.
    """
    pile, state = _by_handle(tx, queue, handle, text)
    if state is None:
        return False
    message = pile.message(handle.seq)
    assert message is not None
    is_current = state.receipt == handle.receipt
    if queue.is_fifo and (not is_current or state.visible_ms <= now_ms):
        raise _expired_handle(text)
    if not is_current:
        return False
    pile.remove(handle.seq, state, message.group)
    pile.settle(message.group)
    return queue.is_fifo


def hide(tx: Transaction, queue: Queue, handle: Handle, text: str, seconds: int, now_ms: int) -> None:
    """Change when a message in flight is visible again: so many seconds from now."""
    pile, state = _by_handle(tx, queue, handle, text)
    if state is None or state.receipt != handle.receipt:
        raise invalid_value(
            f"Value {text} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available "
            "for visibility timeout change."
        )
    if state.visible_ms <= now_ms:
        raise AwsError("MessageNotInflight", f"The message of receipt handle {text} is not in flight.")
    if now_ms + 1000 * seconds - state.received_ms > 1000 * LONGEST_VISIBILITY_SECONDS:
        raise invalid_value(
            f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the "
            f"message is beyond the limit [{LONGEST_VISIBILITY_SECONDS} seconds]"
        )
    pile.change(handle.seq, state, state._replace(visible_ms=now_ms + 1000 * seconds))
    if queue.is_fifo:
        message = pile.message(handle.seq)
        assert message is not None
        pile.settle(message.group)


def _by_handle(tx: Transaction, queue: Queue, handle: Handle, text: str) -> tuple[Pile, State | None]:
    if handle.queue != queue.id:
        raise invalid_handle(text)
    pile = Pile(tx, queue)
    return pile, pile.state(handle.seq) if handle.pile == queue.pile else None


def _expired_handle(text: str) -> AwsError:
    return invalid_value(
        f"Value {text} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    )
