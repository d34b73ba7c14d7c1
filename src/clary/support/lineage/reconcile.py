"""Record the lineage of what happens: of jobs, of model packages and their approval, of endpoints that serve."""

from collections.abc import Callable, Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Platform, observer
from clary.kernel.rooms.tags import tags_of
from clary.kernel.store import Change
from clary.support.lineage import logic_facts
from clary.support.lineage.logic_facts import APPROVAL, Document, Facts
from clary.support.lineage.recording import acting, write_down
from clary.support.lineage.records import Action

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
        ctx = acting(platform, change.account, change.region)
        _KINDS[change.kind](ctx, facts, _document(ctx, change), change)
    write_down(platform, known)


def _training_job(ctx: Context, facts: Facts, document: Document, change: Change) -> None:
    logic_facts.training_job(facts, document)


def _processing_job(ctx: Context, facts: Facts, document: Document, change: Change) -> None:
    logic_facts.processing_job(facts, document)


def _transform_job(ctx: Context, facts: Facts, document: Document, change: Change) -> None:
    logic_facts.transform_job(facts, document, _containers(ctx, document["ModelName"]))


def _endpoint(ctx: Context, facts: Facts, document: Document, change: Change) -> None:
    if change.status != _IN_SERVICE:
        return
    arn = document["EndpointArn"]
    config = _described(ctx, "DescribeEndpointConfig", EndpointConfigName=document["EndpointConfigName"])
    variants = [*config.get("ProductionVariants", ()), *config.get("ShadowProductionVariants", ())]
    containers = [found for variant in variants for found in _containers(ctx, variant.get("ModelName"))]
    logic_facts.endpoint(facts, arn, document, containers or _images(document), _of_pipeline(ctx, arn))


def _model_package_group(ctx: Context, facts: Facts, document: Document, change: Change) -> None:
    logic_facts.model_package_group(facts, document, _of_pipeline(ctx, document["ModelPackageGroupArn"]))


def _model_package(ctx: Context, facts: Facts, document: Document, change: Change) -> None:
    arn, name = document["ModelPackageArn"], document.get("ModelPackageGroupName")
    group = _described(ctx, "DescribeModelPackageGroup", ModelPackageGroupName=name) if name else {}
    context = (
        logic_facts.model_package_group(facts, group, _of_pipeline(ctx, group["ModelPackageGroupArn"]))
        if group
        else None
    )
    logic_facts.model_package(facts, document, context)
    status = document.get("ModelApprovalStatus")
    if status and status != (facts.approvals.get(arn) or _approved(ctx, arn)):
        logic_facts.approval(facts, document, change.updated_at, _of_pipeline(ctx, arn))


def _approved(ctx: Context, arn: str) -> str | None:
    """The approval status of a model package that was recorded last."""
    found = ctx.records(Action).all(parent=arn, sort="created_at", descending=True)
    told = (entry.value.properties.get("ModelApprovalStatus") for entry in found if entry.value.type == APPROVAL)
    return next(told, None)


def _of_pipeline(ctx: Context, arn: str) -> dict[str, str]:
    """The properties of what a pipeline's step made, from its tags."""
    tags = tags_of(ctx.platform, arn)
    return {name: tags[key] for key, name in _PIPELINE.items() if key in tags}


def _document(ctx: Context, change: Change) -> Document:
    """What a Describe operation would have said of a record when it changed."""
    resource = ctx.platform.registry.resource_of(change.kind)
    if resource.document is None:
        raise TypeError(f"{change.kind} is observed, and its Resource has no document")
    return resource.document(ctx, change.entry(resource.record))


def _containers(ctx: Context, model: str | None) -> list[dict[str, Any]]:
    """The containers of a model, its packages by their ARNs; none when it is gone, or none was named."""
    described = _described(ctx, "DescribeModel", ModelName=model) if model else {}
    primary = described.get("PrimaryContainer")
    return [_by_arn(ctx, one) for one in ([primary] if primary else described.get("Containers", ()))]


def _by_arn(ctx: Context, container: Document) -> dict[str, Any]:
    package = container.get("ModelPackageName")
    if not package or package.startswith("arn:"):
        return dict(container)
    return {**container, "ModelPackageName": ctx.arn(f"model-package/{package}")}


def _images(document: Document) -> list[dict[str, Any]]:
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


_KINDS: Mapping[str, Callable[[Context, Facts, Document, Change], None]] = {
    "training_job": _training_job,
    "processing_job": _processing_job,
    "transform_job": _transform_job,
    "model_package_group": _model_package_group,
    "model_package": _model_package,
    "endpoint": _endpoint,
}
