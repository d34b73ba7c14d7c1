"""The data of a model's container: what is fetched from S3, and where below /opt/ml AWS puts it."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.jobs.contract import ModelSource

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
