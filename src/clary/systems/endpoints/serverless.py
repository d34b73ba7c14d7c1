"""Serverless variants: as many instances as requests need at once, none when nothing is asked.

A gateway that has requests for a serverless variant tells of its demand (`kernel/serving/demand`); the reconciler
starts instances for it, each for one request at a time, up to the variant's `MaxConcurrency`.
`ProvisionedConcurrency` instances are always there. An instance that nobody has needed for a while is let go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.jobs.contract import Resources
from clary.kernel.jobs.slots import Machine
from clary.kernel.serving.demand import Demand, instances_for
from clary.systems.endpoints.records import Endpoint, Variant

_MIB = 1024**2
_MIB_PER_CPU = 1769  # as AWS Lambda, under whose serverless endpoints are, gives CPUs by memory


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
    since = [one.healthy_since for one in variant.instances if one.healthy_since is not None]
    least, most = variant.serverless.get("ProvisionedConcurrency", 0), variant.serverless["MaxConcurrency"]
    return replace(variant, desired_count=instances_for(demands, since, idle_seconds, now, least=least, most=most))


def resources(config: Mapping[str, Any], machine: Machine) -> Resources:
    """What each instance may use: the memory it asks for, and CPUs in proportion, as far as the machine has them."""
    memory = min(config["MemorySizeInMB"] * _MIB, machine.memory_bytes)
    return Resources(min(max(1, round(config["MemorySizeInMB"] / _MIB_PER_CPU)), machine.cpus), memory)
