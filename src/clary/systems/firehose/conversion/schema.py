"""The table of the catalog whose columns files get, as the role may read it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import role_principal
from clary.kernel.store import Entry
from clary.systems.firehose.records import DeliveryStream, role_of

LATEST = "LATEST"


class CatalogTable(NamedTuple):
    """A table of the catalog, at one version."""

    catalog_id: str
    database: str
    name: str
    region: str
    version: str
    columns: list[dict[str, Any]]

    def document(self) -> dict[str, str]:
        """As the error output names it."""
        return {
            "catalogId": self.catalog_id,
            "databaseName": self.database,
            "tableName": self.name,
            "region": self.region,
            "versionId": self.version,
        }


def catalog_table(platform: Platform, stream: Entry[DeliveryStream], schema: Mapping[str, Any]) -> CatalogTable:
    """The table that a SchemaConfiguration names, as it is now or at its version. Raises AwsError."""
    region = schema.get("Region") or stream.region
    version = schema.get("VersionId") or LATEST
    table = {"CatalogId": schema.get("CatalogId") or stream.account, "DatabaseName": schema["DatabaseName"]}
    principal = role_principal(platform, role_of(stream.value, schema))

    def ask(operation: str, **params: str) -> dict[str, Any]:
        ctx = platform.acting_as_root(stream.account, region, "glue", operation)
        return platform.registry.call(replace(ctx, principal=principal), {**table, **params})

    if version == LATEST:
        found = ask("GetTable", Name=schema["TableName"])["Table"]
    else:
        found = ask("GetTableVersion", TableName=schema["TableName"], VersionId=version)["TableVersion"]["Table"]
    columns = (found.get("StorageDescriptor") or {}).get("Columns") or []
    return CatalogTable(
        found["CatalogId"], found["DatabaseName"], found["Name"], region, found["VersionId"], list(columns)
    )
