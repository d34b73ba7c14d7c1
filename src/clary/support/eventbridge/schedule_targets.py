"""What schedules call: checked when they are made, and what each call is sent."""

from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.core.arns import Arn, parse_arn
from clary.kernel.core.clock import iso
from clary.kernel.core.errors import AwsError, not_supported, validation
from clary.kernel.rooms import Context
from clary.kernel.rooms.roles import acting_role
from clary.support.eventbridge.records import Delivery
from clary.support.eventbridge.universal import PREFIX, params_of, read_universal

SERVICE = "scheduler.amazonaws.com"
_KINDS = {
    "sqs": "",
    "sns": "",
    "lambda": "function:",
    "kinesis": "stream/",
    "firehose": "deliverystream/",
    "events": "event-bus/",
    "sagemaker": "pipeline/",
}
_PARAMETERS = {
    "KinesisParameters": "kinesis",
    "SqsParameters": "sqs",
    "EventBridgeParameters": "events",
    "SageMakerPipelineParameters": "sagemaker",
}


def check_schedule_target(ctx: Context, target: Mapping[str, Any]) -> str:
    """What a schedule's target acts as. Raises ValidationException for what cannot be called."""
    try:
        arn = parse_arn(target["Arn"])
    except AwsError:
        raise validation(f"Provided Arn is not in correct format: {target['Arn']}.") from None
    if target.get("EcsParameters") is not None:
        raise not_supported("EcsParameters", "it runs no ECS tasks")
    if arn.service == "scheduler" and arn.resource.startswith(PREFIX):
        _check_universal(ctx, arn, target)
    elif arn.service not in _KINDS or not arn.resource.startswith(_KINDS[arn.service]) or not arn.account:
        raise not_supported(
            f"Target {arn}",
            "schedules call queues, topics, functions, streams, buses, pipelines, and operations by aws-sdk targets",
        )
    _check_parameters(arn, target)
    dead = (target.get("DeadLetterConfig") or {}).get("Arn")
    if dead is not None and parse_arn(dead).service != "sqs":
        raise validation(f"DeadLetterConfig must name a queue, not {dead}.")
    return acting_role(ctx, target["RoleArn"], SERVICE)


def _check_universal(ctx: Context, arn: Arn, target: Mapping[str, Any]) -> None:
    called = read_universal(ctx.platform, arn.resource)
    if target.get("Input"):
        try:
            given = orjson.loads(target["Input"])
        except orjson.JSONDecodeError:
            raise validation("The Input of a universal target must be JSON.") from None
        operation = ctx.platform.registry.model(*called)
        members = operation.input.members if operation.input else {}
        if not isinstance(given, dict):
            raise validation("The Input of a universal target must be a JSON object: the request.")
        unknown = [name for name in params_of(operation, given) if name not in members]
        if unknown:
            raise validation(f"{called.operation} has no {unknown[0]}: see the Input of the target.")


def _check_parameters(arn: Arn, target: Mapping[str, Any]) -> None:
    for name, service in _PARAMETERS.items():
        if target.get(name) is not None and arn.service != service:
            raise validation(f"{name} is not valid for the target {arn}.")
    if arn.service == "kinesis" and target.get("KinesisParameters") is None:
        raise validation("KinesisParameters is required for Kinesis Data Streams targets: give its PartitionKey.")
    if arn.service == "events" and target.get("EventBridgeParameters") is None:
        raise validation("EventBridgeParameters is required for event buses: give its DetailType and Source.")
    group = (target.get("SqsParameters") or {}).get("MessageGroupId")
    if arn.service == "sqs" and arn.resource.endswith(".fifo") and not group:
        raise validation("SqsParameters is required for FIFO queues: give its MessageGroupId.")


def schedule_text(delivery: Delivery, event: bytes) -> str:
    """What a schedule's target is sent: its Input with the context attributes in place, or else the event."""
    given = delivery.target.get("Input")
    if not given:
        return event.decode()
    execution = orjson.loads(event)["id"]
    for name, value in (
        ("schedule-arn", delivery.source),
        ("scheduled-time", f"{iso(delivery.scheduled_at)[:19]}Z"),
        ("execution-id", execution),
        ("attempt-number", str(delivery.tries + 1)),
    ):
        given = given.replace(f"<aws.scheduler.{name}>", value)
    return str(given)
