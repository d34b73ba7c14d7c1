"""From a training job's request to the hosts of one attempt, in SageMaker's container contract. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clary.kernel.images import Runtime
from clary.kernel.jobs.contract import (
    ML_ROOT,
    Channel,
    DataType,
    HostSpec,
    InputMode,
    Kind,
    LogTarget,
    MetricDefinition,
    Output,
    Resources,
    Wake,
)
from clary.kernel.jobs.hosts import HOMOGENEOUS_GROUP, Host, below_root, name_hosts, peers, place_hosts, resource_config
from clary.systems.training.records import TrainingJob

JOB_PREFIX = "training-"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
METRIC_NAMESPACE = "/aws/sagemaker/TrainingJobs"
CHECKPOINT_PATH = f"{ML_ROOT}/checkpoints"
TENSORBOARD_PATH = f"{ML_ROOT}/output/tensorboard"
DEFAULT_MAX_RUNTIME_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of all hosts of a job; everything about it that must not change once it has begun.

    `id` names it to the executor, `log_ms` ends the names of its log streams. `began` is when its first host began to
    download; `over` says that another attempt is due.
    """

    id: str
    hosts: list[dict[str, Any]]
    log_ms: int
    max_runtime_seconds: float
    model_uri: str
    began: float | None = None
    over: bool = False

    @classmethod
    def of(
        cls,
        job: TrainingJob,
        name: str,
        hosts: Sequence[Host],
        granted: Sequence[Resources],
        number: int,
        now: float,
        seconds: float,
    ) -> "Attempt":
        """The attempt of this number, its hosts with what they were granted and an address each."""
        id = f"{JOB_PREFIX}{name}-{job.uid}-{number}"
        return cls(
            id=id,
            hosts=[asdict(host) for host in place_hosts(id, hosts, granted)],
            log_ms=int(now * 1000),
            max_runtime_seconds=seconds,
            model_uri=model_uri(job.request, name),
        )

    @property
    def host_names(self) -> list[str]:
        return [host["name"] for host in self.hosts]

    def host_list(self) -> list[Host]:
        return [Host(**host) for host in self.hosts]

    def document(self) -> dict[str, Any]:
        return asdict(self)


def hosts_of(request: Mapping[str, Any]) -> list[Host]:
    """The hosts that a request asks for, named as SageMaker names them."""
    resources = request["ResourceConfig"]
    groups = resources.get("InstanceGroups")
    if not groups:
        return name_hosts([(HOMOGENEOUS_GROUP, resources["InstanceType"], resources["InstanceCount"])])
    return name_hosts([(one["InstanceGroupName"], one["InstanceType"], one["InstanceCount"]) for one in groups])


