"""What CreateTrainingJob accepts: members refused, members checked against each other, defaults filled in. Pure."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import not_supported, validation
from clary.kernel.jobs.hosts import below_root
from clary.kernel.objects import normal_s3_uri
from clary.kernel.rooms.refusing import refuse_members
from clary.systems.training.logic_hosts import DEFAULT_MAX_RUNTIME_SECONDS

MAX_RUNTIME_SECONDS = 28 * 86_400

_REFUSED = {
    "AlgorithmSpecification.AlgorithmName": "algorithm resources are not there yet; name a TrainingImage",
    "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAuthConfig": "images are not pulled from a registry",
    "InputDataConfig.DataSource.FileSystemDataSource": "there are no EFS or FSx file systems here; use S3DataSource",
    "InputDataConfig.DataSource.DatasetSource": "hub datasets are not there yet; use S3DataSource",
    "InputDataConfig.DataSource.S3DataSource.HubAccessConfig": "private hubs are not there yet",
    "ResourceConfig.TrainingPlanArn": "there are no training plans here",
    "ResourceConfig.InstancePlacementConfig": "instances are not placed on UltraServers here",
    "ResourceConfig.InstancePreferences": "name one InstanceType",
    "ResourceConfig.SelectedInstanceType": "name one InstanceType",
    "ResourceConfig.SelectedInstanceCount": "name one InstanceCount",
    "DebugRuleConfigurations": "debugger rules would not be evaluated; leave them out",
    "ProfilerRuleConfigurations": "profiler rules would not be evaluated; leave them out",
    "RemoteDebugConfig.EnableRemoteDebug": "there is no AWS Systems Manager here to connect through",
    "SessionChainingConfig.EnableSessionTagChaining": "session tags are not passed on to jobs",
    "ServerlessJobConfig": "serverless customization jobs are not there yet",
    "MlflowConfig": "managed MLflow is not there yet",
    "ModelPackageConfig": "a job does not register its model; use CreateModelPackage",
}


def complete(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with AWS's defaults, as it is stored. Raises ValidationException for what cannot be honoured."""
    refuse_members(request, _REFUSED)
    completed = {name: value for name, value in request.items() if name != "Tags"}
    _check_algorithm(completed["AlgorithmSpecification"])
    resources = _resources(completed)
    completed["ResourceConfig"] = resources
    completed["StoppingCondition"] = _stopping(completed)
    output = completed["OutputDataConfig"]
    completed["OutputDataConfig"] = {
        "KmsKeyId": "",
        "CompressionType": "GZIP",
        **output,
        "S3OutputPath": normal_s3_uri(output["S3OutputPath"], "OutputDataConfig.S3OutputPath"),
    }
    if "InputDataConfig" in completed:
        completed["InputDataConfig"] = _channels(completed)
    for member, uri in (("CheckpointConfig", "S3Uri"), ("TensorBoardOutputConfig", "S3OutputPath")):
        if member in completed:
            config = completed[member]
            _check_local_path(config.get("LocalPath"), member)
            completed[member] = {**config, uri: normal_s3_uri(config[uri], f"{member}.{uri}")}
    hosts = _host_count(resources)
    if completed.get("EnableNetworkIsolation") and hosts > 1:
        raise not_supported(
            "EnableNetworkIsolation with several instances",
            "isolated hosts could not reach each other; use one instance, or leave the job connected",
        )
    return completed


def _check_algorithm(specification: Mapping[str, Any]) -> None:
    if not specification.get("TrainingImage"):
        raise validation("AlgorithmSpecification must name a TrainingImage.")
    names = [one["Name"] for one in specification.get("MetricDefinitions") or []]
    for name in names:
        if names.count(name) > 1:
            raise validation(f"MetricDefinitions name {name!r} more than once.")


def _resources(request: Mapping[str, Any]) -> dict[str, Any]:
    resources = request.get("ResourceConfig")
    if not resources:
        raise validation("ResourceConfig is required: name an InstanceType and an InstanceCount.")
    resources = dict(resources)
    groups = resources.get("InstanceGroups")
    if groups:
        if resources.get("InstanceType") or resources.get("InstanceCount"):
            raise validation("ResourceConfig must have either InstanceGroups, or InstanceType and InstanceCount.")
        names = [group["InstanceGroupName"] for group in groups]
        if len(set(names)) < len(names):
            raise validation(f"InstanceGroups must have different names, not {', '.join(names)}.")
    else:
        resources.pop("InstanceGroups", None)
        if not resources.get("InstanceType"):
            raise validation("ResourceConfig.InstanceType is required.")
        resources.setdefault("InstanceCount", 1)
    for kind, count in _counts(resources):
        if count < 1:
            raise validation(f"InstanceCount of {kind} must be at least 1, not {count}.")
    if resources.get("KeepAlivePeriodInSeconds") and request.get("EnableManagedSpotTraining"):
        raise validation("KeepAlivePeriodInSeconds is not supported with managed spot training.")
    return resources


