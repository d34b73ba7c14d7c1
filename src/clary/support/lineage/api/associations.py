"""Associations: edges between artifacts, actions, contexts and the trial components of jobs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import DEFAULT_RESULTS, epoch_seconds
from clary.kernel.store import AlreadyExists
from clary.kernel.wire import bad_token, page_asked, page_output
from clary.support.lineage import vertices
from clary.support.lineage.edges import Edge, edge_name, ends
from clary.support.lineage.entities import caller, who
from clary.support.lineage.pages import listed
from clary.support.lineage.records import Association
from clary.support.lineage.resources import read_reference

_SORTED_AT_MOST = 20_000
_KEYS: Mapping[str, Callable[[Edge], str]] = {
    "SourceArn": lambda edge: ends(edge)[0],
    "DestinationArn": lambda edge: ends(edge)[1],
    "SourceType": lambda edge: edge.value.source_type,
    "DestinationType": lambda edge: edge.value.destination_type,
}


@operation("sagemaker", "AddAssociation", resource="{SourceArn}")
def add_association(ctx: Context, *, SourceArn: str, DestinationArn: str, AssociationType: str = "") -> dict[str, Any]:
    """Associate two entities that exist. There is one association from a source to a destination."""
    source, destination = _both(ctx, SourceArn, DestinationArn)
    if source == destination:
        raise validation(f"{SourceArn} cannot be associated with itself.")
    if _is_of_experiments(source) and _is_of_experiments(destination):
        raise validation("An association cannot be made between two experiment entities; one end must be lineage's.")
    first, second = vertices.get(ctx, source), vertices.get(ctx, destination)
    table, name = ctx.records(Association), edge_name(source, destination)
    try:
        table.create(name, Association(AssociationType, first.type, second.type, caller(ctx)), parent=destination)
    except AlreadyExists:
        raise validation(f"An association from {SourceArn} to {DestinationArn} already exists.") from None
    for reference in (source, destination):
        if vertices.find(ctx, reference) is None:  # deleted in between
            table.delete(name)
            vertices.get(ctx, reference)
    return {"SourceArn": SourceArn, "DestinationArn": DestinationArn}


@operation("sagemaker", "DeleteAssociation", resource="{SourceArn}")
def delete_association(ctx: Context, *, SourceArn: str, DestinationArn: str) -> dict[str, Any]:
    source, destination = _both(ctx, SourceArn, DestinationArn)
    if not ctx.records(Association).delete(edge_name(source, destination)):
        raise AwsError("ResourceNotFound", f"There is no association from {SourceArn} to {DestinationArn}.")
    return {"SourceArn": SourceArn, "DestinationArn": DestinationArn}


@operation("sagemaker", "ListAssociations")
def list_associations(
    ctx: Context,
    *,
    SourceArn: str | None = None,
    DestinationArn: str | None = None,
    SourceType: str | None = None,
    DestinationType: str | None = None,
    AssociationType: str | None = None,
    SortBy: str | None = None,
    **request: Any,
) -> dict[str, Any]:
    """Associations by their ends, the types of those, their own type and their age; newest first by default."""
    filters: dict[str, Any] = {}
    if SourceArn is not None:
        filters["name_prefix"] = edge_name(read_reference(ctx, SourceArn), "")
    if DestinationArn is not None:
        filters["parent"] = read_reference(ctx, DestinationArn)
    wanted = {"source_type": SourceType, "destination_type": DestinationType, "type": AssociationType}
    asked = [(member, value) for member, value in wanted.items() if value is not None]

    def keep(edge: Edge) -> bool:
        return all(getattr(edge.value, member) == value for member, value in asked)

    def show(edge: Edge) -> dict[str, Any]:
        return _summary(ctx, edge)

    if SortBy is not None and SortBy in _KEYS:
        return _sorted(ctx, request, filters, keep, _KEYS[SortBy], show)
    return listed(ctx, Association, request, show, keep=keep if asked else None, **filters)


def _both(ctx: Context, source_arn: str, destination_arn: str) -> tuple[str, str]:
    """The references of both ends; who may act on the one must be allowed to act on the other, too."""
    source, destination = read_reference(ctx, source_arn), read_reference(ctx, destination_arn)
    vertices.require(ctx, destination)
    return source, destination


def _is_of_experiments(reference: str) -> bool:
    return reference.startswith("experiment")


def _summary(ctx: Context, edge: Edge) -> dict[str, Any]:
    source, destination = ends(edge)
    return {
        "SourceArn": ctx.arn(source),
        "DestinationArn": ctx.arn(destination),
        "SourceType": edge.value.source_type,
        "DestinationType": edge.value.destination_type,
        "AssociationType": edge.value.type or None,
        "SourceName": vertices.name_of(ctx, source) or None,
        "DestinationName": vertices.name_of(ctx, destination) or None,
        "CreationTime": edge.created_at,
        "CreatedBy": who(edge.value.created_by),
    }


def _sorted(
    ctx: Context,
    request: Mapping[str, Any],
    filters: Mapping[str, Any],
    keep: Callable[[Edge], bool],
    key: Callable[[Edge], str],
    show: Callable[[Edge], dict[str, Any]],
) -> dict[str, Any]:
    """A page in an order that no index has: all that match are read and sorted."""
    limit, position = page_asked(ctx.operation, request, DEFAULT_RESULTS)
    descending = request.get("SortOrder") != "Ascending"
    found = sorted(
        ((key(edge), edge.name, edge) for edge in _some(ctx, request, filters) if keep(edge)), reverse=descending
    )
    if position is not None:
        match position:
            case [str(value), str(name)]:
                behind = (value, name)
            case _:
                raise bad_token(ctx.operation)
        found = [one for one in found if (one[:2] < behind if descending else one[:2] > behind)]
    page = found[:limit]
    return page_output(ctx.operation, [show(edge) for _, _, edge in page], page[-1][:2] if len(found) > limit else None)


def _some(ctx: Context, request: Mapping[str, Any], filters: Mapping[str, Any]) -> Sequence[Edge]:
    bounds = {"CreatedAfter": "created_after", "CreatedBefore": "created_before"}
    times = {name: epoch_seconds(request[member]) for member, name in bounds.items() if request.get(member) is not None}
    edges = ctx.records(Association).all(limit=_SORTED_AT_MOST + 1, **times, **filters)
    if len(edges) > _SORTED_AT_MOST:
        raise validation(
            f"More than {_SORTED_AT_MOST:,} associations would have to be sorted: give SourceArn or DestinationArn, "
            "narrow CreatedAfter and CreatedBefore, or sort by CreationTime."
        )
    return edges
