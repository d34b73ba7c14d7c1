"""Inputs of databases, tables and partitions: checked, and as they are stored."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.lists import epoch_seconds
from clary.kernel.rooms.tags import refuse_tags
from clary.systems.glue_catalog.lookup import folded, invalid

_TIMES = ("LastAccessTime", "LastAnalyzedTime")
_EVERYONE = {"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}
DEFAULT_PERMISSIONS = [_EVERYONE]
_NOT_HERE = {
    "FederatedDatabase": "this catalog federates with no other",
    "FederatedTable": "this catalog federates with no other",
    "ViewDefinition": "give the text of a view as ViewOriginalText and ViewExpandedText",
}


def database_input(given: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
    """A DatabaseInput to store. Raises InvalidInputException for what is not honoured."""
    _refuse(given)
    if given.get("TargetDatabase") is not None:
        _check_link(given, "TargetDatabase", ("DatabaseName",), account, region)
    permissions = given.get("CreateTableDefaultPermissions")
    if permissions is not None and list(permissions) not in ([], DEFAULT_PERMISSIONS):
        raise invalid(
            "CreateTableDefaultPermissions are those of Lake Formation, which Clary does not have: leave them out, and "
            "let IAM policies say who may use the database's tables"
        )
    return {**given, "Name": folded(given["Name"])}


def table_input(given: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
    """A TableInput to store. Raises InvalidInputException for what is wrong or not honoured."""
    _refuse(given)
    if given.get("TargetTable") is not None:
        _check_link(given, "TargetTable", ("DatabaseName", "Name"), account, region)
    keys = [key["Name"].lower() for key in given.get("PartitionKeys") or ()]
    if len(set(keys)) < len(keys):
        raise invalid(f"PartitionKeys names a column twice: {', '.join(keys)}")
    descriptor = given.get("StorageDescriptor")
    if descriptor is not None:
        check_descriptor(descriptor)
        twice = set(keys) & {column["Name"].lower() for column in descriptor.get("Columns") or ()}
        # Iceberg names what it partitions by among its columns, where it is; Hive's tables cannot have both.
        if twice and (given.get("Parameters") or {}).get("table_type", "").upper() != "ICEBERG":
            raise invalid(f"Column {min(twice)} is a partition key and cannot be a column of the table too")
    return _timed({"Retention": 0, **given, "Name": folded(given["Name"])})


def partition_input(given: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A PartitionInput to store, of a table with these partition keys. Raises InvalidInputException."""
    check_values(given.get("Values") or (), keys)
    if given.get("StorageDescriptor") is not None:
        check_descriptor(given["StorageDescriptor"])
    return _timed(dict(given))


def check_values(values: Sequence[str], keys: Sequence[Mapping[str, Any]]) -> list[str]:
    """The values of a partition as a list. Raises InvalidInputException unless there is one for each key."""
    if len(values) != len(keys):
        raise invalid(
            f"The number of partition keys do not match the number of partition values: the table has {len(keys)} "
            f"({', '.join(key['Name'] for key in keys) or 'none'}), and {len(values)} values were given"
        )
    if "" in values:
        raise invalid("A partition value cannot be empty")
    return list(values)


def check_descriptor(descriptor: Mapping[str, Any]) -> None:
    """Raise InvalidInputException for a StorageDescriptor that is wrong or asks for what is not honoured."""
    if descriptor.get("SchemaReference") is not None:
        raise invalid("SchemaReference is not supported by Clary, which has no schema registry: give Columns")
    names = [column["Name"] for column in descriptor.get("Columns") or ()]
    if len(set(names)) < len(names):
        raise invalid(f"Column {next(name for name in names if names.count(name) > 1)} is given twice")


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags to store. Raises InvalidInputException for those that a resource cannot have."""
    try:
        refuse_tags(tags)
    except AwsError as error:
        raise invalid(error.message) from None
    return dict(tags)


def _refuse(given: Mapping[str, Any]) -> None:
    for member, reason in _NOT_HERE.items():
        if given.get(member) is not None:
            raise invalid(f"{member} is not supported by Clary: {reason}")


def _check_link(given: Mapping[str, Any], member: str, needed: Sequence[str], account: str, region: str) -> None:
    """Raise InvalidInputException unless a resource link leads into the account's own catalog of the region."""
    target = given[member]
    for name in needed:
        if not target.get(name):
            raise invalid(f"{name} of {member} is missing: it says what {given['Name']} links to")
    if target.get("CatalogId") not in (None, account) or target.get("Region") not in (None, region):
        raise invalid(
            f"{member} of {given['Name']} must be in this catalog, {account} in {region}: there are no others"
        )
    of_its_own = [name for name in ("StorageDescriptor", "PartitionKeys", "LocationUri") if given.get(name)]
    if of_its_own:
        raise invalid(f"{given['Name']} is a link by its {member} and has no {of_its_own[0]} of its own")


def _timed(given: dict[str, Any]) -> dict[str, Any]:
    """Times as numbers, which is how records hold them."""
    return given | {member: epoch_seconds(given[member]) for member in _TIMES if given.get(member) is not None}
