"""From a processing job's request to the hosts of one attempt, in SageMaker's container contract. Pure."""

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
    Output,
    Resources,
    Wake,
)
from clary.kernel.jobs.hosts import HOMOGENEOUS_GROUP, Host, below_root, name_hosts, peers, place_hosts, resource_config
from clary.support.processing.logic_datasets import data_uri
from clary.support.processing.records import ProcessingJob

JOB_PREFIX = "processing-"
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"

_SCRIPT = ("python", "-m", "clary.runtime", "script")
_DESCRIBED = ("ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources", "StoppingCondition")
_INTERPRETERS = ("python", "python3")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of all hosts of a job; everything about it that must not change once it has begun.

    `id` names it to the executor, `log_ms` ends the names of its log streams, `secret` is one that its hosts have in
    common. `began` is when its first host began to download; `over` says that another attempt is due.
    """

    id: str
    hosts: list[dict[str, Any]]
    log_ms: int
    max_runtime_seconds: float
    secret: str
    began: float | None = None
    over: bool = False

    @classmethod
    def of(cls, job: ProcessingJob, name: str, granted: Sequence[Resources], now: float, secret: str) -> "Attempt":
        """The job's next attempt, its hosts with what they were granted and an address each."""
        id = f"{JOB_PREFIX}{name}-{job.uid}-{job.restarts + 1}"
        hosts = place_hosts(id, hosts_of(job.request), granted)
        return cls(id, [asdict(host) for host in hosts], int(now * 1000), seconds_left(job), secret)

    @property
    def host_names(self) -> list[str]:
        return [host["name"] for host in self.hosts]

    def host_list(self) -> list[Host]:
        return [Host(**host) for host in self.hosts]

    def document(self) -> dict[str, Any]:
        return asdict(self)


def seconds_left(job: ProcessingJob) -> float:
    """What MaxRuntimeInSeconds, which holds for all attempts together, leaves to the next."""
    return float(job.request["StoppingCondition"]["MaxRuntimeInSeconds"]) - job.ran_seconds


def hosts_of(request: Mapping[str, Any]) -> list[Host]:
    """The hosts that a request asks for, named as SageMaker names them."""
    cluster = request["ProcessingResources"]["ClusterConfig"]
    kind = cluster.get("SelectedInstanceType") or cluster["InstanceType"]
    return name_hosts([(HOMOGENEOUS_GROUP, kind, cluster.get("SelectedInstanceCount") or cluster["InstanceCount"])])


def host_specs(
    job: ProcessingJob,
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
    hosts, request = attempt.host_list(), job.request
    argv = command(request, runtime)
    return [
        HostSpec(
            job=attempt.id,
            host=host.name,
            kind=Kind.TASK,
            argv=argv,
            account=account,
            region=region,
            role=role,
            environment={
                **environment,
                **runtime.environment,
                "CLARY_CLUSTER_SECRET": attempt.secret,
                **request.get("Environment", {}),
            },
            files=_files(job, name, hosts, host),
            channels=_channels(job, index, len(hosts)),
            outputs=_outputs(request),
            log=LogTarget(LOG_GROUP, f"{name}/{host.name}-{attempt.log_ms}"),
            resources=host.resources,
            max_runtime_seconds=attempt.max_runtime_seconds,
            network=not request.get("NetworkConfig", {}).get("EnableNetworkIsolation", False),
            peers=peers(hosts),
            warm=runtime.warm,
            wake=wake,
        )
        for index, host in enumerate(hosts)
    ]


def command(request: Mapping[str, Any], runtime: Runtime) -> tuple[str, ...]:
    """What a host runs, as `docker run` would decide it: the request's entrypoint or the image's, then the arguments.

    Python scripts are run by the runtime, in an interpreter that may stand ready. Raises ImageUnavailable when there
    is nothing to run.
    """
    application = request["AppSpecification"]
    entrypoint = tuple(application.get("ContainerEntrypoint") or runtime.process)
    argv = (*entrypoint, *application.get("ContainerArguments", ()))
    if not argv:
        raise ImageUnavailable(
            f"Image {application['ImageUri']} has no program of its own for processing jobs: name one in "
            "AppSpecification.ContainerEntrypoint."
        )
    if argv[0] in runtime.programs:
        return (*runtime.programs[argv[0]], *argv[1:])
    script = argv[2:] if argv[1:2] == ("-u",) else argv[1:]  # the interpreter's output is unbuffered anyway
    if argv[0] in _INTERPRETERS and script and script[0].endswith(".py") and not script[0].startswith("-"):
        return (*_SCRIPT, *script)
    return argv


def _files(job: ProcessingJob, name: str, hosts: Sequence[Host], host: Host) -> dict[str, str]:
    """The documents below /opt/ml/config, as AWS describes them."""
    application = {"ContainerEntrypoint": None, "ContainerArguments": None, **job.request["AppSpecification"]}
    description = {
        "ProcessingJobArn": job.arn,
        "ProcessingJobName": name,
        **{member: job.request[member] for member in _DESCRIBED},
        "AppSpecification": application,
        "Environment": job.request.get("Environment", {}),
        "NetworkConfig": job.request.get("NetworkConfig"),
        "ExperimentConfig": job.request.get("ExperimentConfig"),
        "RoleArn": job.request["RoleArn"],
    }
    return {
        "config/processingjobconfig.json": json.dumps(description),
        "config/resourceconfig.json": json.dumps(resource_config(hosts, host)),
    }


def _channels(job: ProcessingJob, index: int, count: int) -> tuple[Channel, ...]:
    """The inputs that the platform brings; those that the application manages itself are left to it."""
    return tuple(
        _channel(one["InputName"], one.get("S3Input") or _unloaded(job, one), index, count)
        for one in job.request["ProcessingInputs"]
        if not one["AppManaged"]
    )


def _unloaded(job: ProcessingJob, one: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a dataset definition's query, as an input of S3."""
    definition = one["DatasetDefinition"]
    return {
        "S3Uri": data_uri(job, one),
        "S3DataType": DataType.S3_PREFIX.value,
        "S3InputMode": definition["InputMode"],
        "S3DataDistributionType": definition["DataDistributionType"],
        "S3CompressionType": "None",
        "LocalPath": definition["LocalPath"],
    }


def _channel(name: str, source: Mapping[str, Any], index: int, count: int) -> Channel:
    sharded = source["S3DataDistributionType"] == "ShardedByS3Key"
    return Channel(
        name=name,
        uri=source["S3Uri"],
        data_type=DataType(source["S3DataType"]),
        mode=InputMode(source["S3InputMode"]),
        shard_index=index if sharded else 0,
        shard_count=count if sharded else 1,
        gzip=source["S3CompressionType"] == "Gzip",
        path=below_root(source["LocalPath"]),
    )


def _outputs(request: Mapping[str, Any]) -> tuple[Output, ...]:
    """The trees that the platform brings to S3: at the end, or while the job runs. Those of all hosts merge there."""
    return tuple(
        Output(
            path=below_root(one["S3Output"]["LocalPath"]),
            uri=one["S3Output"]["S3Uri"],
            archive=False,
            continuous=one["S3Output"]["S3UploadMode"] == "Continuous",
            resumes=False,
        )
        for one in request["ProcessingOutputConfig"]["Outputs"]
        if not one["AppManaged"]
    )
