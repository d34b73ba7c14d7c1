"""Pages of what may be many records, filtered by their names before they are read."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.kernel.wire import page_asked, page_output
from clary.kernel.wire.pagination import bad_token

T = TypeVar("T")


def scan_page(
    ctx: Context,
    cls: type[T],
    params: Mapping[str, Any],
    show: Callable[[Entry[T]], dict[str, Any]],
    *,
    wanted: Callable[[str], bool] | None = None,
    default: int = 100,
    **filters: Any,
) -> dict[str, Any]:
    """The output with the records whose name is `wanted`, as many as are asked for, from where the last page ended."""
    limit, position = page_asked(ctx.operation, params, default)
    if position is not None and not isinstance(position, str):
        raise bad_token(ctx.operation)
    found: list[Entry[T]] = []
    for entry in ctx.records(cls).scan(after=position, wanted=wanted, **filters):
        if len(found) == limit:
            return page_output(ctx.operation, [show(each) for each in found], found[-1].name)
        found.append(entry)
    return page_output(ctx.operation, [show(each) for each in found], None)
