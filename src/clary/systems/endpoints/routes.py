"""What the gateways are told of an endpoint, from its record and what is seen of its servers. Pure."""

from collections.abc import Sequence

from clary.kernel.jobs.contract import Observation, Phase
from clary.kernel.serving.routes import Asynchronous, Route, Target, dump_route
from clary.systems.endpoints.capture_config import capture_rules
from clary.systems.endpoints.records import Endpoint, Fleet, Instance, Variant
from clary.systems.endpoints.servers import keeps_models, multi_model_container
from clary.systems.endpoints.sightings import Sightings


def build_route(endpoint: Endpoint, sightings: Sightings) -> bytes | None:
    """The table of an endpoint; None for one that takes no requests."""
    if endpoint.serving is None:
        return None
    moved = endpoint.shift.share if endpoint.shift and endpoint.deploying else 0.0
    targets = _targets(endpoint.serving, 1 - moved, sightings)
    if endpoint.deploying and moved:
        targets += _targets(endpoint.deploying, moved, sightings)
    shadows = _shadows(endpoint.serving, sightings)
    rules, asynchronous = capture_rules(endpoint.serving.capture), _asynchronous(endpoint.serving)
    return dump_route(Route(targets, endpoint.revision, shadows, rules, asynchronous))


def _asynchronous(fleet: Fleet) -> Asynchronous | None:
    """How requests are queued; they are read, answered and told of as the role of the first variant."""
    if fleet.asynchronous is None:
        return None
    return Asynchronous(fleet.asynchronous, fleet.variants[0].role)


def _targets(fleet: Fleet, share: float, sightings: Sightings) -> list[Target]:
    """The variants of a fleet, which has a share of the endpoint's traffic; their weights add up to 1."""
    variants = [variant for variant in fleet.variants if not variant.shadow]
    total = sum(variant.current_weight for variant in variants)
    even = 1 / max(len(variants), 1)
    return [_target(one, one.current_weight / total if total else even, share, sightings) for one in variants]


def _shadows(fleet: Fleet, sightings: Sightings) -> list[Target]:
    """The shadow variants of a fleet, each with a weight that is the share of requests that it gets a copy of."""
    total = sum(variant.current_weight for variant in fleet.variants if not variant.shadow)
    return [
        _target(one, one.current_weight / total if total else one.current_weight, 1.0, sightings)
        for one in fleet.variants
        if one.shadow
    ]


def _target(variant: Variant, weight: float, share: float, sightings: Sightings) -> Target:
    many = multi_model_container(variant.containers)
    return Target(
        name=variant.name,
        weight=weight,
        count=variant.desired_count,
        servers=_servers(variant.instances, sightings),
        containers=list(variant.containers),
        mode=variant.mode,
        routing=variant.routing,
        share=share,
        concurrency=variant.serverless["MaxConcurrency"] if variant.serverless else 0,
        role=variant.role,
        many=many or "",
        loaders=_loaders(variant.instances, sightings, many) if many else {},
        kept=many is None or keeps_models(variant.containers[many]),
    )


def _loaders(instances: Sequence[Instance], sightings: Sightings, container: str) -> dict[str, str]:
    """Where the instances of a multi-model variant have their models loaded."""
    seen = {instance.id: sightings.get(instance.job, {}).get(container) for instance in instances}
    return {instance: f"unix:{one.models_socket}" for instance, one in seen.items() if one and one.models_socket}


def _servers(instances: Sequence[Instance], sightings: Sightings) -> dict[str, list[str]]:
    """The addresses of instances that may be asked.

    Servers that fail their pings get no requests while others do not; when all fail they get them still, since a
    server that is merely too busy for a ping is better than none.
    """
    well: dict[str, list[str]] = {}
    ill: dict[str, list[str]] = {}
    for instance in instances:
        seen = [sightings.get(instance.job, {}).get(host) for host in instance.hosts]
        addresses = [_address(one) for one in seen if one is not None and _answers(one)]
        if len(addresses) == len(instance.hosts):
            (well if all(one and one.healthy for one in seen) else ill)[instance.id] = addresses
    return well or ill


def _answers(observation: Observation) -> bool:
    return observation.phase is Phase.RUNNING and observation.healthy is not None


def _address(observation: Observation) -> str:
    return f"unix:{observation.socket}" if observation.socket else f"tcp:{observation.port}"
