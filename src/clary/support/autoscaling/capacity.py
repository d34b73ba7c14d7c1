"""The capacity of a resource, read and set through the room that owns it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.support.autoscaling.names import scaled

Call = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]
"""Calls an operation of a service with its parameters."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """`settled` when nothing is changing, so that the capacity may be set; `failure` says why a change came to nothing.

    `present` is False when the endpoint is there and the variant is not, or has no count, as serverless ones.
    `may_be_zero` for a variant that can wait without any instance.
    """

    desired: int
    current: int
    settled: bool
    failure: str = ""
    present: bool = True
    may_be_zero: bool = False


def read_capacity(call: Call, resource: str) -> Capacity | None:
    """The capacity of a resource id; None when its endpoint, or the inference component, does not exist."""
    names = scaled(resource)
    try:
        if names.component:
            return _copies(call("sagemaker", "DescribeInferenceComponent", {"InferenceComponentName": names.component}))
        return _instances(call("sagemaker", "DescribeEndpoint", {"EndpointName": names.endpoint}), names.variant)
    except AwsError as error:
        if error.code == "ValidationException" and error.message.startswith("Could not find"):
            return None
        raise


def _copies(described: Mapping[str, Any]) -> Capacity:
    status, counts = described["InferenceComponentStatus"], described.get("RuntimeConfig")
    failure = str(described.get("FailureReason") or "")
    if counts is None:  # it has failed
        return Capacity(0, 0, settled=False, failure=failure, may_be_zero=True)
    settled = status == "InService"
    return Capacity(counts["DesiredCopyCount"], counts["CurrentCopyCount"], settled, failure, may_be_zero=True)


def _instances(described: Mapping[str, Any], variant: str) -> Capacity:
    settled = described["EndpointStatus"] == "InService"
    failure = str(described.get("FailureReason") or "")
    may_be_zero = described.get("AsyncInferenceConfig") is not None
    for shown in described.get("ProductionVariants") or ():
        if shown["VariantName"] == variant:
            if "DesiredInstanceCount" not in shown:
                return Capacity(0, 0, settled, failure, present=False)
            desired, current = shown["DesiredInstanceCount"], shown["CurrentInstanceCount"]
            return Capacity(desired, current, settled, failure, may_be_zero=may_be_zero)
    # An endpoint that is being created shows no variants yet.
    return Capacity(0, 0, settled=False, present=not settled, may_be_zero=may_be_zero)


def set_capacity(call: Call, resource: str, count: int) -> None:
    """Ask for a capacity. Raises AwsError, above all when a change is under way already."""
    names = scaled(resource)
    if names.component:
        asked = {"InferenceComponentName": names.component, "DesiredRuntimeConfig": {"CopyCount": count}}
        call("sagemaker", "UpdateInferenceComponentRuntimeConfig", asked)
        return
    wanted = [{"VariantName": names.variant, "DesiredInstanceCount": count}]
    call(
        "sagemaker",
        "UpdateEndpointWeightsAndCapacities",
        {"EndpointName": names.endpoint, "DesiredWeightsAndCapacities": wanted},
    )
