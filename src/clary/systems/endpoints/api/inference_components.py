"""Inference components: models that share an endpoint's instances, each with copies of its own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.lists import list_output
from clary.kernel.rooms.tags import read_tags
from clary.kernel.store import Entry
from clary.systems.endpoints import deploy
from clary.systems.endpoints.components import build_copies, check_specification, component_document
from clary.systems.endpoints.records import Endpoint, Fleet, InferenceComponent, Variant
from clary.systems.endpoints.resources import COMPONENTS, ENDPOINTS, MODELS
from clary.systems.endpoints.servers import serves_many

_TOPIC = "inference_components"
_RESOURCE = "inference-component/{InferenceComponentName}"


@operation("sagemaker", "CreateInferenceComponent", resource=_RESOURCE)
def create_inference_component(
    ctx: Context,
    *,
    InferenceComponentName: str,
    EndpointName: str,
    VariantName: str | None = None,
    Specification: dict[str, Any] | None = None,
    RuntimeConfig: dict[str, Any] | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Ask for copies of a model on the instances of an endpoint's variant."""
    if Specification is None:
        raise validation("Specification is missing: say which model to deploy, and what one copy needs.")
    check_specification(Specification)
    host = _host(ctx, EndpointName, VariantName)
    copies = Endpoint(
        config="",
        status=deploy.CREATING,
        revision=new_id(),
        deploying=_copies(ctx, Specification, host, (RuntimeConfig or {"CopyCount": 1})["CopyCount"]),
    )
    component = InferenceComponent(EndpointName, host.name, Specification, copies)
    COMPONENTS.create(
        ctx,
        InferenceComponentName,
        component,
        tags=read_tags(Tags),
        status=deploy.CREATING,
        parent=EndpointName,
    )
    return _accepted(ctx, InferenceComponentName)


