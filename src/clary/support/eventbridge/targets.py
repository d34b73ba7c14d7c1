"""What targets of rules may be: checked when they are put, so that what is accepted can be delivered."""

from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.core.arns import Arn, parse_arn
from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.kernel.rooms import Context
from clary.kernel.rooms.roles import acting_role
from clary.support.eventbridge.inputs import refuse_template
from clary.support.eventbridge.paths import read_path

MOST_TARGETS = 5
SERVICE = "events.amazonaws.com"

_KINDS = {
    "sqs": "",
    "sns": "",
    "lambda": "function:",
    "kinesis": "stream/",
    "firehose": "deliverystream/",
    "logs": "log-group:",
    "events": "event-bus/",
    "sagemaker": "pipeline/",
}
_WITH_ROLE = frozenset(("kinesis", "firehose", "sagemaker"))
_PARAMETERS = {
    "KinesisParameters": "kinesis",
    "SqsParameters": "sqs",
    "SageMakerPipelineParameters": "sagemaker",
}
_UNBUILT = (
    "RunCommandParameters",
    "EcsParameters",
    "BatchParameters",
    "RedshiftDataParameters",
    "AppSyncParameters",
    "HttpParameters",
)


def check_target(ctx: Context, target: Mapping[str, Any]) -> str:
    """What a target's role acts as, empty for none. Raises ValidationException for what cannot be a target."""
    arn = _read_arn(target["Arn"], target["Id"])
    for name in _UNBUILT:
        if target.get(name) is not None:
            raise not_supported(name, "it has no such target")
    for name, service in _PARAMETERS.items():
        if target.get(name) is not None and arn.service != service:
            raise validation(f"Parameter(s) {name} not valid for target {target['Id']}: {arn} takes none.")
    _check_input(target)
    _check_parameters(target, arn)
    _check_dead_letters(ctx, target)
    return _role(ctx, target, arn)


def _read_arn(text: str, id: str) -> Arn:
    try:
        arn = parse_arn(text)
    except AwsError:
        raise validation(f"Parameter {text} is not valid. Reason: Provided Arn is not in correct format.") from None
    kind = _KINDS.get(arn.service)
    if kind is None or not arn.resource.startswith(kind) or not arn.account or not arn.region:
        raise not_supported(
            f"Target {id}, {text},",
            "it delivers to queues, topics, functions, streams, log groups, buses and pipelines",
        )
    return arn


def _role(ctx: Context, target: Mapping[str, Any], arn: Arn) -> str:
    given = target.get("RoleArn")
    if given is None:
        if arn.service in _WITH_ROLE or arn.account != ctx.account:
            raise validation(f"RoleArn is required for target {arn}.")
        return ""
    return acting_role(ctx, given, SERVICE)


def _check_input(target: Mapping[str, Any]) -> None:
    id = target["Id"]
    ways = [name for name in ("Input", "InputPath", "InputTransformer") if target.get(name) is not None]
    if len(ways) > 1:
        raise validation(f"Only one of Input, InputPath, or InputTransformer must be provided for target {id}.")
    if "Input" in ways:
        try:
            orjson.loads(target["Input"])
        except orjson.JSONDecodeError:
            raise validation(f"JSON syntax error in input for target {id}") from None
    if "InputPath" in ways:
        _check_path(target["InputPath"], f"InputPath for target {id}")
    if "InputTransformer" in ways:
        transformer = target["InputTransformer"]
        wrong = refuse_template(transformer["InputTemplate"], transformer.get("InputPathsMap") or {})
        if wrong is not None:
            raise validation(f"InputTemplate for target {id} {wrong}.")


def _check_parameters(target: Mapping[str, Any], arn: Arn) -> None:
    group = (target.get("SqsParameters") or {}).get("MessageGroupId")
    if arn.service == "sqs" and arn.resource.endswith(".fifo") and not group:
        raise validation(
            f"Parameter(s) SqsParameters must be specified for target: {target['Id']}: a FIFO queue needs its "
            "MessageGroupId."
        )
    if target.get("KinesisParameters") is not None:
        _check_path(target["KinesisParameters"]["PartitionKeyPath"], f"PartitionKeyPath for target {target['Id']}")
    for each in (target.get("SageMakerPipelineParameters") or {}).get("PipelineParameterList") or ():
        if each["Value"].startswith("$."):
            _check_path(each["Value"], f"pipeline parameter {each['Name']} of target {target['Id']}")


def _check_path(path: str, what: str) -> None:
    try:
        read_path(path)
    except ValueError as error:
        raise validation(f"{what} is not valid: {error}.") from None


def _check_dead_letters(ctx: Context, target: Mapping[str, Any]) -> None:
    given = (target.get("DeadLetterConfig") or {}).get("Arn")
    if given is None:
        return
    arn = parse_arn(given)
    if arn.service != "sqs" or arn.account != ctx.account or arn.region != ctx.region:
        raise validation(f"DeadLetterConfig of target {target['Id']} must name a queue of this account and region.")
    if arn.resource.endswith(".fifo"):
        raise validation(f"DeadLetterConfig of target {target['Id']} must name a standard queue.")
