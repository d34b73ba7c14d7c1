"""What a package is made from where a request names a source instead of containers: a model, or another package."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Context

_FROM_MODEL = (
    "ContainerHostname",
    "Image",
    "ModelDataUrl",
    "ModelDataSource",
    "AdditionalModelDataSources",
    "Environment",
)


def inference_of(ctx: Context, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the InferenceSpecification of its SourceUri, where that is the ARN of a model or a package.

    Raises what describing the source raises. Any other source is only noted, as on AWS.
    """
    kept = dict(request)
    source = str(request.get("SourceUri", ""))
    _, _, kind_and_name = source.partition(":sagemaker:")
    kind = kind_and_name.rpartition(":")[2].partition("/")[0] if source.startswith("arn:") else ""
    if kind == "model":
        model = ctx.call("sagemaker", "DescribeModel", {"ModelName": source.rpartition("/")[2]})
        containers = [model["PrimaryContainer"]] if model.get("PrimaryContainer") else model.get("Containers", [])
        if containers and all(container.get("Image") for container in containers):
            taken = [{name: one[name] for name in _FROM_MODEL if one.get(name)} for one in containers]
            kept["InferenceSpecification"] = {"Containers": taken}
    elif kind == "model-package":
        package = ctx.call("sagemaker", "DescribeModelPackage", {"ModelPackageName": source})
        for name in ("InferenceSpecification", "AdditionalInferenceSpecifications"):
            if package.get(name) and name not in kept:
                kept[name] = package[name]
    return kept
