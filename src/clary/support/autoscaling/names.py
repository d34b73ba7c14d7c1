"""How targets, policies and actions are named, and the errors for names that mean nothing here."""

import re
from typing import NamedTuple

from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.support.autoscaling.records import ScalableTarget

NAMESPACE = "sagemaker"
INSTANCES = "sagemaker:variant:DesiredInstanceCount"
COPIES = "sagemaker:inference-component:DesiredCopyCount"
DIMENSIONS = (INSTANCES, COPIES)

_NAME = r"([A-Za-z0-9](?:-*[A-Za-z0-9])*)"
_VARIANT = re.compile(f"endpoint/{_NAME}/variant/{_NAME}")
_COMPONENT = re.compile(f"inference-component/{_NAME}")


class Scaled(NamedTuple):
    """What a resource id names: a variant of an endpoint, or an inference component."""

    endpoint: str = ""
    variant: str = ""
    component: str = ""

    @property
    def dimension(self) -> str:
        return COPIES if self.component else INSTANCES


def check_namespace(namespace: str, dimension: str | None = None) -> None:
    """Raise ValidationException for what cannot be scaled here."""
    if namespace != NAMESPACE:
        raise not_supported(f"ServiceNamespace {namespace}", f"give {NAMESPACE}; it has what can be scaled here.")
    if dimension is None or dimension in DIMENSIONS:
        return
    if not dimension.startswith(f"{NAMESPACE}:"):
        raise validation(f"ScalableDimension {dimension} does not belong to the service namespace {namespace}.")
    raise not_supported(f"ScalableDimension {dimension}", f"give {' or '.join(DIMENSIONS)}.")


def target_name(namespace: str, resource: str, dimension: str) -> str:
    """The record name of a target. Raises ValidationException for a resource id or dimension that is none of ours."""
    check_namespace(namespace, dimension)
    if scaled(resource).dimension != dimension:
        raise validation(
            f"ScalableDimension {dimension} does not go with ResourceId {resource}: "
            f"its dimension is {scaled(resource).dimension}."
        )
    return f"{dimension}/{resource}"


def scaled(resource: str) -> Scaled:
    """What a resource id names. Raises ValidationException."""
    if found := _VARIANT.fullmatch(resource):
        return Scaled(found[1], found[2])
    if found := _COMPONENT.fullmatch(resource):
        return Scaled(component=found[1])
    raise validation(
        f"ResourceId {resource} is not valid: expected endpoint/<name>/variant/<name> or inference-component/<name>."
    )


def find_target(ctx: Context, namespace: str, resource: str, dimension: str) -> Entry[ScalableTarget]:
    """A registered target. Raises ObjectNotFoundException."""
    entry = ctx.records(ScalableTarget).get(target_name(namespace, resource, dimension))
    if entry is None:
        raise missing("scalable target", namespace, resource, dimension, verb="registered")
    return entry


def missing(what: str, namespace: str, resource: str, dimension: str, *, verb: str = "found") -> AwsError:
    return AwsError(
        "ObjectNotFoundException",
        f"No {what} {verb} for service namespace: {namespace}, resource ID: {resource}, "
        f"scalable dimension: {dimension}",
    )


def target_arn(ctx: Context, identity: str) -> str:
    return ctx.arn(f"scalable-target/{identity}", service="application-autoscaling")


def part_arn(ctx: Context, kind: str, identity: str, resource: str, label: str, name: str) -> str:
    """The ARN of a policy or a scheduled action, under the service name that AWS gives them."""
    return ctx.arn(f"{kind}:{identity}:resource/{NAMESPACE}/{resource}:{label}/{name}", service="autoscaling")
