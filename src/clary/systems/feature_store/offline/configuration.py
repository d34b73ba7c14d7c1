"""What OfflineStoreConfig may say, and what Feature Store adds to it when a group is made."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import not_supported, validation
from clary.kernel.objects import normal_s3_uri
from clary.systems.feature_store.offline import layout

CATALOG, DATABASE = "AwsDataCatalog", "sagemaker_featurestore"
GLUE, ICEBERG = "Glue", "Iceberg"

_MEMBER = "OfflineStoreConfig"


def completed_offline(
    given: Mapping[str, Any] | None,
    *,
    account: str,
    region: str,
    group: str,
    created_at: float,
    event_time: str,
    definitions: Sequence[Mapping[str, Any]],
) -> dict[str, Any] | None:
    """An OfflineStoreConfig as it is stored and shown, None where there is none.

    The definitions were checked. Raises ValidationException for what cannot be honoured.
    """
    if given is None:
        return None
    if importlib.util.find_spec("pyarrow") is None:
        raise validation(f"{_MEMBER} needs pyarrow, which is not installed: pip install 'clary[data]'.")
    storage = given["S3StorageConfig"]
    if storage.get("ResolvedOutputS3Uri"):
        raise validation(f"{_MEMBER}.S3StorageConfig.ResolvedOutputS3Uri is chosen by Feature Store: leave it out.")
    uri = normal_s3_uri(storage["S3Uri"], f"{_MEMBER}.S3StorageConfig.S3Uri")
    disabled = bool(given.get("DisableGlueTableCreation"))
    table_format = ICEBERG if given.get("TableFormat") == ICEBERG else GLUE
    if table_format == ICEBERG:
        _check_iceberg(disabled, next(each["FeatureType"] for each in definitions if each["FeatureName"] == event_time))
    check_columns(definitions, table_format)
    catalog = given.get("DataCatalogConfig")
    if catalog is None and not disabled:
        table = layout.table_name(group, created_at)
        catalog = {"TableName": table, "Catalog": CATALOG, "Database": DATABASE}
    if catalog is not None and not disabled and catalog["Catalog"].lower() != CATALOG.lower():
        raise validation(
            f"{_MEMBER}.DataCatalogConfig.Catalog is {catalog['Catalog']!r}, in which no table can be made: name "
            f"{CATALOG}, or set DisableGlueTableCreation."
        )
    resolved = layout.folder_of(uri, account, region, group, created_at) + "/data"
    return {
        "S3StorageConfig": {**storage, "ResolvedOutputS3Uri": resolved},
        "DisableGlueTableCreation": disabled,
        **({"DataCatalogConfig": dict(catalog)} if catalog is not None else {}),
        "TableFormat": table_format,
    }


def check_columns(definitions: Sequence[Mapping[str, Any]], table_format: str) -> None:
    """Raise ValidationException for features that cannot be columns of one table: its names have no case."""
    seen: dict[str, str] = {}
    for name in (each["FeatureName"] for each in definitions):
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise validation(
                f"The names of features {other!r} and {name!r} differ in nothing but case, which the columns of an "
                "offline store do not tell apart: rename one of them."
            )
        if table_format == GLUE and name.lower() in layout.HOURS:
            raise validation(
                f"A feature of a group with an offline store cannot have the name {name!r}: {', '.join(layout.HOURS)} "
                "are the partition keys of its table. Rename it."
            )


def _check_iceberg(disabled: bool, event_time_type: str) -> None:
    if disabled:
        raise validation(f"{_MEMBER}: the Iceberg table format is only supported with DisableGlueTableCreation False.")
    if importlib.util.find_spec("pyiceberg") is None:
        raise validation(f"{_MEMBER}: Iceberg needs pyiceberg, which is not installed: pip install 'clary[data]'.")
    if event_time_type != layout.STRING:
        raise not_supported(
            f"{_MEMBER}: TableFormat Iceberg with an event time of type {event_time_type}",
            "an Iceberg table is parted by the day in a String event time; make the event time a String",
        )
