"""From a transform job's request to the hosts of one attempt, each running `transform` on its share. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from clary.systems.batch_transform.records import TransformJob

LOG_GROUP = "/aws/sagemaker/TransformJobs"
JOB_PREFIX = "transform-"

_COMMAND = ("python", "-m", "clary.runtime", "transform")
_CHANNEL = "transform"
_OUTPUTS = "output/transform"
_SUFFIX = ".out"
_TIMEOUT_SECONDS = 600
_RETRIES = 3
_STOP_GRACE_SECONDS = 35.0  # the inference server finishes what it has begun within 30


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of all hosts of a job; `granted` is what each was given. `over` says that another attempt is due."""

    id: str
    granted: list[dict[str, Any]]
    began: float
    over: bool = False

    @classmethod
    def of(cls, job: TransformJob, name: str, granted: Sequence[Resources], now: float) -> "Attempt":
        return cls(f"{JOB_PREFIX}{name}-{job.uid}-{job.restarts + 1}", [asdict(one) for one in granted], now)

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
    runtime: Runtime,
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
    if not runtime.serve:
        raise ImageUnavailable(f"Image {job.container['Image']} cannot serve a model: its runtime is {runtime.family}.")
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
            environment={
                **environment,
                **runtime.environment,
                **job.container.get("Environment", {}),
                **_batch_environment(job.request),
                **job.request.get("Environment", {}),
            },
            files={"input/config/transform.json": json.dumps(_plan(job, runtime))},
            channels=(_channel(job.request, index, len(hosts)),),
            models=_models(job.container),
            outputs=(Output(_OUTPUTS, job.request["TransformOutput"]["S3OutputPath"], archive=False, live=True),),
            log=LogTarget(LOG_GROUP, f"{name}/{instance_id(attempt.id, host)}"),
            resources=given,
            stop_grace_seconds=_STOP_GRACE_SECONDS,
            network=not job.isolated,
            warm=runtime.warm,
            wake=wake,
        )
        for index, (host, given) in enumerate(zip(hosts, attempt.resources(), strict=True))
    ]


def places_done(request: Mapping[str, Any], stored: Sequence[str]) -> list[str]:
    """The places in the data set of the inputs whose outputs were stored at these URIs."""
    base = request["TransformOutput"]["S3OutputPath"].rstrip("/") + "/"
    return [uri.removeprefix(base).removesuffix(_SUFFIX) for uri in stored]


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


def _plan(job: TransformJob, runtime: Runtime) -> dict[str, Any]:
    """The document that the runtime's `transform` reads."""
    request = job.request
    source, output, processing = request["TransformInput"], request["TransformOutput"], request["DataProcessing"]
    client = request.get("ModelClientConfig", {})
    return {
        "serve": list(runtime.serve),
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
        "done": job.done,
    }


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


def _models(container: Mapping[str, Any]) -> tuple[ModelSource, ...]:
    if container.get("ModelDataUrl"):
        return (ModelSource(container["ModelDataUrl"], archive=True),)
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    return (ModelSource(source["S3Uri"], archive=source["CompressionType"] == "Gzip"),) if source else ()
