"""Serverless variants: as many instances as requests need at once, none when nothing is asked.

A gateway that has requests for a serverless variant writes down its demand, a key-value entry; the reconciler sums the
demands of all gateways and starts instances, each for one request at a time, up to the variant's `MaxConcurrency`.
`ProvisionedConcurrency` instances are always there. An instance that nobody has needed for a while is let go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from clary.kernel.jobs.contract import Resources
from clary.kernel.jobs.slots import Machine
from clary.kernel.kv import KeyValue, Transaction, after_prefix
from clary.systems.endpoints.records import Endpoint, Variant

_PREFIX = b"demand/"
_MIB = 1024**2
_MIB_PER_CPU = 1769  # as AWS Lambda, under whose serverless endpoints are, gives CPUs by memory


@dataclass(frozen=True, slots=True)
class Demand:
    """How many requests a gateway had under way at once lately, as of the epoch second `at`."""

    wanted: int
    at: float

    def dump(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def load(cls, document: bytes) -> "Demand":
        return cls(**orjson.loads(document))


def demand_prefix(account: str, region: str, endpoint: str) -> bytes:
    return _PREFIX + f"{account}/{region}/{endpoint}/".encode()


def demand_key(account: str, region: str, endpoint: str, variant: str, gateway: str) -> bytes:
    return demand_prefix(account, region, endpoint) + f"{variant}/{gateway}".encode()


def variant_of(key: bytes) -> str:
    """The variant that a demand's key names."""
    return key.split(b"/")[-2].decode()


def forget_old(kv: KeyValue, before: float) -> None:
    """Forget demands of before an epoch second; whoever told of one and still runs will tell again."""

    def change(transaction: Transaction) -> None:
        for key, document in old:
            if transaction.get(key) == document:
                transaction.delete(key)

    old = [
        (key, document)
        for key, document in kv.scan(_PREFIX, after_prefix(_PREFIX))
        if Demand.load(document).at < before
    ]
    if old:
        kv.write(change)


def is_serverless(endpoint: Endpoint) -> bool:
    return any(variant.serverless for fleet in endpoint.fleets for variant in fleet.variants)


def meet(endpoint: Endpoint, demands: Mapping[str, Sequence[Demand]], idle_seconds: float, now: float) -> Endpoint:
    """The endpoint with the counts that its serverless variants should have, for the demands on each.

    Demands older than `idle_seconds` count no more, and an instance stays that long even when nobody needed it.
    """
    if endpoint.serving is None or not is_serverless(endpoint):
        return endpoint
    variants = [_meet(one, demands.get(one.name, ()), idle_seconds, now) for one in endpoint.serving.variants]
    if variants == endpoint.serving.variants:
        return endpoint
    return replace(endpoint, serving=replace(endpoint.serving, variants=variants))


def _meet(variant: Variant, demands: Sequence[Demand], idle_seconds: float, now: float) -> Variant:
    if not variant.serverless:
        return variant
    wanted = sum(one.wanted for one in demands if now - one.at < idle_seconds)
    young = sum(now - one.healthy_since < idle_seconds for one in variant.instances if one.healthy_since is not None)
    least = variant.serverless.get("ProvisionedConcurrency", 0)
    return replace(variant, desired_count=min(max(wanted, young, least), variant.serverless["MaxConcurrency"]))


def resources(config: Mapping[str, Any], machine: Machine) -> Resources:
    """What each instance may use: the memory it asks for, and CPUs in proportion, as far as the machine has them."""
    memory = min(config["MemorySizeInMB"] * _MIB, machine.memory_bytes)
    return Resources(min(max(1, round(config["MemorySizeInMB"] / _MIB_PER_CPU)), machine.cpus), memory)
