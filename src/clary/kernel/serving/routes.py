"""The routing table of an endpoint, kept as one key-value entry: where requests may be sent to now.

It is written before a client can rely on what it says (InService), and taken back before servers leave. Readers
keep it for a moment only: see `Route`.
"""

import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from clary.kernel.kv import KeyValue, after_prefix

DOMAIN = "endpoints"
COMPONENT = "/component/"
BELLS = "routes"
"""The bells that ring an endpoint's key when its table has changed."""

SERIAL = "Serial"
DIRECT = "Direct"
RANDOM = "RANDOM"


@dataclass(frozen=True, slots=True)
class Capture:
    """What is kept of an endpoint's requests and answers: `percentage` of them, below `destination`, an S3 URI.

    Data of `csv_types` and `json_types`, media types without parameters, are kept as they are, others as base64.
    """

    destination: str
    percentage: float
    inputs: bool = True
    outputs: bool = True
    csv_types: list[str] = field(default_factory=list)
    json_types: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Target:
    """Servers of one variant, as one deployment has them.

    `weight` is the variant's within its deployment, `share` the deployment's part of the endpoint's traffic: while
    traffic shifts, a variant stands here twice. `count` is how many instances it should have. `servers` holds, by
    instance id, an address for each of `containers`, in their order: `unix:PATH` or `tcp:PORT` on the loopback.
    Requests pass through all containers one after another (`Serial`) or name one (`Direct`). A serverless variant takes
    `concurrency` requests at once, one to each instance; 0 is for those that are not serverless. `role` is the ARN of
    the role with whose rights what is kept for the variant is stored; empty for the account's.
    The container `many`, if any, has many models, which requests name: `loaders` holds, by instance id, the address
    where they are loaded (see `loading`), and those that are not `kept` are to be loaded for each request.
    """

    name: str
    weight: float
    count: int
    servers: dict[str, list[str]]
    containers: list[str] = field(default_factory=lambda: ["primary"])
    mode: str = SERIAL
    routing: str = "LEAST_OUTSTANDING_REQUESTS"
    share: float = 1.0
    concurrency: int = 0
    role: str = ""
    many: str = ""
    loaders: dict[str, str] = field(default_factory=dict)
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Asynchronous:
    """That an endpoint takes its requests from a queue, and no others.

    `config` is its AsyncInferenceConfig, as on the wire; `role` the ARN of the role as which inputs are read, outputs
    written and notifications published, empty for the account itself.
    """

    config: dict[str, Any]
    role: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """All that whoever sends requests knows of an endpoint. `revision` names this life of the endpoint.

    `shadows` get copies of requests, as many as their weight is of that of the target that answers; nobody gets their
    answers. `capture` is None where nothing is kept.
    """

    targets: list[Target]
    revision: str = ""
    shadows: list[Target] = field(default_factory=list)
    capture: Capture | None = None
    asynchronous: Asynchronous | None = None


def route_key(account: str, region: str, name: str) -> bytes:
    return f"route/{account}/{region}/{name}".encode()


def component_key(account: str, region: str, endpoint: str, component: str) -> bytes:
    """The key of an inference component's own table; no endpoint's name has a slash in it."""
    return route_key(account, region, component_address(endpoint, component))


def component_address(endpoint: str, component: str) -> str:
    """What stands for an endpoint's name where requests are for one of its components."""
    return endpoint + COMPONENT + component


def dump_route(route: Route) -> bytes:
    return orjson.dumps(route)


def load_route(table: bytes) -> Route:
    document: dict[str, Any] = orjson.loads(table)
    capture, asynchronous = document.get("capture"), document.get("asynchronous")
    return Route(
        **{
            **document,
            "targets": _targets(document["targets"]),
            "shadows": _targets(document.get("shadows", ())),
            "capture": Capture(**capture) if capture else None,
            "asynchronous": Asynchronous(**asynchronous) if asynchronous else None,
        }
    )


def _targets(items: Iterable[dict[str, Any]]) -> list[Target]:
    return [Target(**item) for item in items]


def route_keys(kv: KeyValue) -> list[bytes]:
    """The keys of all tables, those of inference components among them."""
    return [key for key, _ in kv.scan(b"route/", after_prefix(b"route/"))]


def all_routes(kv: KeyValue) -> Iterator[tuple[str, str, str, Route]]:
    """Account, region, name and table of every endpoint that takes requests."""
    for key, table in kv.scan(b"route/", after_prefix(b"route/")):
        _, account, region, name = key.decode().split("/", 3)
        yield account, region, name, load_route(table)


def write_route(kv: KeyValue, key: bytes, table: bytes | None) -> bool:
    """Tell every reader, durably, where requests may go; None takes the endpoint out. Whether that is news."""
    if kv.get(key) == table:
        return False
    if table is None:
        kv.write(lambda transaction: transaction.delete(key))
    else:
        kv.write(lambda transaction: transaction.put(key, table))
    return True


def choose_target(targets: Collection[Target], variant: str = "") -> Target | None:
    """A target by chance: by share and weight, or, for a variant that is named, by share; None when there is no such.

    One without servers is chosen only when none has any.
    """
    named = [target for target in targets if target.name == variant] if variant else targets
    able = [target for target in named if target.servers] or list(named)
    if len(able) < 2:
        return able[0] if able else None
    weights = [target.share if variant else target.share * target.weight for target in able]
    return random.choices(able, weights if any(weights) else None)[0]
