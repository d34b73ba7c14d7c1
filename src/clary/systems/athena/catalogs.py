"""Data catalogs: AwsDataCatalog, which is the Glue catalog of the account, and other names for it."""

from collections.abc import Mapping

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.systems.athena.records import AWS_CATALOG, DataCatalog
from clary.systems.athena.refusals import invalid

DEFAULT_DATABASE = "default"


def check_catalog(ctx: Context, name: str) -> None:
    """Raise InvalidRequestException unless there is a catalog of this name."""
    if name.lower() != AWS_CATALOG.lower() and ctx.records(DataCatalog).get(name.lower()) is None:
        raise no_catalog(name)


def no_catalog(name: str) -> AwsError:
    return invalid(f"Data catalog {name} was not found", "DATACATALOG_NOT_FOUND")


def completed_context(ctx: Context, given: Mapping[str, str] | None) -> dict[str, str]:
    """The catalog and database that a query's names are completed by. Raises InvalidRequestException."""
    catalog = (given or {}).get("Catalog") or AWS_CATALOG
    check_catalog(ctx, catalog)
    return {"Catalog": catalog, "Database": (given or {}).get("Database") or DEFAULT_DATABASE}
