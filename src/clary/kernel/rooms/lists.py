"""The members that list operations share: pages, order and filters, spelled as SageMaker spells them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from clary.kernel.rooms.context import Context
from clary.kernel.store import Entry, Page, Table
from clary.kernel.store.contract import SortColumn
from clary.kernel.wire import page_asked, page_output

T = TypeVar("T")

DEFAULT_RESULTS = 10

_COLUMNS: Mapping[str, SortColumn] = {
    "Name": "name",
    "CreationTime": "created_at",
    "LastModifiedTime": "updated_at",
    "Status": "status",
}
_TIMES = {
    "CreationTimeAfter": "created_after",
    "CreationTimeBefore": "created_before",
    "LastModifiedTimeAfter": "updated_after",
    "LastModifiedTimeBefore": "updated_before",
}


def epoch_seconds(moment: float | datetime) -> float:
    """A timestamp of a request as epoch seconds; one without a zone is UTC."""
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment)


def list_page(
    table: Table[T],
    request: Mapping[str, Any],
    *,
    sort_by: str = "CreationTime",
    sort_order: str = "Ascending",
    keep: Callable[[Entry[T]], bool] | None = None,
    **filters: Any,
) -> Page[T]:
    """The page of records that a list request asks for.

    Understands MaxResults, NextToken, SortBy (Name, CreationTime, LastModifiedTime, Status), SortOrder, NameContains,
    StatusEquals and the bounds on CreationTime and LastModifiedTime; `sort_by` and `sort_order` are the defaults, and
    `filters` are the table's own. `keep` filters by what the record holds; a page may then be shorter than asked for.
    """
    for member, column in _TIMES.items():
        if request.get(member) is not None:
            filters[column] = epoch_seconds(request[member])
    if request.get("NameContains"):
        filters["name_contains"] = request["NameContains"]
    if request.get("StatusEquals"):
        filters["status"] = request["StatusEquals"]
    sort = _COLUMNS[request.get("SortBy") or sort_by]
    descending = (request.get("SortOrder") or sort_order) == "Descending"
    limit = request.get("MaxResults") or DEFAULT_RESULTS
    token = request.get("NextToken")
    while True:
        page = table.page(limit, token, sort=sort, descending=descending, **filters)
        kept = [entry for entry in page if keep is None or keep(entry)]
        if kept or page.next_token is None:
            return Page(kept, page.next_token)
        token = page.next_token


def list_output(
    ctx: Context, cls: type[T], request: Mapping[str, Any], show: Callable[[Entry[T]], Mapping[str, Any]], **how: Any
) -> dict[str, Any]:
    """The output of a list operation: its page of records, each as `show` shows it, with a token bound to it.

    `how` is what `list_page` takes.
    """
    limit, position = page_asked(ctx.operation, request, DEFAULT_RESULTS)
    page = list_page(ctx.records(cls), {**request, "MaxResults": limit, "NextToken": position}, **how)
    return page_output(ctx.operation, [show(entry) for entry in page], page.next_token)
