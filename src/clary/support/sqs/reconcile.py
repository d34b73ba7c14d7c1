"""Move messages that are asked to move, and take from the disk what nobody can reach any more."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.kv import KeyValue, Transaction
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.store import Conflict, Entry
from clary.support.sqs.keys import (
    EXPIRIES,
    QUEUES,
    TRASH,
    below,
    expiry_key,
    number,
    pile_key,
    read_number,
)
from clary.support.sqs.lookup import domain, key_of_arn, read
from clary.support.sqs.messages import put_aside, take_out
from clary.support.sqs.piles import Pile, PileView
from clary.support.sqs.records import Message, MoveTask, Queue, read_queue

_AT_ONCE = 500
_SECOND = 1.0


@reconciler("sqs", every_seconds=60.0)
def sweep(platform: Platform, key: str | None) -> None:
    """Delete expired messages, what purged and deleted queues held, and what was remembered for five minutes."""
    kv, now_ms = domain(platform), int(platform.clock.now() * 1000)
    for trash, _ in kv.scan(*below(TRASH)):
        prefix = pile_key(read_number(trash[len(TRASH) :]))
        while _delete_some(kv, prefix):
            continue
        _delete(kv, [trash])
    for queue_at, data in kv.scan(*below(QUEUES)):
        _expire(kv, queue_at, read_queue(data), now_ms)
    while kv.write(lambda tx: _forget_some(tx, now_ms)):
        continue


def _delete_some(kv: KeyValue, prefix: bytes) -> int:
    keys = [key for key, _ in kv.scan(*below(prefix), limit=_AT_ONCE)]
    if keys:
        _delete(kv, keys)
    return len(keys)


def _delete(kv: KeyValue, keys: list[bytes]) -> None:
    kv.write(lambda tx: [tx.delete(key) for key in keys])


def _expire(kv: KeyValue, queue_at: bytes, queue: Queue, now_ms: int) -> None:
    until_ms = now_ms + 1 - 1000 * queue.number("MessageRetentionPeriod")
    while kv.read(lambda snapshot: PileView(snapshot, queue).sequence(until_ms=until_ms, limit=1)):
        if not kv.write(lambda tx: _expire_some(tx, queue_at, until_ms)):
            return


def _expire_some(tx: Transaction, queue_at: bytes, until_ms: int) -> int:
    data = tx.get(queue_at)
    if data is None:
        return 0
    pile = Pile(tx, read_queue(data))
    expired = pile.sequence(until_ms=until_ms, limit=_AT_ONCE)
    for seq in expired:
        take_out(pile, seq)
    return len(expired)


def _forget_some(tx: Transaction, now_ms: int) -> int:
    start, _ = below(EXPIRIES)
    due = [key for key, _ in tx.scan(start, expiry_key(now_ms, b""), limit=_AT_ONCE)]
    for key in due:
        tx.delete(key)
        remembered = key[len(start) + 8 :]
        value = tx.get(remembered)
        if value is not None and value[:8] <= number(now_ms):
            tx.delete(remembered)
    return len(due)


@reconciler("sqs_moves", every_seconds=5.0)
def move_messages(platform: Platform, key: str | None) -> float | None:
    """Carry on every move task that is under way: at once, or as many messages a second as it was asked for."""
    again = False
    for entry in platform.records(MoveTask).all(status=("RUNNING", "CANCELLING")):
        if key in {None, entry.name}:
            again |= _carry_on(platform, entry)
    return _SECOND if again else None


def _carry_on(platform: Platform, entry: Entry[MoveTask]) -> bool:
    """Move what may be moved now; say whether there will be more in a second."""
    table = platform.records(MoveTask).within(entry.account, entry.region)
    task = entry.value
    while entry.status == "RUNNING":
        moved = Moved(0, frozenset())
        try:
            moved = domain(platform).write(_moving(task, int(platform.clock.now() * 1000)))
        except AwsError as error:
            task, status = replace(task, failure=error.message), "FAILED"
        else:
            task = replace(task, moved=task.moved + moved.messages)
            status = "RUNNING" if moved.messages else "COMPLETED"
        for arn in moved.fed:
            platform.bells("sqs").ring(arn.encode())
        try:
            entry = table.replace(entry, task, status=status)
        except Conflict:
            return True  # it was cancelled meanwhile: look at it again
        if task.per_second and status == "RUNNING":
            return True
    if entry.status == "CANCELLING":
        table.replace(entry, task, status="CANCELLED")
    return False


class Moved(NamedTuple):
    """How many messages were moved, and the ARNs of the queues they went to."""

    messages: int
    fed: frozenset[str]


def _moving(task: MoveTask, now_ms: int) -> Callable[[Transaction], Moved]:
    def move(tx: Transaction) -> Moved:
        pile = Pile(tx, read(tx, key_of_arn(task.source_arn)))
        count, fed = 0, set()
        for seq in pile.sequence(limit=task.per_second or _AT_ONCE):
            if seq > task.last:
                break
            message = pile.message(seq)
            assert message is not None
            try:
                target = _target(tx, task, message)
            except AwsError:
                if count:
                    break  # what could be moved is; the next round says why no more can
                raise
            take_out(pile, seq)
            new = replace(message, id=new_uuid(), source_arn="", sent_at_ms=now_ms, retained_from_ms=now_ms)
            put_aside(tx, target, new, now_ms)
            count += 1
            fed.add(target.arn)
        return Moved(count, frozenset(fed))

    return move


def _target(tx: Transaction, task: MoveTask, message: Message) -> Queue:
    arn = task.destination_arn or message.source_arn
    if not arn:
        raise AwsError("CouldNotDetermineMessageSource", "CouldNotDetermineMessageSource")
    return read(tx, key_of_arn(arn))
