"""What this room stores: models, endpoint configurations, and endpoints with their fleets of model servers.

An endpoint holds a copy of everything its servers are started from, so that a model or configuration deleted later
changes nothing for endpoints that run.
"""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record


@record("model", version=1)
@dataclass(frozen=True, slots=True)
class Model:
    """`definition` holds CreateModel's members as they were sent, besides the name and the tags.

    `role` is the ARN of the role that servers of the model act as; empty when none was named. `packaged` are the
    containers where some came from a model package, as it was when the model was made; None where none did.
    """

    definition: dict[str, Any]
    role: str = ""
    packaged: list[dict[str, Any]] | None = None

    @property
    def containers(self) -> list[dict[str, Any]]:
        """The containers that serve the model, in the order in which requests pass through them."""
        if self.packaged is not None:
            return self.packaged
        primary = self.definition.get("PrimaryContainer")
        found: list[dict[str, Any]] = [primary] if primary else self.definition["Containers"]
        return found

    @property
    def mode(self) -> str:
        """`Serial`, or `Direct` when each request names its container."""
        return str(self.definition.get("InferenceExecutionConfig", {}).get("Mode", "Serial"))


@record("endpoint_config", version=1)
@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """`definition` holds CreateEndpointConfig's members as they were sent, besides the name and the tags.

    `role` is the ARN of the role that its servers act as instead of their models'; empty when none was named.
    """

    definition: dict[str, Any]
    role: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a variant, with a model server for each container, through all its attempts. Times are epoch
    seconds.

    `job` names the current attempt to the executor, `hosts` its servers, in the order of the containers; it is not to
    be started before `start_after`.
    `failures` counts attempts that ended since the last long healthy one; `reason` says why the last one ended.
    `healthy_since` belongs to the current attempt; `served` says that any attempt was ever healthy.
    """

    id: str
    job: str
    hosts: list[str]
    attempt: int = 1
    start_after: float = 0.0
    failures: int = 0
    reason: str = ""
    healthy_since: float | None = None
    unhealthy_since: float | None = None
    served: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """A production variant as it was when it was deployed: the model's containers and what they run on.

    `containers` are ContainerDefinitions as on the wire, by their host names, in the order in which requests pass
    through them in `mode` Serial; `serverless` is the ServerlessConfig of one that has no instance type; `options` the
    variant's other recorded members; `role` the ARN of the role its servers act as, empty for none. A `shadow` variant
    gets copies of requests and answers nobody.
    """

    name: str
    model: str
    containers: dict[str, dict[str, Any]]
    mode: str
    role: str
    isolated: bool
    instance_type: str
    desired_count: int
    desired_weight: float
    current_weight: float
    routing: str
    startup_timeout_seconds: float
    download_timeout_seconds: float
    serverless: dict[str, int] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    shadow: bool = False
    instances: list[Instance] = field(default_factory=list)

    def __post_init__(self) -> None:
        _revive(self, "instances", Instance)


@dataclass(frozen=True, slots=True)
class Fleet:
    """All servers of one deployment of an endpoint configuration.

    `capture` is its DataCaptureConfig, if it has one. `asynchronous` is its AsyncInferenceConfig: requests come through
    a queue, and no others.
    """

    id: str
    config: str
    created_at: float
    variants: list[Variant]
    capture: dict[str, Any] | None = None
    asynchronous: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        _revive(self, "variants", Variant)

    @property
    def instances(self) -> list[Instance]:
        return [instance for variant in self.variants for instance in variant.instances]


@dataclass(frozen=True, slots=True)
class Leaving:
    """An instance that is no longer wanted: asked to stop at `leave_at`, when its last requests are answered."""

    job: str
    hosts: list[str]
    leave_at: float


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the traffic has moved from `serving` to `deploying`.

    `stage` is what is being done since `since` (epoch seconds), as a VariantStatus; `share` the part of the traffic
    that the new fleet has; `step` how many steps were taken.
    """

    stage: str
    since: float
    share: float = 0.0
    step: int = 0


@record("endpoint", version=1)
@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is asked (`status`, `deploying`) and what is. `serving` gets the traffic; `deploying` will, once healthy.

    `config` is the configuration last deployed with success, or asked for when none was yet. `revision` names this life
    of the endpoint: one deleted and created anew has another. `deployment` is the DeploymentConfig that is followed,
    `shift` how far it is. `unscaled` holds, by variant, the desired members that a change of counts and weights goes
    back to when it fails.
    """

    config: str
    status: str
    revision: str
    failure_reason: str = ""
    serving: Fleet | None = None
    deploying: Fleet | None = None
    leaving: list[Leaving] = field(default_factory=list)
    deployment: dict[str, Any] | None = None
    last_deployment: dict[str, Any] | None = None
    shift: Shift | None = None
    unscaled: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("serving", "deploying"):
            value: Any = getattr(self, name)
            if isinstance(value, dict):
                object.__setattr__(self, name, Fleet(**value))
        if isinstance(self.shift, dict):
            object.__setattr__(self, "shift", Shift(**self.shift))
        _revive(self, "leaving", Leaving)

    @property
    def fleets(self) -> list[Fleet]:
        return [fleet for fleet in (self.serving, self.deploying) if fleet is not None]

    @property
    def jobs(self) -> dict[str, list[str]]:
        """Every attempt that this endpoint may have running, with its hosts."""
        return {
            **{instance.job: instance.hosts for fleet in self.fleets for instance in fleet.instances},
            **{leaving.job: leaving.hosts for leaving in self.leaving},
        }


@record("inference_component", version=1)
@dataclass(frozen=True, slots=True)
class InferenceComponent:
    """A model that shares the instances of an endpoint's variant with others.

    `copies` are its model servers, in the terms of an endpoint of their own: one variant, with an instance for each
    copy. `specification` is the Specification of what serves, or, until something does, of what was asked for;
    `deploying` that of an update under way.
    """

    endpoint: str
    variant: str
    specification: dict[str, Any]
    copies: Endpoint
    deploying: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        stored: Any = self.copies
        if isinstance(stored, dict):
            object.__setattr__(self, "copies", Endpoint(**stored))

    @property
    def current(self) -> Variant | None:
        """The copies that serve, or, before any does, those that are to; None when it has failed."""
        fleet = self.copies.serving or self.copies.deploying
        return fleet.variants[0] if fleet else None


def _revive(owner: Any, name: str, cls: type) -> None:
    """Turn the documents in a list back into what they were before they were stored."""
    items = getattr(owner, name)
    if any(isinstance(item, dict) for item in items):
        object.__setattr__(owner, name, [cls(**item) if isinstance(item, dict) else item for item in items])
