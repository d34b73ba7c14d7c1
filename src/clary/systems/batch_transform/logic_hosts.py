"""From a transform job's request to the hosts of one attempt, each running `transform` on its share. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from clary.kernel.images import ImageUnavailable, Runtime
from clary.kernel.jobs.contract import (
    Channel,
    DataType,
    HostSpec,
    InputMode,
    Kind,
    LogTarget,
    ModelSource,
    Output,
    Resources,
    Wake,
)
from clary.kernel.serving.models import model_sources
from clary.systems.batch_transform.records import TransformJob

LOG_GROUP = "/aws/sagemaker/TransformJobs"
JOB_PREFIX = "transform-"

_COMMAND = ("python", "-m", "clary.runtime", "transform")
_CHANNEL = "transform"
_OUTPUTS = "output/transform"
_CAPTURED = "output/captured"
_SUFFIX = ".out"
_TIMEOUT_SECONDS = 600
_RETRIES = 3
_STOP_GRACE_SECONDS = 35.0  # the inference server finishes what it has begun within 30


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of all hosts of a job; `granted` is what each was given. `over` says that another attempt is due.

    `began` is when the first attempt of the job did: what is told of its outputs is told under that time.
    """

    id: str
    granted: list[dict[str, Any]]
    began: float
    over: bool = False

    @classmethod
    def of(cls, job: TransformJob, name: str, granted: Sequence[Resources], now: float) -> "Attempt":
        began = now if job.attempt is None else job.attempt["began"]
        return cls(f"{JOB_PREFIX}{name}-{job.uid}-{job.restarts + 1}", [asdict(one) for one in granted], began)

    @property
    def host_names(self) -> list[str]:
        return [f"algo-{number}" for number in range(1, len(self.granted) + 1)]

    def resources(self) -> list[Resources]:
        return [Resources(**(one | {"gpus": tuple(one["gpus"])})) for one in self.granted]

    def document(self) -> dict[str, Any]:
        return asdict(self)


def instance_types(request: Mapping[str, Any]) -> list[str]:
    """The type of each instance that is asked for."""
    resources = request["TransformResources"]
    return [resources["InstanceType"]] * resources["InstanceCount"]


def instance_id(attempt: str, host: str) -> str:
    """The host's name as AWS names machines; its log stream ends in it."""
    return f"i-{hashlib.sha256(f'{attempt}/{host}'.encode()).hexdigest()[:17]}"


def host_specs(
    job: TransformJob,
    attempt: Attempt,
    runtimes: Sequence[Runtime],
    *,
    name: str,
    account: str,
    region: str,
    wake: Wake,
    environment: Mapping[str, str],
    role: str = "",
) -> list[HostSpec]:
    """What to start, one for each host. `environment` is what the platform gives: region, endpoint, credentials;
    `role` limits what S3 gives and takes.

    Raises ImageUnavailable for an image that only trains.
    """
    for container, runtime in zip(job.containers, runtimes, strict=True):
        if not runtime.serve:
            raise ImageUnavailable(f"Image {container['Image']} cannot serve a model: its runtime is {runtime.family}.")
    alone = len(runtimes) == 1
    hosts = attempt.host_names
    return [
        HostSpec(
            job=attempt.id,
            host=host,
            kind=Kind.TASK,
            argv=_COMMAND,
            account=account,
            region=region,
            role=role,
            environment={**environment, **(_environment(job, 0, runtimes) if alone else {})},
            files={"input/config/transform.json": json.dumps(_plan(job, runtimes, attempt, f"{name}-{host}.json"))},
            channels=(_channel(job.request, index, len(hosts)),),
            models=_models(job),
            outputs=_outputs(job.request, attempt),
            log=LogTarget(LOG_GROUP, f"{name}/{instance_id(attempt.id, host)}"),
            resources=given,
            stop_grace_seconds=_STOP_GRACE_SECONDS,
            network=not job.isolated,
            warm=runtimes[0].warm if alone else None,
            wake=wake,
        )
        for index, (host, given) in enumerate(zip(hosts, attempt.resources(), strict=True))
    ]


def places_done(request: Mapping[str, Any], stored: Sequence[str]) -> list[str]:
    """The places in the data set of the inputs whose outputs are among these URIs of what was stored."""
    base = request["TransformOutput"]["S3OutputPath"].rstrip("/") + "/"
    outputs = [uri for uri in stored if uri.startswith(base) and uri.endswith(_SUFFIX)]
    return [uri.removeprefix(base).removesuffix(_SUFFIX) for uri in outputs]


