"""What a package is made from where a request names a source instead of containers: a model, or another package."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import validation
from clary.kernel.rooms import Context

_FROM_MODEL = (
    "ContainerHostname",
    "Image",
    "ModelDataUrl",
    "ModelDataSource",
    "AdditionalModelDataSources",
    "Environment",
)
_FROM_PACKAGE = ("InferenceSpecification", "AdditionalInferenceSpecifications")


def inference_of(ctx: Context, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the InferenceSpecification of its SourceUri, where that is the ARN of a model or a package.

    Raises what describing the source raises. Any other source is only noted, as on AWS.
    """
    source = str(request.get("SourceUri", ""))
    kind = source.split(":", 5)[-1].partition("/")[0] if source.startswith("arn:") else ""
    if kind == "model":
        return {**_of_model(ctx, source), **request}
    if kind == "model-package":
        return {**_of_package(ctx, source), **request}
    return dict(request)


def _of_model(ctx: Context, arn: str) -> dict[str, Any]:
    name = arn.rpartition("/")[2]
    if arn != ctx.arn(f"model/{name}"):
        raise validation(f"SourceUri {arn} is not a model of account {ctx.account} in {ctx.region}.")
    model = ctx.call("sagemaker", "DescribeModel", {"ModelName": name})
    containers = [model["PrimaryContainer"]] if model.get("PrimaryContainer") else model["Containers"]
    packages = [one["ModelPackageName"] for one in containers if one.get("ModelPackageName")]
    if len(packages) == 1 and len(containers) == 1:
        return _of_package(ctx, packages[0])
    if packages:
        raise validation(f"{arn} is made of model packages: give the containers as InferenceSpecification.")
    taken = [{name: one[name] for name in _FROM_MODEL if one.get(name)} for one in containers]
    return {"InferenceSpecification": {"Containers": taken}}


def _of_package(ctx: Context, arn: str) -> dict[str, Any]:
    package = ctx.call("sagemaker", "DescribeModelPackage", {"ModelPackageName": arn})
    return {name: package[name] for name in _FROM_PACKAGE if package.get(name)}
