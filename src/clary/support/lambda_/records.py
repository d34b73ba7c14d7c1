"""What this room stores: functions with all that hangs on them, their published versions, and layers."""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record

LATEST = "$LATEST"


@record("lambda_function", version=1)
@dataclass(frozen=True, slots=True)
class Function:
    """A function as `$LATEST` is now, and what is asked for each of its qualifiers.

    `configuration` holds CreateFunction's members as on the wire, with AWS's defaults for those left out. `code` is the
    place of the zip (`uri`), its `sha256` in base64 and its `size` in bytes. `role` is the ARN of the role that it acts
    as. `revision` names this state of `$LATEST`; `modified_at` is in epoch seconds.

    `aliases` are AliasConfigurations without their ARNs, by name. `policies`, `event_configs` and `provisioned` are by
    qualifier: statements with a revision, FunctionEventInvokeConfigs, and ProvisionedConcurrencyConfigs. `reserved` is
    the concurrency set aside, None for none.
    """

    configuration: dict[str, Any]
    code: dict[str, Any]
    role: str
    revision: str
    modified_at: float
    last_version: int = 0
    aliases: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    event_configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    provisioned: dict[str, dict[str, Any]] = field(default_factory=dict)
    reserved: int | None = None
    tags: dict[str, str] = field(default_factory=dict)


@record("lambda_version", version=1)
@dataclass(frozen=True, slots=True)
class Version:
    """A published version, named `function:number`; its parent is the function. The members are a Function's."""

    configuration: dict[str, Any]
    code: dict[str, Any]
    role: str
    revision: str
    modified_at: float


def version_name(function: str, number: str) -> str:
    return f"{function}:{number}"


@record("lambda_layer", version=1)
@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, and the last number that was given to one of its versions; numbers are never given twice."""

    last_version: int = 0


@record("lambda_layer_version", version=1)
@dataclass(frozen=True, slots=True)
class LayerVersion:
    """A version of a layer, named `layer:number`; its parent is the layer. `members` are PublishLayerVersion's.

    `unzipped` is how many bytes it takes when it is unpacked.
    """

    members: dict[str, Any]
    code: dict[str, Any]
    unzipped: int
    created_at: float


@record("lambda_mapping", version=1)
@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """A source that a function is fed from, named by its UUID; its parent is the source's ARN.

    Its status is AWS's: Creating, Enabling, Enabled, Disabling, Disabled, Updating or Deleting. `members` are those of
    CreateEventSourceMapping as on the wire, with AWS's defaults; `function` is the ARN that names the function.
    `revision` names this state of the members. Times are epoch seconds. What is read of a stream begins at `start_at`,
    0 for the oldest record there is.
    """

    members: dict[str, Any]
    function: str
    enabled: bool
    modified_at: float
    revision: str
    start_at: float = 0.0
    reason: str = "User action"
