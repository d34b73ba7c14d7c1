"""Associations as edges: named by both ends, found from either, in the order of the other end.

What separates the ends in a name sorts before all that an end may hold, so that the order of names is that of ends.
"""

from collections.abc import Iterator
from itertools import islice

from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.support.lineage.records import Association

Edge = Entry[Association]


def edge_name(source: str, destination: str) -> str:
    """The name of the association between two entities, given by the resource parts of their ARNs."""
    return f"{source} {destination}"


def ends(edge: Edge) -> tuple[str, str]:
    """The source and the destination of an association."""
    source, _, destination = edge.name.partition(" ")
    return source, destination


def leaving(ctx: Context, reference: str, after: str = "") -> Iterator[Edge]:
    """The associations whose source this is, in the order of their destinations, from behind `after` on.

    They are read as they are asked for, some at a time.
    """
    behind = edge_name(reference, after) if after else None
    return ctx.records(Association).scan(after=behind, name_prefix=edge_name(reference, ""))


def arriving(ctx: Context, reference: str, after: str = "") -> Iterator[Edge]:
    """The associations whose destination this is, in the order of their sources, from behind `after` on.

    They are read as they are asked for, some at a time.
    """
    behind = edge_name(after, reference) if after else None
    return ctx.records(Association).scan(after=behind, parent=reference)


def touching(ctx: Context, reference: str, limit: int) -> list[Edge]:
    """Some associations of an entity, at most `limit` of each direction."""
    return [*islice(leaving(ctx, reference), limit), *islice(arriving(ctx, reference), limit)]
