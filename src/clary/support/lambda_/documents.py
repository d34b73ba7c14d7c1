"""Functions as they are shown: FunctionConfiguration and the like."""

from datetime import UTC, datetime
from typing import Any

from clary.kernel.store import Entry
from clary.support.lambda_.names import function_arn
from clary.support.lambda_.records import Function, Version

_SHOWN = (
    "Runtime",
    "Handler",
    "Description",
    "Timeout",
    "MemorySize",
    "DeadLetterConfig",
    "PackageType",
    "Architectures",
    "EphemeralStorage",
    "TracingConfig",
    "SnapStart",
    "LoggingConfig",
)


def stamp(seconds: float) -> str:
    """A time as Lambda writes it: `2026-01-31T23:59:59.123+0000`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def configuration(
    function: Entry[Function], value: Function | Version, version: str, *, qualifier: str = ""
) -> dict[str, Any]:
    """The FunctionConfiguration of one version; its ARN has the qualifier by which it was asked for."""
    kept = value.configuration
    shown: dict[str, Any] = {name: kept[name] for name in _SHOWN if kept.get(name) not in (None, [])}
    if kept.get("Layers"):
        shown["Layers"] = [{"Arn": layer["Arn"], "CodeSize": layer["CodeSize"]} for layer in kept["Layers"]]
    variables = (kept.get("Environment") or {}).get("Variables")
    if variables:
        shown["Environment"] = {"Variables": variables}
    if not (kept.get("DeadLetterConfig") or {}).get("TargetArn"):
        shown.pop("DeadLetterConfig", None)
    return {
        "FunctionName": function.name,
        "FunctionArn": function_arn(function.account, function.region, function.name, qualifier),
        "Role": kept["Role"],
        "CodeSize": value.code["size"],
        "CodeSha256": value.code["sha256"],
        "LastModified": stamp(value.modified_at),
        "Version": version,
        "RevisionId": value.revision,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        **shown,
    }
