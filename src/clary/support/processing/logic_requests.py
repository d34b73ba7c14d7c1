"""What CreateProcessingJob accepts: members refused, members checked against each other, defaults filled in. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import not_supported, validation
from clary.kernel.jobs.hosts import below_root
from clary.kernel.objects import normal_s3_uri
from clary.kernel.rooms.refusing import refuse_members

DEFAULT_MAX_RUNTIME_SECONDS = 86_400

_REFUSED = {
    "ProcessingResources.ClusterConfig.SelectedInstanceType": "this says what was selected; name an InstanceType",
    "ProcessingResources.ClusterConfig.SelectedInstanceCount": "this says what was selected; name an InstanceCount",
}
_REDSHIFT = "RedshiftDatasetDefinition"
_ATHENA = "AthenaDatasetDefinition"
_S3_INPUT_DEFAULTS = {
    "S3InputMode": "File",
    "S3DataDistributionType": "FullyReplicated",
    "S3CompressionType": "None",
}
_DEFINITION_DEFAULTS = {"InputMode": "File", "DataDistributionType": "ShardedByS3Key"}


def complete(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with AWS's defaults, as it is stored. Raises ValidationException for what cannot be honoured."""
    refuse_members(request, _REFUSED)
    inputs = request.get("ProcessingInputs", [])
    _check_names("ProcessingInputs", [one["InputName"] for one in inputs])
    output = request.get("ProcessingOutputConfig", {"Outputs": []})
    _check_names("ProcessingOutputConfig", [one["OutputName"] for one in output["Outputs"]])
    return {
        **request,
        "ProcessingResources": {"ClusterConfig": _cluster(request["ProcessingResources"]["ClusterConfig"])},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_SECONDS,
            **request.get("StoppingCondition", {}),
        },
        "ProcessingInputs": [_input(one) for one in inputs],
        "ProcessingOutputConfig": {**output, "Outputs": [_output(one) for one in output["Outputs"]]},
    }


def _cluster(given: Mapping[str, Any]) -> dict[str, Any]:
    """The cluster with what is selected from InstancePreferences: the first, since all types fit here."""
    preferences = given.get("InstancePreferences")
    if bool(preferences) == bool(given.get("InstanceType")):
        raise validation("ProcessingResources.ClusterConfig must have either an InstanceType or InstancePreferences.")
    if not preferences:
        return {"InstanceCount": 1, **given}
    first = preferences[0]
    count = first.get("InstanceCount") or given.get("InstanceCount") or 1
    return {**given, "SelectedInstanceType": first["InstanceType"], "SelectedInstanceCount": count}


def _check_names(member: str, names: Sequence[str]) -> None:
    for name in names:
        if not name:
            raise validation(f"{member} has an entry without a name.")
        if names.count(name) > 1:
            raise validation(f"{member} has the name {name!r} more than once.")


def _input(given: Mapping[str, Any]) -> dict[str, Any]:
    where = f"ProcessingInputs {given['InputName']!r}"
    managed_by_app = given.get("AppManaged", False)
    definition, source = given.get("DatasetDefinition"), given.get("S3Input")
    if bool(definition) == bool(source):
        raise validation(f"{where} must have either an S3Input or a DatasetDefinition.")
    if definition is not None:
        if managed_by_app:
            return {"AppManaged": False, **given}
        return {"AppManaged": False, **given, "DatasetDefinition": _definition(definition, where)}
    completed = {
        **_S3_INPUT_DEFAULTS,
        **(source or {}),
        "S3Uri": normal_s3_uri((source or {})["S3Uri"], f"{where}.S3Uri"),
    }
    if not managed_by_app:
        _check_local_path(completed.get("LocalPath"), where)
    if completed["S3CompressionType"] != "None" and completed["S3InputMode"] != "Pipe":
        raise validation(f"{where}: S3CompressionType Gzip is used in Pipe mode only; leave it out in File mode.")
    return {"AppManaged": False, **given, "S3Input": completed}


def _definition(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A query whose result is an input, with AWS's defaults."""
    if given.get(_REDSHIFT):
        raise not_supported(
            f"{where}: {_REDSHIFT}", "there is no Redshift here: UNLOAD the query's result and name it as an S3Input"
        )
    query = given.get(_ATHENA)
    if not query:
        raise validation(f"{where}: the DatasetDefinition has neither {_ATHENA} nor {_REDSHIFT}.")
    _check_local_path(given.get("LocalPath"), where)
    uri = normal_s3_uri(query["OutputS3Uri"], f"{where}.{_ATHENA}.OutputS3Uri")
    return {**_DEFINITION_DEFAULTS, **given, _ATHENA: {**query, "OutputS3Uri": uri}}


def _output(given: Mapping[str, Any]) -> dict[str, Any]:
    where = f"ProcessingOutputConfig.Outputs {given['OutputName']!r}"
    target = given.get("S3Output")
    if bool(target) == bool(given.get("FeatureStoreOutput")):
        raise validation(f"{where} must have either an S3Output or a FeatureStoreOutput.")
    if not target:
        if not given.get("AppManaged", False):
            raise validation(
                f"{where}: a FeatureStoreOutput requires AppManaged true, for the job's program puts the records into "
                "the feature group itself."
            )
        return dict(given)
    if not given.get("AppManaged", False):
        _check_local_path(target.get("LocalPath"), where)
    return {
        "AppManaged": False,
        **given,
        "S3Output": {**target, "S3Uri": normal_s3_uri(target["S3Uri"], f"{where}.S3Uri")},
    }


def _check_local_path(path: str | None, where: str) -> None:
    """AWS wants inputs below /opt/ml/processing; here any folder below /opt/ml will do that is not the platform's."""
    if not path:
        raise validation(f"{where}: LocalPath is required unless AppManaged is true.")
    try:
        relative = below_root(path)
    except ValueError as error:
        raise validation(f"{where}: LocalPath {error}, such as /opt/ml/processing/input.") from None
    if relative.split("/")[0] == "config":
        raise validation(f"{where}: LocalPath {path!r} is where the job's own description lies; take another folder.")
