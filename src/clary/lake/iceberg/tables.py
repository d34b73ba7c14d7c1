"""Tables of Iceberg as the catalog has them: loaded by their metadata file, described, and written into the catalog."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pyiceberg.exceptions import ValidationError
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.locations import LocationProvider, ObjectStoreLocationProvider, SimpleLocationProvider
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from clary.lake import tables
from clary.lake.iceberg.access import Access, ObjectIO, s3_location
from clary.lake.iceberg.types import catalog_type, lake_type
from clary.lake.tables import Column

_KEPT = ("Description", "Owner", "Retention", "TableType", "Parameters", "LastAccessTime", "LastAnalyzedTime")


class BadMetadata(Exception):
    """The catalog says that a table is one of Iceberg, and its metadata cannot be read: says why."""


class Refused(Exception):
    """A table cannot be made, changed or written so: says why."""


class UnknownSnapshot(Exception):
    """A table has no such snapshot, or none that old: says which."""


@dataclass(frozen=True, slots=True)
class IcebergTable:
    """A table as it was when it was loaded. `version` is the catalog's, by which a commit sees that it still is."""

    database: str
    name: str
    metadata: TableMetadata
    location: str
    version: str
    document: Mapping[str, Any]
    io: ObjectIO

    @property
    def schema(self) -> Schema:
        return self.metadata.schema()

    def data_path(self, name: str, folder: str = "") -> str:
        """The URI of a data file of this name, in the folder of a partition."""
        return s3_location(self._locations.new_data_location(f"{folder}/{name}" if folder else name))

    def metadata_path(self, name: str) -> str:
        return s3_location(self._locations.new_metadata_location(name))

    @property
    def _locations(self) -> LocationProvider:
        # Not by pyiceberg's loader: a property of the table could have it import any module.
        properties = self.metadata.properties
        spread = properties.get("write.object-storage.enabled", "").lower() == "true"
        made = ObjectStoreLocationProvider if spread else SimpleLocationProvider
        return made(self.metadata.location.rstrip("/"), properties)

    def snapshot(self, *, identifier: int | None = None, ref: str = "", seconds: float | None = None) -> Snapshot:
        """The snapshot of a number, of a tag or branch, or that was current at a time. Raises UnknownSnapshot."""
        if identifier is not None:
            found = self.metadata.snapshot_by_id(identifier)
            asked = f"Iceberg snapshot ID does not exists: {identifier}"
        elif ref:
            found = self.metadata.snapshot_by_name(ref)
            asked = f"Cannot find snapshot with reference name: {ref}"
        else:
            found = self._current_at(int((seconds or 0) * 1000))
            asked = f'No version history table "{self.database}"."{self.name}" at or before the time that is asked for'
        if found is None:
            raise UnknownSnapshot(asked)
        return found

    def _current_at(self, milliseconds: int) -> Snapshot | None:
        for entry in reversed(self.metadata.snapshot_log):
            if entry.timestamp_ms <= milliseconds:
                return self.metadata.snapshot_by_id(entry.snapshot_id)
        return None


def is_iceberg(document: Mapping[str, Any]) -> bool:
    """Whether a `Table` of Glue's API is one of Iceberg."""
    return ((document.get("Parameters") or {}).get("table_type") or "").upper() == "ICEBERG"


def load(access: Access, database: str, name: str, io: ObjectIO | None = None) -> IcebergTable:
    """A table as it is now. Raises AwsError where there is none, BadMetadata."""
    document = access.call("GetTable", DatabaseName=database, Name=name)["Table"]
    return opened(document, io or ObjectIO(access))


def opened(document: Mapping[str, Any], io: ObjectIO) -> IcebergTable:
    """The table that a `Table` of Glue's API points to. Raises AwsError, BadMetadata."""
    location = (document.get("Parameters") or {}).get("metadata_location") or ""
    where = f"{document['DatabaseName']}.{document['Name']}"
    if not is_iceberg(document):
        raise BadMetadata(f"Table is not an Iceberg table: {where}")
    if not location:
        raise BadMetadata(f"Table {where} has no parameter metadata_location, which names the file of its metadata")
    try:
        metadata = FromInputFile.table_metadata(io.new_input(location))
    except FileNotFoundError as error:
        raise BadMetadata(f"The metadata of {where} cannot be read: {error}") from None
    except (ValueError, KeyError, ValidationError, orjson.JSONDecodeError) as error:
        raise BadMetadata(f"The metadata of {where} at {location} is not Iceberg's: {str(error)[:300]}") from None
    if metadata.format_version > 2:
        raise BadMetadata(f"{where} has version {metadata.format_version} of Iceberg's format: 1 and 2 are supported")
    return IcebergTable(
        document["DatabaseName"],
        document["Name"],
        metadata,
        location,
        document.get("VersionId") or "",
        document,
        io,
    )


def described(table: IcebergTable, schema: Schema | None = None) -> tables.Table:
    """The table as the lake has it, with the columns of its schema, or of another one. Raises ValueError."""
    return tables.Table(
        database=table.database,
        name=table.name,
        columns=tuple(
            Column(field.name.lower(), lake_type(field.field_type), field.doc or "")
            for field in (schema or table.schema).fields
        ),
        location=table.metadata.location,
        format=tables.ICEBERG,
        properties={**(table.document.get("Parameters") or {})},
        version=table.version,
    )


def schema_of(table: IcebergTable, snapshot: Snapshot | None) -> Schema:
    """The columns that a table had at a snapshot; those that it has, without one."""
    if snapshot is not None and snapshot.schema_id is not None:
        return table.metadata.schema_by_id(snapshot.schema_id) or table.schema
    return table.schema


def table_input(
    name: str, metadata: TableMetadata, location: str, former: Mapping[str, Any] | None = None, before: str = ""
) -> dict[str, Any]:
    """The TableInput of Glue's API for a table whose metadata lies at `location`, and lay at `before`."""
    kept = {member: former[member] for member in _KEPT if member in former} if former else {}
    parameters = {**(kept.get("Parameters") or {}), "table_type": "ICEBERG", "metadata_location": location}
    if before:
        parameters["previous_metadata_location"] = before
    return {
        "TableType": "EXTERNAL_TABLE",
        **kept,
        "Name": name,
        "Parameters": parameters,
        "StorageDescriptor": {
            **_descriptor(former),
            "Columns": columns_of(metadata),
            "Location": metadata.location,
        },
    }


def columns_of(metadata: TableMetadata) -> list[dict[str, Any]]:
    """The columns for the catalog: those that are, and those that were under other names, as Iceberg's libraries do."""
    found: dict[str, dict[str, Any]] = {}
    current = metadata.schema()
    others = [each for each in metadata.schemas if each.schema_id != current.schema_id]
    for schema in (current, *others):
        for field in schema.fields:
            is_current = "true" if schema is current else "false"
            found.setdefault(
                field.name.lower(),
                {
                    "Name": field.name.lower(),
                    "Type": _catalog_type(field.field_type),
                    **({"Comment": field.doc} if field.doc else {}),
                    "Parameters": {
                        "iceberg.field.id": str(field.field_id),
                        "iceberg.field.optional": str(field.optional).lower(),
                        "iceberg.field.current": is_current,
                    },
                },
            )
    return list(found.values())


def names_of(schema: Schema) -> Sequence[str]:
    return [field.name for field in schema.fields]


def _catalog_type(of: Any) -> str:
    try:
        return catalog_type(lake_type(of))
    except ValueError:
        return str(of)


def _descriptor(former: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict((former or {}).get("StorageDescriptor") or {})
