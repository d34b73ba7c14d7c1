"""What connections may say, and how they are shown."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.store import Entry
from clary.systems.glue_catalog.databases import parse_address
from clary.systems.glue_catalog.lookup import invalid
from clary.systems.glue_catalog.records import Connection

_KINDS = ("JDBC", "NETWORK")
_PROPERTIES = frozenset({"JDBC_CONNECTION_URL", "USERNAME", "PASSWORD", "JDBC_ENFORCE_SSL"})
_NOT_HERE = {
    "AuthenticationConfiguration": "give USERNAME and PASSWORD among ConnectionProperties",
    "SparkProperties": "give all properties as ConnectionProperties",
    "AthenaProperties": "Athena does not query other databases",
    "PythonProperties": "give all properties as ConnectionProperties",
    "ValidateCredentials": "call TestConnection",
    "ValidateForComputeEnvironments": "call TestConnection",
}


def checked_input(given: Mapping[str, Any]) -> dict[str, Any]:
    """A ConnectionInput to store. Raises InvalidInputException for what is wrong or not honoured."""
    for member, reason in _NOT_HERE.items():
        if given.get(member):
            raise invalid(f"{member} of a connection is not supported by Clary: {reason}")
    kind = given["ConnectionType"]
    if kind not in _KINDS:
        raise invalid(f"Connections of type {kind} are not supported by Clary: they can be {' or '.join(_KINDS)}")
    properties = given["ConnectionProperties"]
    if kind == "NETWORK":
        if properties:
            raise invalid(f"A NETWORK connection has no ConnectionProperties; {', '.join(properties)} was given")
        return dict(given)
    unknown = [name for name in properties if name not in _PROPERTIES]
    if unknown:
        raise invalid(
            f"{unknown[0]} among ConnectionProperties is not supported by Clary: there can be "
            f"{', '.join(sorted(_PROPERTIES))}"
        )
    parse_address(properties)
    return dict(given)


def properties_of(given: Mapping[str, Any]) -> dict[str, str]:
    return dict(given.get("ConnectionProperties") or {})


def show_connection(entry: Entry[Connection], *, hidden: bool) -> dict[str, Any]:
    """A connection as the API shows it; without its password where that is `hidden`."""
    value = entry.value
    properties = properties_of(value.input)
    if hidden:
        properties.pop("PASSWORD", None)
    return {
        **value.input,
        "ConnectionProperties": properties,
        "CreationTime": entry.created_at,
        "LastUpdatedTime": value.changed_at,
        "LastUpdatedBy": value.changed_by,
        "Status": "READY",
        "ConnectionSchemaVersion": 1,
    }