def _counts(resources: Mapping[str, Any]) -> list[tuple[str, int]]:
    groups = resources.get("InstanceGroups")
    if groups:
        return [(group["InstanceGroupName"], group["InstanceCount"]) for group in groups]
    return [(resources["InstanceType"], resources["InstanceCount"])]


def _host_count(resources: Mapping[str, Any]) -> int:
    return sum(count for _, count in _counts(resources))


def _stopping(request: Mapping[str, Any]) -> dict[str, Any]:
    condition = {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_SECONDS, **request.get("StoppingCondition", {})}
    runtime, wait = condition["MaxRuntimeInSeconds"], condition.get("MaxWaitTimeInSeconds")
    if runtime > MAX_RUNTIME_SECONDS:
        raise validation(f"MaxRuntimeInSeconds must be at most {MAX_RUNTIME_SECONDS} (28 days), not {runtime}.")
    spot = request.get("EnableManagedSpotTraining", False)
    if spot and wait is None:
        raise validation("MaxWaitTimeInSeconds is required in StoppingCondition for managed spot training.")
    if wait is not None and not spot:
        raise validation("MaxWaitTimeInSeconds is only supported with EnableManagedSpotTraining.")
    if wait is not None and wait < runtime:
        raise validation(f"MaxWaitTimeInSeconds ({wait}) must be at least MaxRuntimeInSeconds ({runtime}).")
    return condition


def _check_local_path(path: str | None, member: str) -> None:
    if path is None:
        return
    try:
        below_root(path)
    except ValueError as error:
        raise validation(f"{member}.LocalPath: {error}.") from None


def _channels(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    channels = request["InputDataConfig"]
    names = [channel["ChannelName"] for channel in channels]
    for name in names:
        if names.count(name) > 1:
            raise validation(f"InputDataConfig names the channel {name!r} more than once.")
        if name in {".", ".."}:
            raise validation(f"InputDataConfig: {name!r} cannot be a channel's name.")
    groups = {group["InstanceGroupName"] for group in request["ResourceConfig"].get("InstanceGroups", [])}
    return [_channel(channel, request["AlgorithmSpecification"]["TrainingInputMode"], groups) for channel in channels]


def _channel(channel: Mapping[str, Any], default_mode: str, groups: set[str]) -> dict[str, Any]:
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    if not source:
        raise validation(f"Channel {name!r} has no S3DataSource.")
    mode = channel.get("InputMode") or default_mode
    completed = {"CompressionType": "None", "RecordWrapperType": "None", **channel}
    kind = source["S3DataType"]
    if kind == "Converse":
        raise not_supported(f"S3DataType Converse (channel {name!r})", "it belongs to serverless customization jobs")
    augmented = kind == "AugmentedManifestFile"
    if augmented and (mode != "Pipe" or not source.get("AttributeNames")):
        raise validation(f"Channel {name!r}: an AugmentedManifestFile needs input mode Pipe and AttributeNames.")
    if not augmented and source.get("AttributeNames"):
        raise validation(f"Channel {name!r}: AttributeNames belong to an AugmentedManifestFile, not to {kind}.")
    for member in ("CompressionType", "RecordWrapperType"):
        if completed[member] != "None" and mode != "Pipe":
            raise validation(
                f"Channel {name!r}: {member} {completed[member]} is used in Pipe mode only; leave it out in {mode}."
            )
    unknown = set(source.get("InstanceGroupNames", ())) - groups
    if unknown:
        raise validation(f"Channel {name!r} names instance groups that are not there: {', '.join(sorted(unknown))}.")
    completed["DataSource"] = {
        "S3DataSource": {
            "S3DataDistributionType": "FullyReplicated",
            **source,
            "S3Uri": normal_s3_uri(source["S3Uri"], f"InputDataConfig.{name}.S3Uri"),
        }
    }
    return completed
