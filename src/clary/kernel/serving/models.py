"""The data of a model's container: that it is there, what is fetched from S3, and where below /opt/ml AWS puts it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.jobs.contract import ModelSource
from clary.kernel.objects import parse_s3_uri

if TYPE_CHECKING:
    from clary.kernel.objects import Objects

_MODEL = "model"
_ADDITIONAL = "additional-model-data-sources"


def model_sources(container: Mapping[str, Any], root: str = "") -> tuple[ModelSource, ...]:
    """What a ContainerDefinition names. `root`, below /opt/ml, is the folder that stands for /opt/ml to a container."""
    url, source = container.get("ModelDataUrl"), container.get("ModelDataSource", {}).get("S3DataSource")
    below = f"{root}/" if root else ""
    found = [ModelSource(url, f"{below}{_MODEL}", archive=True)] if url else []
    found += [_source(source, f"{below}{_MODEL}")] if source else []
    found += [
        _source(given["S3DataSource"], f"{below}{_ADDITIONAL}/{given['ChannelName']}")
        for given in container.get("AdditionalModelDataSources", ())
    ]
    return tuple(found)


def _source(source: Mapping[str, Any], path: str) -> ModelSource:
    return ModelSource(source["S3Uri"], path, archive=source["CompressionType"] == "Gzip")


def require_model_data(objects: "Objects", container: Mapping[str, Any], account: str) -> None:
    """Raise ValidationException, as AWS does, when there is no model data where the container says."""
    url, source = container.get("ModelDataUrl"), container.get("ModelDataSource", {}).get("S3DataSource")
    if url:
        _require(objects, url, account, prefix=container.get("Mode") == "MultiModel")
    sources = [source] if source else []
    sources += [given["S3DataSource"] for given in container.get("AdditionalModelDataSources", ())]
    for given in sources:
        _require(objects, given["S3Uri"], account, prefix=given["S3DataType"] == "S3Prefix")


def _require(objects: "Objects", uri: str, account: str, *, prefix: bool) -> None:
    """Raise ValidationException unless there is an object at the URI, or any below it."""
    bucket, key = parse_s3_uri(uri)
    try:
        if prefix:
            found = next(iter(objects.list(bucket, key, account=account)), None) is not None
        else:
            found = not objects.find(bucket, key, account=account).marker
    except AwsError as error:
        raise validation(f"Could not find model data at {uri}. {error.message}") from None
    if not found:
        raise validation(f"Could not find model data at {uri}.")
