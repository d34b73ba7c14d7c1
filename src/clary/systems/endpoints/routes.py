"""The routing table of an endpoint: what the reconciler tells every gateway, through a key-value entry.

It names the servers that requests may be sent to now. The reconciler writes it before the record says what a client may
rely on (InService), and removes it before servers leave.
"""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import orjson

from clary.kernel.jobs.contract import Observation, Phase
from clary.systems.endpoints.records import Endpoint, Variant

DOMAIN = "endpoints"


@dataclass(frozen=True, slots=True)
class Target:
    """A variant's share of the traffic and its servers, by instance id. `count` is how many it should have."""

    name: str
    weight: float
    routing: str
    count: int
    servers: dict[str, str]


def route_key(account: str, region: str, name: str) -> bytes:
    return f"route/{account}/{region}/{name}".encode()


def build_route(endpoint: Endpoint, seen: Mapping[str, Observation | None]) -> bytes | None:
    """The table of an endpoint; None for one that takes no requests.

    Servers that fail their pings get no requests while others do not; when all fail they get them still, since a
    server that is merely too busy for a ping is better than none.
    """
    if endpoint.serving is None:
        return None
    targets = [
        Target(
            variant.name,
            variant.current_weight,
            variant.routing,
            variant.desired_count,
            _addresses(variant, seen),
        )
        for variant in endpoint.serving.variants
    ]
    return orjson.dumps(targets)


def read_route(table: bytes) -> list[Target]:
    return [Target(**item) for item in orjson.loads(table)]


def _addresses(variant: Variant, seen: Mapping[str, Observation | None]) -> dict[str, str]:
    found: dict[str, str] = {}
    ill: dict[str, str] = {}
    for instance in variant.instances:
        observation = seen.get(instance.job)
        if observation is None or observation.phase is not Phase.RUNNING or observation.healthy is None:
            continue
        address = f"unix:{observation.socket}" if observation.socket else f"tcp:{observation.port}"
        (found if observation.healthy else ill)[instance.id] = address
    return found or ill


def choose_target(targets: Collection[Target]) -> Target:
    """A variant by weight, among those that have a server; any of them when all weights are zero."""
    able = [target for target in targets if target.servers] or list(targets)
    if len(able) == 1:
        return able[0]
    weights = [target.weight for target in able]
    return random.choices(able, weights if any(weights) else None)[0]
