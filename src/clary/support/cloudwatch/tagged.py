"""Deleting what has tags, so that both go together."""

from typing import TypeVar

from clary.kernel.rooms import Context
from clary.kernel.rooms.tags import tags_without
from clary.kernel.store import Conflict, Table

T = TypeVar("T")

_MAX_TRIES = 20


def forget(ctx: Context, table: Table[T], name: str, arn: str) -> None:
    """Remove a record and its tags; nothing happens when it is gone already."""
    for _ in range(_MAX_TRIES):
        if table.get(name) is None:
            return
        try:
            table.delete(name, also=tags_without(ctx.platform, arn))
            return
        except Conflict:  # Someone tagged it, or deleted it, at the same time.
            continue
    raise Conflict(arn)
