"""What is stored of a feature group and of its features' metadata."""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record

TOPIC = "feature_store"

CREATING, CREATED, CREATE_FAILED, DELETING, DELETE_FAILED = (
    "Creating",
    "Created",
    "CreateFailed",
    "Deleting",
    "DeleteFailed",
)

UPDATING = "updating"
"""The parent of a group's record while its offline store is to get new features."""


@record("feature_group", version=1)
@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """A feature group; its name is the record's.

    `uid` tells it from others that had its name, and names it in the online store and the offline log.
    `definitions` are FeatureDefinitions as on the wire. `online` and `offline` are the configurations, completed with
    defaults, None where there is no such store: `offline` has S3StorageConfig.ResolvedOutputS3Uri and, unless no table
    is wanted, DataCatalogConfig. `role_arn` is the role that was passed, `role` the one that the offline store is
    written as; both are empty without one. `offline_status` is OfflineStoreStatus, `last_update` LastUpdateStatus.
    `on_demand_at` is when the group was last switched to on-demand throughput, in epoch seconds.
    """

    uid: str
    arn: str
    identifier: str
    event_time: str
    definitions: list[dict[str, Any]]
    online: dict[str, Any] | None
    offline: dict[str, Any] | None
    throughput: dict[str, Any]
    description: str = ""
    role_arn: str = ""
    role: str = ""
    failure_reason: str = ""
    offline_status: dict[str, str] | None = None
    last_update: dict[str, str] | None = None
    on_demand_at: float | None = None


@record("feature_metadata", version=1)
@dataclass(frozen=True, slots=True)
class FeatureMetadata:
    """What is told of one feature; the record's name is `metadata_name`, its parent the group's uid.

    `parameters` are in the order they were added.
    """

    group: str
    group_arn: str
    feature: str
    type: str
    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def metadata_name(group: str, feature: str) -> str:
    return f"{group}/{feature}"
