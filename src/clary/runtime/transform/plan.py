"""What a transform job asks of one instance: `input/config/transform.json`, and the objects of its share."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clary.runtime.errors import CustomerError
from clary.runtime.paths import MlPaths
from clary.runtime.transform.processing import Processing, format_of
from clary.runtime.transform.splitting import SPLITTERS, Splitter

DOCUMENT = "transform.json"
LISTING = "objects.json"
CHANNEL = "transform"
MIB = 1024 * 1024
UNLIMITED = 1 << 62

_DEFAULT_PAYLOAD_MB = 6


@dataclass(frozen=True)
class Container:
    """One container of the model. `serve` starts its server; `label` names it in messages where it is not the only one.

    `folder`, below /opt/ml, stands for /opt/ml to it; empty for /opt/ml itself. `environment` is its own besides ours.
    """

    serve: Sequence[str]
    label: str = ""
    folder: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Capture:
    """What is told of inputs that have outputs: documents of this name, with the prefix of the outputs' URIs.

    `inference_time` is given to every record of an output together with an id of its own; empty for neither.
    """

    name: str
    output_prefix: str
    inference_time: str = ""


@dataclass(frozen=True)
class Plan:
    """The job's settings. `strategy`, `max_payload_mb` and `concurrency` are None or 0 where the model may choose.

    Each of the `containers` answers what the one before it said. `objects` maps paths below the channel to URIs; `done`
    are those stored already.
    """

    containers: Sequence[Container]
    content_type: str
    accept: str
    split: str
    strategy: str | None
    max_payload_mb: int | None
    concurrency: int
    assemble_lines: bool
    gzip: bool
    input_filter: str
    output_filter: str
    join: bool
    timeout_seconds: float
    retries: int
    capture: Capture | None
    done: frozenset[str]
    objects: Mapping[str, str]

    @property
    def splitter(self) -> Splitter:
        return SPLITTERS[self.split]


@dataclass(frozen=True)
class Pace:
    """What was left open, settled: records a payload, its bytes, and how many are asked at once."""

    single: bool
    limit: int
    concurrency: int


def read_plan(paths: MlPaths) -> Plan:
    """Raises CustomerError when there is no job here."""
    try:
        document: dict[str, Any] = json.loads((paths.config / DOCUMENT).read_text())
        objects = json.loads((paths.config / LISTING).read_text())
    except FileNotFoundError as error:
        raise CustomerError(f"there is no transform job here: {error.filename} is missing") from None
    typed = {
        "containers": [Container(**one) for one in document["containers"]],
        "capture": Capture(**document["capture"]) if document["capture"] else None,
        "done": frozenset(document["done"]),
    }
    return Plan(**{**document, **typed, "objects": objects})


def settle(plan: Plan, parameters: Mapping[str, Any]) -> Pace:
    """The pace that the job asks for, else the one of the model's /execution-parameters, else SageMaker's defaults."""
    strategy = plan.strategy or {"SINGLE_RECORD": "SingleRecord"}.get(str(parameters.get("BatchStrategy")))
    megabytes = plan.max_payload_mb
    if megabytes is None:
        megabytes = _whole(parameters.get("MaxPayloadInMB"), _DEFAULT_PAYLOAD_MB)
    return Pace(
        single=strategy == "SingleRecord",
        limit=megabytes * MIB if megabytes else UNLIMITED,
        concurrency=plan.concurrency or max(1, _whole(parameters.get("MaxConcurrentTransforms"), 1)),
    )


def processing_of(plan: Plan, pace: Pace) -> Processing:
    """The filters and the join. An answer that names no other format is taken for one in the input's."""
    split = plan.split != "None"
    single = pace.single and split
    return Processing(
        input_filter=plan.input_filter,
        output_filter=plan.output_filter,
        join=plan.join,
        input_format=format_of(plan.content_type, split=split),
        output_format=format_of(plan.accept or plan.content_type, split=split, single=single),
        inference_time=plan.capture.inference_time if plan.capture else "",
    )


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default
