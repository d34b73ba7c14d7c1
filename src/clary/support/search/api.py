"""Search and GetSearchSuggestions over every kind of resource that a room declares as searchable."""

from collections.abc import Iterator, Sequence
from typing import Any

from clary.kernel.core.errors import not_supported, validation
from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.rooms.tags import tag_list, tags_below
from clary.kernel.store import Entry
from clary.kernel.wire import bad_token, page_asked, page_output
from clary.kernel.wire import service as wire_service
from clary.support.search.logic_expressions import check, matches, sort_key

_DEFAULT_RESULTS = 10
_MOST_SUGGESTIONS = 50
_SUGGESTED_FROM = 100


@operation("sagemaker", "Search")
def search(
    ctx: Context,
    *,
    Resource: str,
    SearchExpression: dict[str, Any] | None = None,
    SortBy: str | None = None,
    SortOrder: str | None = None,
    NextToken: str | None = None,
    MaxResults: int | None = None,
    CrossAccountFilterOption: str | None = None,
) -> dict[str, Any]:
    """Find resources of one kind; the newest change first unless asked otherwise."""
    if CrossAccountFilterOption == "CrossAccount":
        raise not_supported("CrossAccountFilterOption CrossAccount", "accounts here share nothing")
    kind = _kind(ctx, Resource)
    expression = SearchExpression or {}
    check(expression)
    asked = {"NextToken": NextToken, "MaxResults": MaxResults}
    limit, position = page_asked(ctx.operation, asked, _DEFAULT_RESULTS)
    by = SortBy or "LastModifiedTime"
    found = [
        ([*sort_key(document, by), name], document)
        for name, document in _documents(ctx, kind, ctx.records(kind.record).all())
        if matches(document, expression)
    ]
    descending = (SortOrder or "Descending") == "Descending"
    try:
        found.sort(key=lambda one: one[0], reverse=descending)
        if position is not None:
            found = [one for one in found if (one[0] < position if descending else one[0] > position)]
    except TypeError:
        raise bad_token(ctx.operation) from None
    page = found[:limit]
    more = page[-1][0] if len(found) > limit else None
    member = _record_member(Resource)
    return page_output(ctx.operation, [{member: document} for _, document in page], more)


@operation("sagemaker", "GetSearchSuggestions")
def get_search_suggestions(
    ctx: Context,
    *,
    Resource: str,
    SuggestionQuery: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Properties that resources of the kind really have, whose names contain the hint."""
    kind = _kind(ctx, Resource)
    hint = ((SuggestionQuery or {}).get("PropertyNameQuery") or {}).get("PropertyNameHint", "").lower()
    names: set[str] = set()
    newest = ctx.records(kind.record).page(_SUGGESTED_FROM, sort="updated_at", descending=True)
    for _, document in _documents(ctx, kind, newest.entries):
        names.update(_names(document))
    fitting = sorted(name for name in names if hint in name.lower())
    return {"PropertyNameSuggestions": [{"PropertyName": name} for name in fitting[:_MOST_SUGGESTIONS]]}


def _kind(ctx: Context, name: str) -> Resource[Any]:
    for kind in ctx.platform.registry.resources.values():
        if kind.search == name and kind.document is not None:
            return kind
    raise validation(f"Clary cannot search resources of type {name!r} yet.")


def _documents(
    ctx: Context, kind: Resource[Any], entries: Sequence[Entry[Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and document of each: its description, cut to the members that a search record has, and its tags."""
    assert kind.document is not None
    shown = wire_service("sagemaker").shape("SearchRecord").members[_record_member(kind.search)].shape.members
    tags = tags_below(ctx, kind.arn(ctx, "")) if "Tags" in shown else {}
    for entry in entries:
        described = kind.document(ctx, entry) | {"Tags": tag_list(tags.get(kind.arn(ctx, entry.name), {}))}
        yield entry.name, {name: value for name, value in described.items() if name in shown and value is not None}


def _record_member(resource: str) -> str:
    """The member of a SearchRecord that holds resources of this kind."""
    return {"ExperimentTrial": "Trial", "ExperimentTrialComponent": "TrialComponent"}.get(resource, resource)


def _names(value: Any, path: str = "") -> set[str]:
    if isinstance(value, list):
        if path == "FinalMetricDataList":
            return {f"Metrics.{item['MetricName']}" for item in value}
        if path == "Tags":
            return {f"Tags.{item['Key']}" for item in value}
        return {name for item in value for name in _names(item, path)}
    if isinstance(value, dict):
        return {name for key, item in value.items() for name in _names(item, f"{path}.{key}" if path else key)}
    return {path}
