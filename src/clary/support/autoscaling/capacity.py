"""The capacity of a resource, read and set through the room that owns it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.support.autoscaling.names import endpoint_and_variant

Call = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]
"""Calls an operation of a service with its parameters."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """`settled` when nothing is changing, so that the capacity may be set; `failure` says why a change came to nothing.

    `present` is False when the endpoint is there and the variant is not. `may_be_zero` for a variant that can wait
    without any instance.
    """

    desired: int
    current: int
    settled: bool
    failure: str = ""
    present: bool = True
    may_be_zero: bool = False


def read_capacity(call: Call, resource: str) -> Capacity | None:
    """The capacity of a resource id; None when its endpoint does not exist."""
    endpoint, variant = endpoint_and_variant(resource)
    try:
        described = call("sagemaker", "DescribeEndpoint", {"EndpointName": endpoint})
    except AwsError as error:
        if error.code == "ValidationException" and error.message.startswith("Could not find"):
            return None
        raise
    settled = described["EndpointStatus"] == "InService"
    failure = str(described.get("FailureReason") or "")
    may_be_zero = described.get("AsyncInferenceConfig") is not None
    for shown in described.get("ProductionVariants") or ():
        if shown["VariantName"] == variant:
            desired, current = shown["DesiredInstanceCount"], shown["CurrentInstanceCount"]
            return Capacity(desired, current, settled, failure, may_be_zero=may_be_zero)
    # An endpoint that is being created shows no variants yet.
    return Capacity(0, 0, settled=False, present=not settled, may_be_zero=may_be_zero)


def set_capacity(call: Call, resource: str, count: int) -> None:
    """Ask for a capacity. Raises AwsError, above all when a change is under way already."""
    endpoint, variant = endpoint_and_variant(resource)
    wanted = [{"VariantName": variant, "DesiredInstanceCount": count}]
    call(
        "sagemaker",
        "UpdateEndpointWeightsAndCapacities",
        {"EndpointName": endpoint, "DesiredWeightsAndCapacities": wanted},
    )
