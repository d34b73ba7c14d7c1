"""What a function is configured to be: checked members with AWS's defaults, and what Clary does not do, refused."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.rooms.roles import acting_role
from clary.support.lambda_.names import invalid

PRINCIPAL = "lambda.amazonaws.com"

_DEFAULTS: dict[str, Any] = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "PackageType": "Zip",
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
    "TracingConfig": {"Mode": "PassThrough"},
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
}
_RUNTIME = re.compile(r"python3\.\d+")
_LONGEST_SECONDS = 900
_MOST_MEMORY_MB = 10_240
_MOST_ENVIRONMENT_BYTES = 4096
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
_MOST_LAYERS = 5
_RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)
_UNSUPPORTED = {
    "KMSKeyArn": "environments are not encrypted here",
    "FileSystemConfigs": "there is no EFS; a function has /tmp",
    "ImageConfig": "functions come as zips",
    "CodeSigningConfigArn": "code signatures are not checked",
    "TenancyConfig": "instances serve one function, and no tenants",
    "CapacityProviderConfig": "functions run on this machine",
    "DurableConfig": "executions are not durable",
    "RuntimeConfig": "the host's interpreter runs all functions",
    "AcceleratorConfig": "functions get no accelerators",
}
_EMPTY: tuple[Any, ...] = ({}, [], "", None)


def refuse_unsupported(given: Mapping[str, Any]) -> None:
    """Raise InvalidParameterValueException for members that are documented by AWS and not done here. Empty ones, which
    SDKs and templates send, ask for nothing."""
    for name, why in _UNSUPPORTED.items():
        if given.get(name) not in _EMPTY:
            raise invalid(f"{name} is not supported by Clary: {why}. Leave it out.")
    vpc = given.get("VpcConfig") or {}
    if vpc.get("SubnetIds") or vpc.get("SecurityGroupIds"):
        raise invalid("VpcConfig is not supported by Clary: functions use the machine's network. Leave it out.")
    if (given.get("TracingConfig") or {}).get("Mode") == "Active":
        raise invalid('TracingConfig "Active" is not supported by Clary, which has no X-Ray: use "PassThrough".')
    if (given.get("SnapStart") or {}).get("ApplyOn") == "PublishedVersions":
        raise invalid('SnapStart "PublishedVersions" is not supported by Clary: use "None".')
    if given.get("PackageType") == "Image":
        raise invalid('PackageType "Image" is not supported by Clary: give the code as a zip.')
    logging = given.get("LoggingConfig") or {}
    if logging.get("LogFormat") == "JSON" or logging.get("ApplicationLogLevel") or logging.get("SystemLogLevel"):
        raise invalid('LoggingConfig of format "JSON" and its levels are not supported by Clary: use "Text".')


def configured(name: str, before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that comes of `before` with the members that are given (not None). Raises
    InvalidParameterValueException."""
    refuse_unsupported(given)
    made = {**_DEFAULTS, **before, **{key: value for key, value in given.items() if value not in _EMPTY}}
    for key in ("Description", "Environment", "DeadLetterConfig", "Layers", "Handler"):
        if key in given and given[key] is not None:
            made[key] = given[key]
    made.setdefault("LoggingConfig", {})
    made["LoggingConfig"] = {
        "LogFormat": "Text",
        "LogGroup": made["LoggingConfig"].get("LogGroup") or f"/aws/lambda/{name}",
    }
    _check(made)
    return {key: value for key, value in made.items() if key not in {"VpcConfig", *_UNSUPPORTED}}


def role_of(ctx: Context, role: str) -> str:
    """The ARN of the role that the function will act as. Raises InvalidParameterValueException or AccessDenied."""
    try:
        return acting_role(ctx, role, PRINCIPAL)
    except AwsError as error:
        if error.code != "ValidationException":
            raise
        raise invalid("The role defined for the function cannot be assumed by Lambda.") from None


def _check(made: Mapping[str, Any]) -> None:
    runtime, handler = made.get("Runtime"), made.get("Handler")
    if not runtime:
        raise invalid("Runtime is mandatory for functions created with deployment packages.")
    if not _RUNTIME.fullmatch(runtime):
        raise invalid(
            f"Runtime {runtime} is not supported by Clary: functions run in the host's Python interpreter, so "
            "choose a runtime such as python3.12."
        )
    if not handler:
        raise invalid("Handler is mandatory for functions created with deployment packages.")
    if not 1 <= made["Timeout"] <= _LONGEST_SECONDS:
        raise invalid(f"Timeout {made['Timeout']} is not supported: it is from 1 to {_LONGEST_SECONDS} seconds.")
    if not 128 <= made["MemorySize"] <= _MOST_MEMORY_MB:
        raise invalid(f"'MemorySize' value failed to satisfy constraint: from 128 to {_MOST_MEMORY_MB} MB.")
    _check_environment((made.get("Environment") or {}).get("Variables") or {})
    layers = made.get("Layers") or []
    if len(layers) > _MOST_LAYERS:
        raise invalid(f"Cannot reference more than {_MOST_LAYERS} layers.")
    target = (made.get("DeadLetterConfig") or {}).get("TargetArn")
    if target and target.split(":")[2:3] not in (["sqs"], ["sns"]):
        raise invalid(f"The provided dead letter target {target} is neither a queue of SQS nor a topic of SNS.")


def _check_environment(variables: Mapping[str, str]) -> None:
    reserved = sorted(_RESERVED & variables.keys())
    if reserved:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
            f"this request: {', '.join(reserved)}"
        )
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise invalid(f"Environment variable name {name!r} is not valid: letters, digits and _, a letter first.")
        if "\0" in value:
            raise invalid(f"Environment variable {name} has a NUL character in its value.")
    if len(orjson.dumps(dict(variables))) > _MOST_ENVIRONMENT_BYTES:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the {_MOST_ENVIRONMENT_BYTES // 1024}KB limit."
        )
