"""Record the lineage of what happens: of jobs, and of endpoints that serve."""

from collections.abc import Callable, Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Platform, observer
from clary.kernel.rooms.tags import tags_of
from clary.kernel.store import Change
from clary.support.lineage import logic_facts
from clary.support.lineage.logic_facts import Facts
from clary.support.lineage.recording import acting, write_down

_IN_SERVICE = "InService"
_GONE = {"ValidationException", "ResourceNotFound"}
_PIPELINE = {
    "sagemaker:pipeline-execution-arn": "PipelineExecutionArn",
    "sagemaker:pipeline-step-name": "PipelineStepName",
}


@observer
def record_lineage(platform: Platform, changes: list[Change]) -> None:
    """Derive what each change tells from the record as it was, and write down what is new in one transaction.

    A change that is told again adds nothing: everything has a name that follows from what it stands for.
    """
    known: dict[tuple[str, str], Facts] = {}
    for change in changes:
        facts = known.setdefault((change.account, change.region), Facts())
        _KINDS[change.kind](acting(platform, change.account, change.region), facts, change)
    write_down(platform, known)


def _training_job(ctx: Context, facts: Facts, change: Change) -> None:
    logic_facts.training_job(facts, _document(ctx, change))


def _transform_job(ctx: Context, facts: Facts, change: Change) -> None:
    document = _document(ctx, change)
    logic_facts.transform_job(facts, document, _containers(ctx, document["ModelName"]))


def _endpoint(ctx: Context, facts: Facts, change: Change) -> None:
    if change.status != _IN_SERVICE:
        return
    document = _document(ctx, change)
    arn = ctx.platform.registry.resource_of(change.kind).arn(ctx, change.name)
    config = _described(ctx, "DescribeEndpointConfig", EndpointConfigName=document["EndpointConfigName"])
    variants = [*config.get("ProductionVariants", ()), *config.get("ShadowProductionVariants", ())]
    containers = [found for variant in variants for found in _containers(ctx, variant.get("ModelName"))]
    tags = tags_of(ctx.platform, arn)
    properties = {name: tags[key] for key, name in _PIPELINE.items() if key in tags}
    logic_facts.endpoint(facts, arn, document, containers or _images(document), properties)


def _document(ctx: Context, change: Change) -> dict[str, Any]:
    """What a Describe operation would have said of a record when it changed."""
    resource = ctx.platform.registry.resource_of(change.kind)
    if resource.document is None:
        raise TypeError(f"{change.kind} is observed, and its Resource has no document")
    return resource.document(ctx, change.entry(resource.record))


def _containers(ctx: Context, model: str | None) -> list[dict[str, Any]]:
    """The containers of a model; none when it is gone, or none was named."""
    described = _described(ctx, "DescribeModel", ModelName=model) if model else {}
    primary = described.get("PrimaryContainer")
    return [primary] if primary else list(described.get("Containers", ()))


def _images(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an endpoint itself still says of containers whose model or configuration is gone."""
    return [
        {"Image": image["SpecifiedImage"]}
        for variant in document.get("ProductionVariants", ())
        for image in variant.get("DeployedImages", ())
    ]


def _described(ctx: Context, operation: str, **params: str) -> dict[str, Any]:
    """What another room says of something; nothing when it is gone."""
    try:
        return ctx.call("sagemaker", operation, params)
    except AwsError as error:
        if error.code not in _GONE:
            raise
        return {}


_KINDS: Mapping[str, Callable[[Context, Facts, Change], None]] = {
    "training_job": _training_job,
    "transform_job": _transform_job,
    "endpoint": _endpoint,
}
