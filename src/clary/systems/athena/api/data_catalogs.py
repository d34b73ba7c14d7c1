"""Data catalogs: AwsDataCatalog, which is there from the start, and other names for the account's own Glue catalog."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.store import Entry
from clary.kernel.wire import page_asked, page_output
from clary.systems.athena import records
from clary.systems.athena.catalogs import no_catalog
from clary.systems.athena.records import AWS_CATALOG
from clary.systems.athena.refusals import invalid
from clary.systems.athena.tags import check_tags

DATA_CATALOGS = Resource(
    "athena",
    "datacatalog",
    records.DataCatalog,
    missing=("InvalidRequestException", "Data catalog {name} was not found"),
    taken=("InvalidRequestException", "Data catalog {name} already exists"),
)
_CREATED = "CREATE_COMPLETE"
_NOT_HERE = {
    "LAMBDA": "no query reaches out to functions",
    "HIVE": "there is no Hive metastore but the Glue catalog",
    "FEDERATED": "no query reaches out to other databases",
}


@operation("athena", "CreateDataCatalog", resource="datacatalog/{Name}")
def create_data_catalog(
    ctx: Context,
    Name: str,
    Type: str,
    Description: str = "",
    Parameters: Mapping[str, str] | None = None,
    Tags: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Give the account's Glue catalog another name."""
    name = Name.lower()
    if name == AWS_CATALOG.lower():
        raise DATA_CATALOGS.already_there(ctx, Name)
    value = records.DataCatalog(_parameters(ctx, Type, Parameters or {}), Description, Name)
    return {"DataCatalog": _shown(DATA_CATALOGS.create(ctx, name, value, tags=check_tags(Tags or ())))}


@operation("athena", "GetDataCatalog", resource="datacatalog/{Name}")
def get_data_catalog(ctx: Context, Name: str, WorkGroup: str | None = None) -> dict[str, Any]:
    """One catalog. The work group matters where catalogs are those of IAM Identity Center, which Clary has not."""
    return {"DataCatalog": _shown(_find(ctx, Name))}


@operation("athena", "ListDataCatalogs")
def list_data_catalogs(
    ctx: Context, NextToken: str | None = None, MaxResults: int | None = None, WorkGroup: str | None = None
) -> dict[str, Any]:
    """The catalogs, AwsDataCatalog first and the others by name."""
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults or 50})
    every = [_own(ctx), *ctx.records(records.DataCatalog).all(sort="name")]
    names = [""] + [entry.name for entry in every[1:]]
    start = 0 if position is None else sum(name <= str(position) for name in names)
    page = every[start : start + limit]
    more = start + limit < len(every)
    return page_output(ctx.operation, [_summary(entry) for entry in page], names[start + limit - 1] if more else None)


@operation("athena", "UpdateDataCatalog", resource="datacatalog/{Name}")
def update_data_catalog(
    ctx: Context, Name: str, Type: str, Description: str | None = None, Parameters: Mapping[str, str] | None = None
) -> None:
    if Name.lower() == AWS_CATALOG.lower():
        raise invalid(f"{AWS_CATALOG} cannot be changed")
    given = None if Parameters is None else _parameters(ctx, Type, Parameters)

    def change(catalog: records.DataCatalog) -> records.DataCatalog:
        return replace(
            catalog,
            parameters=catalog.parameters if given is None else given,
            description=catalog.description if Description is None else Description,
        )

    if ctx.records(records.DataCatalog).update(Name.lower(), change) is None:
        raise no_catalog(Name)


@operation("athena", "DeleteDataCatalog", resource="datacatalog/{Name}")
def delete_data_catalog(ctx: Context, Name: str, DeleteCatalogOnly: bool = False) -> dict[str, Any]:
    """Remove a name. `DeleteCatalogOnly` is about connections of federated catalogs, which there are none of."""
    if Name.lower() == AWS_CATALOG.lower():
        raise invalid(f"{AWS_CATALOG} cannot be deleted")
    entry = _find(ctx, Name)
    DATA_CATALOGS.delete(ctx, entry.name)
    return {"DataCatalog": _shown(entry)}


def _find(ctx: Context, name: str) -> Entry[records.DataCatalog]:
    if name.lower() == AWS_CATALOG.lower():
        return _own(ctx)
    found = ctx.records(records.DataCatalog).get(name.lower())
    if found is None:
        raise no_catalog(name)
    return found


def _own(ctx: Context) -> Entry[records.DataCatalog]:
    own = records.DataCatalog({"catalog-id": ctx.account}, "", AWS_CATALOG)
    return Entry(own, AWS_CATALOG.lower(), ctx.account, ctx.region, "", "", 0.0, 0.0, 0)


def _parameters(ctx: Context, type_: str, given: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a catalog to store. Raises InvalidRequestException for one that nothing could be read from."""
    if type_ in _NOT_HERE:
        raise invalid(f"Data catalogs of type {type_} are not supported by Clary: {_NOT_HERE[type_]}")
    unknown = given.keys() - {"catalog-id"}
    if unknown:
        raise invalid(f"A data catalog of type GLUE has the parameter catalog-id alone, not {min(unknown)}")
    if given.get("catalog-id") != ctx.account:
        raise invalid(f"catalog-id must be {ctx.account}: there is no catalog but that of the account which queries")
    return dict(given)


def _shown(entry: Entry[records.DataCatalog]) -> dict[str, Any]:
    catalog = entry.value
    shown = {"Name": catalog.name, "Type": "GLUE", "Parameters": catalog.parameters, "Status": _CREATED}
    return shown | ({"Description": catalog.description} if catalog.description else {})


def _summary(entry: Entry[records.DataCatalog]) -> dict[str, Any]:
    return {"CatalogName": entry.value.name, "Type": "GLUE", "Status": _CREATED}
