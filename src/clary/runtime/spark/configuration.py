"""Configurations as EMR and SageMaker's Spark image write them: a list of classifications with properties."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clary.runtime.errors import CustomerError

PLACE = "input/conf/configuration.json"  # below /opt/ml/processing
# Files of services that do not run here, or settings of loggers that this Spark does not have.
_WITHOUT_EFFECT = (
    "hadoop-env", "hadoop-log4j", "hive-env", "hive-log4j", "hive-exec-log4j", "spark-log4j", "spark-log4j2",
    "spark-metrics", "yarn-env", "yarn-site", "mapred-site", "hdfs-site",
)  # fmt: skip


@dataclass
class Configuration:
    """What a configuration asks for; `ignored` names classifications that have no effect here."""

    spark: dict[str, str] = field(default_factory=dict)
    hadoop: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


def read_configuration(file: Path) -> Configuration:
    """The configuration in a file; an empty one when it is not there. Raises CustomerError for what is none."""
    found = Configuration()
    if not file.is_file():
        return found
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CustomerError(f"{file} is not JSON: {error}") from error
    for item in document if isinstance(document, list) else [document]:
        _add(found, item, file)
    return found


def _add(found: Configuration, item: Any, file: Path) -> None:
    if not isinstance(item, Mapping) or "Classification" not in item:
        raise CustomerError(f"{file}: each configuration needs a Classification, not {json.dumps(item)[:200]}")
    name = str(item["Classification"])
    properties = {str(key): str(value) for key, value in (item.get("Properties") or {}).items()}
    if name == "spark-defaults":
        found.spark |= properties
    elif name in {"core-site", "hive-site"}:
        found.hadoop |= properties
    elif name == "spark-env":
        for nested in item.get("Configurations") or ():
            if nested.get("Classification") == "export":
                found.environment |= {str(key): str(value) for key, value in (nested.get("Properties") or {}).items()}
    elif name in _WITHOUT_EFFECT:
        found.ignored.append(name)
    else:
        known = ", ".join(("spark-defaults", "spark-env", "core-site", "hive-site", *_WITHOUT_EFFECT))
        raise CustomerError(f"{file}: unknown classification {name!r}; there are {known}")