def _environment(job: TransformJob, index: int, runtimes: Sequence[Runtime]) -> dict[str, str]:
    """What the container of this number is told; the job's own Environment stands above all."""
    return {
        **runtimes[index].environment,
        **job.containers[index].get("Environment", {}),
        **_batch_environment(job.request),
        **job.request.get("Environment", {}),
    }


def _batch_environment(request: Mapping[str, Any]) -> dict[str, str]:
    """The variables that tell a container that it works for a transform job, and how."""
    strategy = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}.get(request.get("BatchStrategy", ""))
    told = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_BATCH_STRATEGY": strategy,
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": request.get("MaxPayloadInMB"),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": request.get("MaxConcurrentTransforms") or None,
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def _containers(job: TransformJob, runtimes: Sequence[Runtime]) -> list[dict[str, Any]]:
    """The containers as `transform` starts them. One alone has all of /opt/ml, and its environment is the host's."""
    if len(runtimes) == 1:
        return [{"serve": list(runtimes[0].serve)}]
    return [
        {
            "serve": list(runtime.serve),
            "label": f"container {index + 1} ({container.get('ContainerHostname') or container['Image']})",
            "folder": _folder(index),
            "environment": _environment(job, index, runtimes),
        }
        for index, (container, runtime) in enumerate(zip(job.containers, runtimes, strict=True))
    ]


def _folder(index: int) -> str:
    """What stands for /opt/ml to one of several containers."""
    return f"containers/{index + 1}"


def _plan(job: TransformJob, runtimes: Sequence[Runtime], attempt: Attempt, manifest: str) -> dict[str, Any]:
    """The document that the runtime's `transform` reads. `manifest` is the name of what is told under data capture."""
    request = job.request
    source, output, processing = request["TransformInput"], request["TransformOutput"], request["DataProcessing"]
    client = request.get("ModelClientConfig", {})
    return {
        "containers": _containers(job, runtimes),
        "content_type": source.get("ContentType", ""),
        "accept": output.get("Accept", ""),
        "split": source["SplitType"],
        "strategy": request.get("BatchStrategy"),
        "max_payload_mb": request.get("MaxPayloadInMB"),
        "concurrency": request.get("MaxConcurrentTransforms", 0),
        "assemble_lines": output["AssembleWith"] == "Line",
        "gzip": source["CompressionType"] == "Gzip",
        "input_filter": processing["InputFilter"],
        "output_filter": processing["OutputFilter"],
        "join": processing["JoinSource"] == "Input",
        "timeout_seconds": client.get("InvocationsTimeoutInSeconds", _TIMEOUT_SECONDS),
        "retries": client.get("InvocationsMaxRetries", _RETRIES),
        "capture": _capture(request, attempt, manifest),
        "done": job.done,
    }


def _capture(request: Mapping[str, Any], attempt: Attempt, manifest: str) -> dict[str, Any] | None:
    config = request.get("DataCaptureConfig")
    if config is None:
        return None
    return {
        "name": manifest,
        "output_prefix": request["TransformOutput"]["S3OutputPath"].rstrip("/") + "/",
        "inference_time": f"{_began(attempt):%Y-%m-%dT%H:%M:%SZ}" if config.get("GenerateInferenceId") else "",
    }


def _outputs(request: Mapping[str, Any], attempt: Attempt) -> tuple[Output, ...]:
    """The answers, each stored as soon as it is whole; and under data capture, at the end, manifests of what was."""
    outputs = [Output(_OUTPUTS, request["TransformOutput"]["S3OutputPath"], archive=False, live=True)]
    if "DataCaptureConfig" in request:
        base = request["DataCaptureConfig"]["DestinationS3Uri"].rstrip("/")
        for kind in ("input", "output"):
            uri = f"{base}/{kind}/{_began(attempt):%Y/%m/%d/%H}"
            outputs.append(Output(f"{_CAPTURED}/{kind}", uri, archive=False))
    return tuple(outputs)


def _began(attempt: Attempt) -> datetime:
    return datetime.fromtimestamp(attempt.began, UTC)


def _channel(request: Mapping[str, Any], index: int, count: int) -> Channel:
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    return Channel(
        name=_CHANNEL,
        uri=source["S3Uri"],
        data_type=DataType(source["S3DataType"]),
        mode=InputMode.FAST_FILE,
        shard_index=index,
        shard_count=count,
        listing="input/config/objects.json",
    )


def _models(job: TransformJob) -> tuple[ModelSource, ...]:
    if len(job.containers) == 1:
        return model_sources(job.containers[0])
    return tuple(
        source for index, container in enumerate(job.containers) for source in model_sources(container, _folder(index))
    )
