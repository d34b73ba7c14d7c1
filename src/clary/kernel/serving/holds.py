"""Instances that are not to be stopped yet, because a long request runs on them.

Whoever sends requests that may take longer than an invocation holds the instance, until a time by which all of them
must be over, and lets go of it when they are. Whoever runs the servers asks before it stops one that is to leave.
"""

from collections.abc import Collection

from clary.kernel.kv import KeyValue, Transaction, after_prefix

_PREFIX = b"hold/"


async def hold(kv: KeyValue, instance: str, until: float) -> None:
    """Ask, durably, that an instance stay until this time, in epoch seconds; replaces what was asked before."""
    value = str(until).encode()
    await kv.write_async(lambda transaction: transaction.put(_PREFIX + instance.encode(), value))


async def let_go(kv: KeyValue, instances: Collection[str]) -> None:
    """Take back what was asked for instances; those that nobody holds are no error."""

    def change(transaction: Transaction) -> None:
        for instance in instances:
            transaction.delete(_PREFIX + instance.encode())

    await kv.write_async(change)


def held_until(kv: KeyValue, instance: str) -> float:
    """The time until which an instance is to stay, in epoch seconds; 0 when nobody holds it."""
    found = kv.get(_PREFIX + instance.encode())
    return 0.0 if found is None else float(found)


def all_held(kv: KeyValue) -> list[str]:
    """Every instance that somebody holds."""
    return [key.removeprefix(_PREFIX).decode() for key, _ in kv.scan(_PREFIX, after_prefix(_PREFIX))]
