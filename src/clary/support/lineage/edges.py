"""Associations as edges: named by both ends, found from either."""

from collections.abc import Sequence

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


def leaving(ctx: Context, reference: str, limit: int) -> Sequence[Edge]:
    """Up to `limit` associations whose source this is, in the order of their destinations."""
    return ctx.records(Association).all(name_prefix=edge_name(reference, ""), limit=limit)


def arriving(ctx: Context, reference: str, limit: int) -> Sequence[Edge]:
    """Up to `limit` associations whose destination this is, in the order of their sources."""
    return ctx.records(Association).all(parent=reference, limit=limit)


def touching(ctx: Context, reference: str, limit: int) -> Sequence[Edge]:
    """Some associations of an entity, at most `limit` of each direction."""
    return [*leaving(ctx, reference, limit), *arriving(ctx, reference, limit)]
