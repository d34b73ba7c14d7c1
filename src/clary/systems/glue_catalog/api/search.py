"""Search over the tables of all databases."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.wire import paginate
from clary.systems.glue_catalog.lookup import CATALOG, allow, check_catalog
from clary.systems.glue_catalog.records import Database, Table
from clary.systems.glue_catalog.searching import property_filter, sort_key, text_filter
from clary.systems.glue_catalog.shown import show_table


@operation("glue", "SearchTables", resource=CATALOG)
def search_tables(
    ctx: Context,
    CatalogId: str | None = None,
    NextToken: str | None = None,
    Filters: Sequence[Mapping[str, str]] | None = None,
    SearchText: str | None = None,
    SortCriteria: Sequence[Mapping[str, str]] | None = None,
    MaxResults: int | None = None,
    ResourceShareType: str | None = None,
    IncludeStatusDetails: bool | None = None,
) -> dict[str, Any]:
    """The tables of all databases that have a text and such attributes."""
    check_catalog(ctx, CatalogId)
    allow(ctx, "database/*", "table/*/*")
    wanted = [property_filter(each) for each in Filters or ()]
    if SearchText is not None:
        wanted.append(text_filter(SearchText))
    by, last_first = sort_key(SortCriteria or ())
    if ResourceShareType in ("FOREIGN", "FEDERATED"):
        return {"TableList": []}
    there = {entry.value.uid for entry in ctx.records(Database).all()}
    tables = [show_table(entry) for entry in ctx.records(Table).scan() if entry.parent in there]
    found = sorted((table for table in tables if all(test(table) for test in wanted)), key=by, reverse=last_first)
    return paginate(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults}, found)
