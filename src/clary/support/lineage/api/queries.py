"""QueryLineage: what an entity came from, and what came of it."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import epoch_seconds
from clary.kernel.wire import bad_token, decode_token, encode_token
from clary.support.lineage import edges, vertices
from clary.support.lineage.logic_search import Follow, Place, Step, TooLarge, search
from clary.support.lineage.resources import read_reference

_MOST_DEPTH = 10
_MOST_RESULTS = 50
_MOST_STEPS = 50_000


@operation("sagemaker", "QueryLineage")
def query_lineage(
    ctx: Context,
    *,
    StartArns: list[str] | None = None,
    Direction: str = "Both",
    IncludeEdges: bool = True,
    Filters: dict[str, Any] | None = None,
    MaxDepth: int = _MOST_DEPTH,
    MaxResults: int = _MOST_RESULTS,
    NextToken: str | None = None,
) -> dict[str, Any]:
    """Entities that are connected with one, nearest first, with the edges of the paths to them."""
    if not StartArns:
        raise validation("StartArns must name the one entity to start from.")
    for name, value in (("MaxDepth", MaxDepth), ("MaxResults", MaxResults)):
        if value < 1:
            raise validation(f"{name} must be at least 1, not {value}.")
    start = vertices.get(ctx, read_reference(ctx, StartArns[0]))
    try:
        page = search(
            start.reference,
            _follow(ctx, Direction),
            _wanted(ctx, Filters or {}),
            depth=MaxDepth,
            limit=MaxResults,
            behind=_behind(ctx, NextToken),
            most_steps=_MOST_STEPS,
        )
    except TooLarge:
        raise validation(
            f"The query comes upon more than {_MOST_STEPS:,} associations: lower MaxDepth, or give the Direction "
            "Ascendants or Descendants."
        ) from None
    types = {**page.types, start.reference: start.type}
    output: dict[str, Any] = {
        "Vertices": [_vertex(ctx, one, types[one]) for one in (page.among if IncludeEdges else page.found)],
        "Edges": [_edge(ctx, step) for step in page.steps] if IncludeEdges else [],
    }
    if page.last is not None:
        output["NextToken"] = encode_token(ctx.operation, list(page.last))
    return output


def _follow(ctx: Context, direction: str) -> Follow:
    """The associations to go along from an entity: against them to ascendants, with them to descendants."""

    def follow(reference: str, after: str) -> Iterator[Step]:
        ways: list[Iterable[Step]] = []
        if direction != "Ascendants":
            ways.append(_step(edge, reference) for edge in edges.leaving(ctx, reference, after))
        if direction != "Descendants":
            ways.append(_step(edge, reference) for edge in edges.arriving(ctx, reference, after))
        return heapq.merge(*ways, key=lambda step: step.to)

    return follow


def _step(edge: edges.Edge, at: str) -> Step:
    (source, destination), held = edges.ends(edge), edge.value
    to, to_type = (destination, held.destination_type) if at == source else (source, held.source_type)
    return Step(source, destination, held.type, at, to, to_type)


def _wanted(ctx: Context, filters: Mapping[str, Any]) -> Callable[[str, str], bool] | None:
    """Whether an entity passes the filters; None without any. Times and properties cost a look at the entity."""
    kinds, types = filters.get("LineageTypes"), filters.get("Types")
    properties = filters.get("Properties") or {}
    times = {
        name: epoch_seconds(filters[name])
        for name in ("CreatedAfter", "CreatedBefore", "ModifiedAfter", "ModifiedBefore")
        if filters.get(name) is not None
    }
    if not (kinds or types or properties or times):
        return None

    def wanted(reference: str, type_name: str) -> bool:
        if kinds and vertices.lineage_type(reference) not in kinds:
            return False
        if types and vertices.type_shown(type_name) not in types:
            return False
        if not (properties or times):
            return True
        found = vertices.find(ctx, reference)
        if found is None:
            return False
        created, modified = found.created_at, found.updated_at
        return (
            times.get("CreatedAfter", created) <= created <= times.get("CreatedBefore", created)
            and times.get("ModifiedAfter", modified) <= modified <= times.get("ModifiedBefore", modified)
            and (not properties or any(found.properties.get(key) == value for key, value in properties.items()))
        )

    return wanted


def _behind(ctx: Context, token: str | None) -> Place | None:
    if not token:
        return None
    match decode_token(ctx.operation, token):
        case [int(distance), str(reference)]:
            return distance, reference
    raise bad_token(ctx.operation)


def _vertex(ctx: Context, reference: str, type_name: str) -> dict[str, Any]:
    return {
        "Arn": ctx.arn(reference),
        "Type": vertices.type_shown(type_name) or None,
        "LineageType": vertices.lineage_type(reference),
    }


def _edge(ctx: Context, step: Step) -> dict[str, Any]:
    return {
        "SourceArn": ctx.arn(step.source),
        "DestinationArn": ctx.arn(step.destination),
        "AssociationType": step.type or None,
    }
