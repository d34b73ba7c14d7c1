"""Which destinations there are: a line for each says how AWS's API names it and which module delivers to it.

What destinations have in common (the nested S3 configuration, processing, buffering, retries, backup) is read from any
of them by `configurations`.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from clary.kernel.store import Entry
from clary.systems.firehose.destinations.contract import Destination
from clary.systems.firehose.records import DeliveryStream

if TYPE_CHECKING:
    from clary.kernel.rooms import Platform


class Kind(NamedTuple):
    """A kind of destination. `name` is what its members are called: `<name>DestinationConfiguration` and so on.

    `module` is below `destinations`; empty for S3, to which this room delivers by itself. `metric` begins the names of
    its metrics, `failed` is its error-output-type, and `defaults` are AWS's. Where it `joins_records`, they are written
    one behind another, so that a delimiter between them means something. `routing_keys` are what a JQ query may say of
    where a record goes.
    """

    name: str
    module: str
    metric: str
    failed: str
    defaults: Mapping[str, Any]
    joins_records: bool = False
    routing_keys: frozenset[str] = frozenset()

    @property
    def configuration(self) -> str:
        return f"{self.name}DestinationConfiguration"

    @property
    def update(self) -> str:
        return f"{self.name}DestinationUpdate"

    @property
    def description(self) -> str:
        return f"{self.name}DestinationDescription"


class DestinationModule(Protocol):
    """What a module of a destination has; see `contract`."""

    def check(self, configuration: Mapping[str, Any]) -> None: ...

    def open(
        self, platform: "Platform", stream: Entry[DeliveryStream], configuration: Mapping[str, Any]
    ) -> Destination: ...


_HINTS = {"SizeInMBs": 5, "IntervalInSeconds": 300}
_FIVE_MINUTES = {"DurationInSeconds": 300}
_SEARCH_FAILED = "elasticsearch-failed"
_SEARCH = {
    "BufferingHints": _HINTS,
    "RetryOptions": _FIVE_MINUTES,
    "S3BackupMode": "FailedDocumentsOnly",
    "IndexRotationPeriod": "OneDay",
    "DocumentIdOptions": {"DefaultDocumentIdFormat": "FIREHOSE_DEFAULT"},
}

S3 = Kind("ExtendedS3", "", "DeliveryToS3", "", {"S3BackupMode": "Disabled"}, joins_records=True)
KINDS = (
    S3,
    Kind(
        "HttpEndpoint",
        "http_endpoint",
        "DeliveryToHttpEndpoint",
        "http-endpoint-failed",
        {
            "BufferingHints": _HINTS,
            "RetryOptions": _FIVE_MINUTES,
            "S3BackupMode": "FailedDataOnly",
            "RequestConfiguration": {"ContentEncoding": "NONE"},
        },
    ),
    Kind(
        "Redshift",
        "redshift",
        "DeliveryToRedshift",
        "redshift-failed",
        {"RetryOptions": {"DurationInSeconds": 3600}, "S3BackupMode": "Disabled"},
        joins_records=True,
    ),
    Kind("Amazonopensearchservice", "opensearch", "DeliveryToAmazonOpenSearchService", _SEARCH_FAILED, _SEARCH),
    Kind("Elasticsearch", "opensearch", "DeliveryToElasticsearch", _SEARCH_FAILED, _SEARCH),
    Kind(
        "Iceberg",
        "iceberg",
        "DeliveryToIceberg",
        "iceberg-failed",
        {"BufferingHints": _HINTS, "RetryOptions": _FIVE_MINUTES, "S3BackupMode": "FailedDataOnly"},
        routing_keys=frozenset(("destinationDatabaseName", "destinationTableName", "operation")),
    ),
)

_BY_CONFIGURATION = {kind.configuration: kind for kind in KINDS}
_BY_UPDATE = {kind.update: kind for kind in KINDS}


def kind_of_configuration(member: str) -> Kind | None:
    """The kind that a member of CreateDeliveryStream asks for. Plain S3 is served as its extended form."""
    return S3 if member == "S3DestinationConfiguration" else _BY_CONFIGURATION.get(member)


def kind_of_update(member: str) -> Kind | None:
    return S3 if member == "S3DestinationUpdate" else _BY_UPDATE.get(member)


def kind_of(stream: DeliveryStream) -> Kind:
    return _BY_CONFIGURATION[stream.kind]


def module_of(kind: Kind) -> DestinationModule:
    """The module of a destination other than S3."""
    return cast(DestinationModule, importlib.import_module(f"clary.systems.firehose.destinations.{kind.module}"))
