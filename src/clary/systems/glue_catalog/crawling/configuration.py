"""How a crawler writes and groups: its Configuration, a text of JSON, and its policies. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from clary.systems.glue_catalog.lookup import invalid

CRAWL_EVERYTHING, NEW_FOLDERS = "CRAWL_EVERYTHING", "CRAWL_NEW_FOLDERS_ONLY"
LOG, UPDATE, DELETE, DEPRECATE = "LOG", "UPDATE_IN_DATABASE", "DELETE_FROM_DATABASE", "DEPRECATE_IN_DATABASE"

_KNOWN: Mapping[str, Mapping[str, Any] | None] = {
    "Version": None,
    "CrawlerOutput": {
        "Tables": {"AddOrUpdateBehavior": None, "TableThreshold": None},
        "Partitions": {"AddOrUpdateBehavior": None},
    },
    "Grouping": {"TableGroupingPolicy": None, "TableLevelConfiguration": None},
    "CreatePartitionIndex": None,
}


class Configuration(NamedTuple):
    """What a Configuration says. `table_level` counts folders from the bucket on, which is 1."""

    merges_new_columns: bool = False
    inherits: bool = False
    combined: bool = False
    table_level: int | None = None
    most_tables: int | None = None
    indexes: bool = True


def parse_configuration(text: str | None) -> Configuration:
    """Read a Configuration. Raises InvalidInputException for what is wrong or not known."""
    if not text:
        return Configuration()
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid(f"Configuration is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise invalid("Configuration must be an object of JSON")
    _refuse_unknown(given, _KNOWN, "Configuration")
    if given.get("Version") not in (1.0, "1.0"):
        raise invalid('Configuration needs "Version": 1.0')
    output, grouping = given.get("CrawlerOutput") or {}, given.get("Grouping") or {}
    tables, partitions = output.get("Tables") or {}, output.get("Partitions") or {}
    indexes = given.get("CreatePartitionIndex", True)
    if not isinstance(indexes, bool):
        raise invalid("Configuration.CreatePartitionIndex must be true or false")
    return Configuration(
        _one_of(tables, "AddOrUpdateBehavior", "MergeNewColumns"),
        _one_of(partitions, "AddOrUpdateBehavior", "InheritFromTable"),
        _one_of(grouping, "TableGroupingPolicy", "CombineCompatibleSchemas"),
        _number(grouping, "TableLevelConfiguration"),
        _number(tables, "TableThreshold"),
        indexes,
    )


def check_policies(request: Mapping[str, Any]) -> None:
    """Raise InvalidInputException for policies that Glue does not let go together, or that are not supported."""
    recrawl = (request.get("RecrawlPolicy") or {}).get("RecrawlBehavior") or CRAWL_EVERYTHING
    if recrawl == "CRAWL_EVENT_MODE":
        raise invalid(
            "RecrawlBehavior CRAWL_EVENT_MODE is not supported by Clary, whose crawlers list what is there: use "
            "CRAWL_NEW_FOLDERS_ONLY"
        )
    changes = request.get("SchemaChangePolicy") or {}
    logged = changes.get("UpdateBehavior") == LOG and changes.get("DeleteBehavior") == LOG
    if recrawl == NEW_FOLDERS and not logged:
        raise invalid(
            "The SchemaChangePolicy for CRAWL_NEW_FOLDERS_ONLY can have only LOG for UpdateBehavior and DeleteBehavior"
        )
    targets = request["Targets"]
    if recrawl == NEW_FOLDERS and set(targets) != {"S3Targets"}:
        raise invalid("RecrawlBehavior CRAWL_NEW_FOLDERS_ONLY is for crawlers of S3Targets alone")
    if targets.get("CatalogTargets") and changes.get("DeleteBehavior") != LOG:
        raise invalid("The SchemaChangePolicy for catalog targets can have only LOG for DeleteBehavior")
    if (request.get("LakeFormationConfiguration") or {}).get("UseLakeFormationCredentials"):
        raise invalid(
            "UseLakeFormationCredentials is not supported by Clary, which has no Lake Formation: the crawler's role "
            "reads the data"
        )


def update_behavior(request: Mapping[str, Any]) -> str:
    return (request.get("SchemaChangePolicy") or {}).get("UpdateBehavior") or UPDATE


def delete_behavior(request: Mapping[str, Any]) -> str:
    return (request.get("SchemaChangePolicy") or {}).get("DeleteBehavior") or DEPRECATE


def only_new_folders(request: Mapping[str, Any]) -> bool:
    return (request.get("RecrawlPolicy") or {}).get("RecrawlBehavior") == NEW_FOLDERS


def _refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any], path: str) -> None:
    for name, value in given.items():
        if name not in known:
            raise invalid(f"{path}.{name} is not known: {path} can have {', '.join(known)}")
        if known[name] is not None:
            if not isinstance(value, dict):
                raise invalid(f"{path}.{name} must be an object of JSON")
            _refuse_unknown(value, known[name], f"{path}.{name}")


def _one_of(given: Mapping[str, Any], name: str, value: str) -> bool:
    if given.get(name) not in (None, value):
        raise invalid(f"{name} in Configuration is {given[name]!r}: it can be {value}")
    return given.get(name) == value


def _number(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise invalid(f"{name} in Configuration is {value!r}: it must be a whole number from 1 on")
    return value