def host_specs(
    job: TrainingJob,
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
    `role` limits what S3 gives and takes."""
    hosts = attempt.host_list()
    request = job.request
    return [
        HostSpec(
            job=attempt.id,
            host=host.name,
            kind=Kind.TASK,
            argv=_argv(request, runtime),
            account=account,
            region=region,
            role=role,
            environment=_environment(job, name, runtime, attempt, environment),
            files=_files(request, hosts, host),
            channels=_channels(request, hosts, host),
            outputs=_outputs(request, name, host),
            log=LogTarget(LOG_GROUP, f"{name}/{host.name}-{attempt.log_ms}"),
            metrics=tuple(MetricDefinition(**one) for one in metric_definitions(request, runtime)),
            metric_namespace=METRIC_NAMESPACE,
            metric_dimensions={"TrainingJobName": name},
            resources=host.resources,
            max_runtime_seconds=attempt.max_runtime_seconds,
            network=not request.get("EnableNetworkIsolation", False),
            peers=peers(hosts),
            warm=None if _own_command(request) else runtime.warm,
            wake=wake,
        )
        for host in hosts
    ]


def model_uri(request: Mapping[str, Any], name: str) -> str:
    """Where the model of a job goes: an object, or a prefix when it is not compressed."""
    output = f"{_output_prefix(request, name)}/output"
    return f"{output}/model/" if _uncompressed(request) else f"{output}/model.tar.gz"


def metric_definitions(request: Mapping[str, Any], runtime: Runtime | None) -> list[dict[str, str]]:
    """The request's definitions, then the algorithm's own under names that the request left free."""
    asked = request["AlgorithmSpecification"].get("MetricDefinitions") or []
    found = [{"name": one["Name"], "regex": one["Regex"]} for one in asked]
    taken = {one["name"] for one in found}
    own = runtime.metrics if runtime is not None else ()
    return found + [{"name": one.name, "regex": one.regex} for one in own if one.name not in taken]


def _rendezvous_port(attempt: Attempt) -> int:
    """A port on algo-1's address; other attempts have other addresses, or on one address most likely other ports."""
    return 20_000 + int.from_bytes(hashlib.sha256(attempt.id.encode()).digest()[2:4]) % 10_000


def _own_command(request: Mapping[str, Any]) -> tuple[str, ...]:
    specification = request["AlgorithmSpecification"]
    command = (*specification.get("ContainerEntrypoint", ()), *specification.get("ContainerArguments", ()))
    return () if command == ("train",) else command


def _argv(request: Mapping[str, Any], runtime: Runtime) -> tuple[str, ...]:
    own = _own_command(request)
    if own and own[0] in runtime.programs:
        return (*runtime.programs[own[0]], *own[1:])
    return (*runtime.run, *own) if own else runtime.train


def _environment(
    job: TrainingJob,
    name: str,
    runtime: Runtime,
    attempt: Attempt,
    given: Mapping[str, str],
) -> dict[str, str]:
    """Later entries win: the user's Environment stands above the image's and the platform's."""
    return {
        **given,
        **runtime.environment,
        "CLARY_RENDEZVOUS_PORT": str(_rendezvous_port(attempt)),
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": job.arn,
        **job.request.get("Environment", {}),
    }


def _files(request: Mapping[str, Any], hosts: Sequence[Host], host: Host) -> dict[str, str]:
    """The documents below /opt/ml/input/config, with SageMaker's spelling."""
    documents: dict[str, Any] = {
        "hyperparameters": dict(request.get("HyperParameters", {})),
        "resourceconfig": resource_config(hosts, host),
        "inputdataconfig": {
            channel["ChannelName"]: _channel_document(request, channel) for channel in _visible(request, host)
        },
    }
    if "CheckpointConfig" in request:
        documents["checkpointconfig"] = {
            "S3Uri": request["CheckpointConfig"]["S3Uri"],
            "LocalPath": request["CheckpointConfig"].get("LocalPath", CHECKPOINT_PATH),
        }
    return {f"input/config/{name}.json": json.dumps(document) for name, document in documents.items()}


def _channel_document(request: Mapping[str, Any], channel: Mapping[str, Any]) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    document = {
        "TrainingInputMode": _mode(request, channel),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if channel.get("ContentType"):
        document["ContentType"] = channel["ContentType"]
    return document


def _mode(request: Mapping[str, Any], channel: Mapping[str, Any]) -> str:
    return str(channel.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"])


def _visible(request: Mapping[str, Any], host: Host) -> list[Mapping[str, Any]]:
    """The channels that this host's instance group gets."""
    return [one for one in request.get("InputDataConfig", []) if _reaches(one, host)]


def _reaches(channel: Mapping[str, Any], host: Host) -> bool:
    groups = channel["DataSource"]["S3DataSource"].get("InstanceGroupNames")
    return not groups or host.group in groups


def _channels(request: Mapping[str, Any], hosts: Sequence[Host], host: Host) -> tuple[Channel, ...]:
    return tuple(_channel(request, channel, hosts, host) for channel in _visible(request, host))


def _channel(request: Mapping[str, Any], channel: Mapping[str, Any], hosts: Sequence[Host], host: Host) -> Channel:
    source = channel["DataSource"]["S3DataSource"]
    sharers = [one.name for one in hosts if _reaches(channel, one)]
    sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
    return Channel(
        name=channel["ChannelName"],
        uri=source["S3Uri"],
        data_type=DataType(source["S3DataType"]),
        attribute_names=tuple(source.get("AttributeNames", ())),
        mode=InputMode(_mode(request, channel)),
        shard_index=sharers.index(host.name) if sharded else 0,
        shard_count=len(sharers) if sharded else 1,
        gzip=channel.get("CompressionType") == "Gzip",
        record_io=channel.get("RecordWrapperType") == "RecordIO",
        shuffle_seed=channel["ShuffleConfig"]["Seed"] if "ShuffleConfig" in channel else None,
    )


def _outputs(request: Mapping[str, Any], name: str, host: Host) -> tuple[Output, ...]:
    """The model and the output data of every host, and what is synchronised while it runs.

    Archives of the first host have AWS's names; those of others, stored when not empty, end in the host's name.
    """
    base = f"{_output_prefix(request, name)}/output"
    packed = not _uncompressed(request)
    leader = host.name == "algo-1"
    of_host = "" if leader else f"-{host.name}"
    outputs = [
        Output(
            path="model",
            uri=f"{base}/model{of_host}.tar.gz" if packed else f"{base}/model/",
            archive=packed,
            on_failure=False,
            even_empty=packed and leader,
        ),
        Output(
            path="output/data",
            uri=f"{base}/output{of_host}.tar.gz" if packed else f"{base}/data/",
            archive=packed,
        ),
    ]
    if "CheckpointConfig" in request:
        config = request["CheckpointConfig"]
        local = below_root(config.get("LocalPath", CHECKPOINT_PATH))
        outputs.append(Output(path=local, uri=config["S3Uri"], archive=False, continuous=True))
    if "TensorBoardOutputConfig" in request:
        config = request["TensorBoardOutputConfig"]
        local = below_root(config.get("LocalPath", TENSORBOARD_PATH))
        uri = f"{config['S3OutputPath'].rstrip('/')}/{name}/tensorboard-output"
        outputs.append(Output(path=local, uri=uri, archive=False, continuous=True))
    return tuple(outputs)


def _output_prefix(request: Mapping[str, Any], name: str) -> str:
    return f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{name}"


def _uncompressed(request: Mapping[str, Any]) -> bool:
    return bool(request["OutputDataConfig"].get("CompressionType") == "NONE")
