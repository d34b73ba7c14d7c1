"""Pages of lists with filters that no index serves: read in order, in bounded portions."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from clary.kernel.rooms import Context
from clary.kernel.rooms.lists import DEFAULT_RESULTS, epoch_seconds
from clary.kernel.store import Entry, Table
from clary.kernel.store.contract import SortColumn
from clary.kernel.wire import bad_token, page_asked, page_output

T = TypeVar("T")

_READ_AT_ONCE = 500
_READ_AT_MOST = 10_000


def listed(
    ctx: Context,
    cls: type[T],
    request: Mapping[str, Any],
    show: Callable[[Entry[T]], Mapping[str, Any]],
    *,
    sort: SortColumn = "created_at",
    descending: bool = True,
    keep: Callable[[Entry[T]], bool] | None = None,
    **filters: Any,
) -> dict[str, Any]:
    """The output of a list operation: the page of records that `request` asks for, each as `show` shows it.

    Understands MaxResults, NextToken, SortOrder, CreatedAfter and CreatedBefore. `filters` are the table's own; `keep`
    filters by what a record holds. One call reads a bounded number of records: where hardly any is kept, a page may
    hold fewer than asked for, or none, and a token to go on with.
    """
    limit, position = page_asked(ctx.operation, request, DEFAULT_RESULTS)
    if request.get("SortOrder"):
        descending = request["SortOrder"] == "Descending"
    order = {"sort": sort, "descending": descending, **_times(request), **filters}
    entries, last = _matching(ctx.records(cls), limit, _place(ctx, sort, position), order, keep)
    more = None if last is None else [_value(last, sort), last.name]
    return page_output(ctx.operation, [show(entry) for entry in entries], more)


def _times(request: Mapping[str, Any]) -> dict[str, float]:
    bounds = {"CreatedAfter": "created_after", "CreatedBefore": "created_before"}
    return {name: epoch_seconds(request[member]) for member, name in bounds.items() if request.get(member) is not None}


def _matching(
    table: Table[T], limit: int, after: Any, order: Mapping[str, Any], keep: Callable[[Entry[T]], bool] | None
) -> tuple[list[Entry[T]], Entry[T] | None]:
    """Up to `limit` entries, and the one to go on behind: None when there are no more."""
    found: list[Entry[T]] = []
    read, portion = 0, limit + 1 if keep is None else _READ_AT_ONCE
    while True:
        entries = table.all(after=after, limit=portion, **order)
        for entry in entries:
            if keep is None or keep(entry):
                if len(found) == limit:
                    return found, found[-1]
                found.append(entry)
        if len(entries) < portion:
            return found, None
        read += portion
        if read >= _READ_AT_MOST:
            return found, entries[-1]
        last = entries[-1]
        after = (_value(last, order["sort"]), last.account, last.region, last.name)


def _value(entry: Entry[Any], sort: SortColumn) -> str | float:
    value: str | float = getattr(entry, sort)
    return value


def _place(ctx: Context, sort: SortColumn, position: Any) -> tuple[Any, str, str, str] | None:
    if position is None:
        return None
    kinds = (int, float) if sort == "created_at" else (str,)
    match position:
        case [value, str(name)] if isinstance(value, kinds):
            return value, ctx.account, ctx.region, name
    raise bad_token(ctx.operation)
