"""The rules of features and of a feature group's configuration, and what is completed in it.

Source: CreateFeatureGroup and UpdateFeatureGroup of the API reference; "Collection types", "Time to live", "Feature
Store quotas, naming rules and data types" of the developer guide.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import validation

RESERVED = frozenset({"is_deleted", "write_time", "api_invocation_time"})
MOST_FEATURES = 2500
IDENTIFIER_TYPES = ("String", "Integral")
EVENT_TIME_TYPES = ("String", "Fractional")

_SECONDS = {"Seconds": 1, "Minutes": 60, "Hours": 3600, "Days": 86400, "Weeks": 604800}


def check_definitions(identifier: str, event_time: str, definitions: Sequence[Mapping[str, Any]], storage: str) -> None:
    """Raise ValidationException unless a group may have these features; `storage` is its online store's StorageType."""
    by_name = {each["FeatureName"]: each for each in definitions}
    check_features(definitions, storage)
    for member, name, types in (
        ("RecordIdentifierFeatureName", identifier, IDENTIFIER_TYPES),
        ("EventTimeFeatureName", event_time, EVENT_TIME_TYPES),
    ):
        found = by_name.get(name)
        if found is None:
            raise validation(f"{member} {name!r} is not in FeatureDefinitions: define it as one of the features.")
        if found["FeatureType"] not in types:
            raise validation(f"{member} {name!r} has the type {found['FeatureType']}: it must be {' or '.join(types)}.")
        if "CollectionType" in found:
            raise validation(f"{member} {name!r} is a {found['CollectionType']}: it must be a single value.")
    if identifier == event_time:
        raise validation(f"Feature {name!r} cannot be both RecordIdentifierFeatureName and EventTimeFeatureName.")


def check_features(
    definitions: Sequence[Mapping[str, Any]], storage: str, others: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Raise ValidationException for features that a group cannot have beside the `others`."""
    names = [each["FeatureName"] for each in others]
    for definition in definitions:
        name = definition["FeatureName"]
        if name.lower() in RESERVED:
            raise validation(f"FeatureName {name!r} is reserved, as are all of {', '.join(sorted(RESERVED))}.")
        names.append(name)
        _check_collection(definition, storage)
    if sum(each.get("CollectionType") == "Vector" for each in [*definitions, *others]) > 1:
        raise validation("A feature group can have one feature of CollectionType Vector.")
    repeated = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else None
    if repeated:
        raise validation(f"Duplicate feature names: {', '.join(sorted(repeated))}. Define each feature once.")
    if len(names) > MOST_FEATURES:
        raise validation(f"A feature group can have at most {MOST_FEATURES} features; this would make {len(names)}.")


def _check_collection(definition: Mapping[str, Any], storage: str) -> None:
    name, collection, config = (
        definition["FeatureName"],
        definition.get("CollectionType"),
        definition.get("CollectionConfig"),
    )
    if collection is None:
        if config:
            raise validation(f"Feature {name!r} has a CollectionConfig but no CollectionType.")
        return
    if storage != "InMemory":
        raise validation(
            f"Feature {name!r} is a {collection}: collection types need an online store of StorageType InMemory."
        )
    vector = (config or {}).get("VectorConfig")
    if collection != "Vector":
        if vector:
            raise validation(f"Feature {name!r} is a {collection}: only a Vector has a VectorConfig.")
        return
    if vector is None:
        raise validation(f"Feature {name!r} is a Vector: give its Dimension in CollectionConfig.VectorConfig.")
    if definition["FeatureType"] != "Fractional":
        raise validation(f"Feature {name!r} is a Vector: its FeatureType must be Fractional.")


def seconds_of(ttl: Mapping[str, Any]) -> int:
    """A TtlDuration in seconds."""
    return int(ttl["Value"]) * _SECONDS[ttl["Unit"]]


def check_ttl(ttl: Mapping[str, Any] | None) -> None:
    """Raise ValidationException for a TtlDuration with half of what it needs."""
    if ttl and (ttl.get("Unit") is None) != (ttl.get("Value") is None):
        raise validation("TtlDuration needs both Unit and Value.")


def completed_online(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """An OnlineStoreConfig with its defaults; None where it makes no online store."""
    if config is None or not config.get("EnableOnlineStore", False):
        if config and (config.get("TtlDuration") or config.get("StorageType") or config.get("SecurityConfig")):
            raise validation("OnlineStoreConfig configures an online store that EnableOnlineStore does not ask for.")
        return None
    check_ttl(config.get("TtlDuration"))
    completed = {"EnableOnlineStore": True, "StorageType": config.get("StorageType") or "Standard"}
    for member in ("SecurityConfig", "TtlDuration"):
        if config.get(member):
            completed[member] = dict(config[member])
    return completed


def completed_throughput(config: Mapping[str, Any] | None, *, online: bool, storage: str) -> dict[str, Any]:
    """A ThroughputConfig. Raises ValidationException for units that its mode or its stores do not take."""
    if config is None:
        return {"ThroughputMode": "OnDemand"}
    mode = config["ThroughputMode"]
    read, write = config.get("ProvisionedReadCapacityUnits"), config.get("ProvisionedWriteCapacityUnits")
    if mode == "OnDemand":
        if read or write:
            raise validation("Capacity units apply to ThroughputMode Provisioned alone: leave them out for OnDemand.")
        return {"ThroughputMode": mode}
    if online and storage == "InMemory":
        raise validation("ThroughputMode Provisioned is not for online stores of StorageType InMemory.")
    if write is None or (online and read is None):
        raise validation("ThroughputMode Provisioned needs capacity units: to write, and to read an online store.")
    if not online and read:
        raise validation("A group without an online store has no ProvisionedReadCapacityUnits.")
    return {
        "ThroughputMode": mode,
        "ProvisionedReadCapacityUnits": read or 0,
        "ProvisionedWriteCapacityUnits": write,
    }
