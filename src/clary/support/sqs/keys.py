"""Where things lie in the key-value domain `sqs`.

q <account> 0 <region> 0 <name>     a queue
n                                   the last number given to a queue or a pile
p <pile> <kind> ...                 what belongs to a pile of messages, see `piles`
d <queue> <deduplication id>        a message sent within the last five minutes
x <ms> <key>                        a key to delete when that time has come
t <pile>                            a pile that nobody can reach any more
"""

from clary.kernel.kv import after_prefix

LAST_NUMBER = b"n"
QUEUES = b"q"
EXPIRIES = b"x"
TRASH = b"t"


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def read_number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def queue_key(account: str, region: str, name: str) -> bytes:
    return QUEUES + f"{account}\0{region}\0{name}".encode()


def pile_key(pile: int) -> bytes:
    return b"p" + number(pile)


def deduplication_key(queue: int, scope: str, deduplication_id: str) -> bytes:
    return b"d" + number(queue) + f"{scope}\0{deduplication_id}".encode()


def expiry_key(at_ms: int, key: bytes) -> bytes:
    return EXPIRIES + number(at_ms) + key


def trash_key(pile: int) -> bytes:
    return TRASH + number(pile)


def below(prefix: bytes) -> tuple[bytes, bytes | None]:
    """The bounds of a scan over every key with this prefix."""
    return prefix, after_prefix(prefix)