@operation("sagemaker", "UpdateInferenceComponent", resource=_RESOURCE)
def update_inference_component(
    ctx: Context,
    *,
    InferenceComponentName: str,
    Specification: dict[str, Any] | None = None,
    RuntimeConfig: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Ask for another model, or another number of copies. What serves now serves until all new copies are healthy."""
    if Specification is None:
        if RuntimeConfig is None:
            raise validation("Give a Specification, a RuntimeConfig, or both: nothing else can be updated.")
        return _scale(ctx, InferenceComponentName, RuntimeConfig["CopyCount"])
    check_specification(Specification)
    component = COMPONENTS.get(ctx, InferenceComponentName).value
    host = _host(ctx, component.endpoint, component.variant)

    def change(component: InferenceComponent) -> InferenceComponent:
        serving = _require_in_service(ctx, InferenceComponentName, component)
        count = RuntimeConfig["CopyCount"] if RuntimeConfig else serving.variants[0].desired_count
        copies = replace(
            component.copies,
            status=deploy.UPDATING,
            failure_reason="",
            deploying=_copies(ctx, Specification, host, count),
        )
        return replace(component, copies=copies, deploying=Specification)

    return _change(ctx, InferenceComponentName, change)


@operation("sagemaker", "UpdateInferenceComponentRuntimeConfig", resource=_RESOURCE)
def update_inference_component_runtime_config(
    ctx: Context, InferenceComponentName: str, DesiredRuntimeConfig: dict[str, Any]
) -> dict[str, Any]:
    """Ask for another number of copies."""
    return _scale(ctx, InferenceComponentName, DesiredRuntimeConfig["CopyCount"])


@operation("sagemaker", "DescribeInferenceComponent", resource=_RESOURCE)
def describe_inference_component(ctx: Context, InferenceComponentName: str) -> dict[str, Any]:
    entry = COMPONENTS.get(ctx, InferenceComponentName)
    return {**component_document(entry), **_arns(ctx, entry)}


@operation("sagemaker", "ListInferenceComponents")
def list_inference_components(ctx: Context, **request: Any) -> dict[str, Any]:
    """Components, of all endpoints or of one, of all variants or of one."""

    def show(entry: Entry[InferenceComponent]) -> dict[str, Any]:
        return {
            "InferenceComponentName": entry.name,
            "EndpointName": entry.value.endpoint,
            "VariantName": entry.value.variant,
            "InferenceComponentStatus": entry.status,
            "CreationTime": entry.created_at,
            "LastModifiedTime": entry.updated_at,
            **_arns(ctx, entry),
        }

    variant = request.get("VariantNameEquals")
    endpoint = request.get("EndpointNameEquals")
    of_endpoint = {"parent": endpoint} if endpoint else {}
    return list_output(
        ctx,
        InferenceComponent,
        request,
        show,
        sort_order="Descending",
        keep=lambda entry: not variant or entry.value.variant == variant,
        **of_endpoint,
    )


@operation("sagemaker", "DeleteInferenceComponent", resource=_RESOURCE)
def delete_inference_component(ctx: Context, InferenceComponentName: str) -> None:
    """Ask for the component's end: it takes no more requests, and is gone when its copies are."""

    def change(component: InferenceComponent) -> InferenceComponent:
        return replace(component, copies=replace(component.copies, status=deploy.DELETING, failure_reason=""))

    _change(ctx, InferenceComponentName, change)


def _host(ctx: Context, endpoint_name: str, variant_name: str | None) -> Variant:
    """The variant whose instances the copies share. Raises ValidationException when there is none such."""
    endpoint = ENDPOINTS.get(ctx, endpoint_name).value
    fleet = endpoint.serving or endpoint.deploying
    if fleet is None:
        raise validation(f'Endpoint "{ENDPOINTS.arn(ctx, endpoint_name)}" is {endpoint.status}: it has no instances.')
    hosts = [variant for variant in fleet.variants if variant_name in {None, variant.name}]
    if not hosts:
        raise validation(f'Variant "{variant_name}" was not found on endpoint "{endpoint_name}".')
    if hosts[0].containers:
        raise validation(
            f'Variant "{hosts[0].name}" of endpoint "{endpoint_name}" serves a model of its own: inference components '
            "need a variant whose configuration names no ModelName."
        )
    return hosts[0]


def _copies(ctx: Context, specification: dict[str, Any], host: Variant, count: int) -> Fleet:
    named = specification.get("ModelName")
    model = MODELS.get(ctx, named).value if named else None
    if model is not None and len(model.containers) > 1:
        raise validation(f"Model {named} has several containers: an inference component has one.")
    if model is not None and serves_many(model.containers[0]):
        raise validation(f"Model {named} is of Mode MultiModel: an inference component has one model.")
    return build_copies(specification, model, host, count, ctx.platform.clock.now())


def _scale(ctx: Context, name: str, count: int) -> dict[str, Any]:
    def change(component: InferenceComponent) -> InferenceComponent:
        serving = _require_in_service(ctx, name, component)
        variants = [replace(variant, desired_count=count) for variant in serving.variants]
        copies = replace(
            component.copies,
            status=deploy.UPDATING,
            failure_reason="",
            serving=replace(serving, variants=variants),
        )
        return replace(component, copies=copies)

    return _change(ctx, name, change)


def _require_in_service(ctx: Context, name: str, component: InferenceComponent) -> Fleet:
    arn, copies = COMPONENTS.arn(ctx, name), component.copies
    if copies.status == deploy.FAILED:
        raise validation(f'Cannot update inference component "{arn}": it has failed. Delete it and create it anew.')
    if copies.status != deploy.IN_SERVICE or copies.serving is None:
        raise validation(f'Cannot update in-progress inference component "{arn}".')
    return copies.serving


def _change(ctx: Context, name: str, change: Callable[[InferenceComponent], InferenceComponent]) -> dict[str, Any]:
    changed = ctx.records(InferenceComponent).update(name, change, status=lambda component: component.copies.status)
    if changed is None:
        raise COMPONENTS.not_found(ctx, name)
    return _accepted(ctx, name)


def _accepted(ctx: Context, name: str) -> dict[str, Any]:
    ctx.platform.wake(_TOPIC, f"{ctx.account}/{ctx.region}/{name}")
    return {"InferenceComponentArn": COMPONENTS.arn(ctx, name)}


def _arns(ctx: Context, entry: Entry[InferenceComponent]) -> dict[str, str]:
    return {
        "InferenceComponentArn": COMPONENTS.arn(ctx, entry.name),
        "EndpointArn": ENDPOINTS.arn(ctx, entry.value.endpoint),
    }
