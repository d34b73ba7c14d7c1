"""One try to deliver: to a queue, a topic, a function, a stream, a log group, a bus or a pipeline."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from clary.kernel.auth import policies
from clary.kernel.core.arns import Arn, parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Platform
from clary.kernel.rooms.roles import role_principal
from clary.support.eventbridge.names import Bus, admits, find_bus
from clary.support.eventbridge.paths import find
from clary.support.eventbridge.publishing import publish
from clary.support.eventbridge.records import Delivery
from clary.support.eventbridge.universal import params_of, read_universal

QUEUE_BATCH = 10
_TRY_AGAIN = frozenset(
    (
        "RequestThrottled",
        "ThrottlingException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "ServiceUnavailableException",
        "LimitExceededException",
        "ResourceLimitExceeded",
    )
)

_log = logging.getLogger("clary.eventbridge")


class Failure(NamedTuple):
    """Why a try failed; a final one would fail again."""

    code: str
    message: str
    final: bool


class Parcel(NamedTuple):
    """A delivery with its event and the text that its target is sent of it."""

    delivery: Delivery
    event: Mapping[str, Any]
    text: str

    @property
    def token(self) -> str:
        """What makes those who know tokens do a thing once: the same for every try, and for an event told twice; a
        replay is to do it again."""
        about = f"{self.delivery.lane} {self.event['id']} {self.event.get('replay-name', '')}"
        return hashlib.sha256(about.encode()).hexdigest()


def send(platform: Platform, parcels: Sequence[Parcel]) -> list[Failure | None]:
    """Try to deliver parcels of one lane, up to `batch_of` of them; how each went."""
    arn = parse_arn(parcels[0].delivery.target["Arn"])
    if arn.service == "sqs":
        return _to_queue(platform, arn, parcels)
    return [_attempt(platform, arn, parcel) for parcel in parcels]


def batch_of(target_arn: str) -> int:
    """How many parcels a target takes at once."""
    return QUEUE_BATCH if parse_arn(target_arn).service == "sqs" else 1


def failure_of(error: AwsError) -> Failure:
    passing = error.code in _TRY_AGAIN or ((error.status or 400) >= 500 and error.status != 501)
    return Failure(error.code, error.message, not passing)


def acting(platform: Platform, delivery: Delivery, region: str, service: str, operation: str) -> Context:
    """Who calls for a delivery: the target's role, or the account itself."""
    source = parse_arn(delivery.source)
    ctx = platform.acting_as_root(source.account, region, service, operation)
    return replace(ctx, principal=role_principal(platform, delivery.role)) if delivery.role else ctx


def call(
    platform: Platform, delivery: Delivery, region: str, service: str, operation: str, **params: Any
) -> dict[str, Any]:
    """Call another room for a delivery. Raises AwsError."""
    return platform.registry.call(acting(platform, delivery, region, service, operation), params)


def _attempt(platform: Platform, arn: Arn, parcel: Parcel) -> Failure | None:
    try:
        _SENDERS[arn.service](platform, arn, parcel)
    except AwsError as error:
        return failure_of(error)
    except Exception as error:  # noqa: BLE001 - whatever a target's room meets, the others go on and this is retried
        _log.exception("delivering to %s failed", arn)
        return Failure("InternalFailure", str(error), False)
    return None


def _to_queue(platform: Platform, arn: Arn, parcels: Sequence[Parcel]) -> list[Failure | None]:
    first = parcels[0].delivery
    entries = [{"Id": str(place), **_message(arn, parcel)} for place, parcel in enumerate(parcels)]
    try:
        answer = call(platform, first, arn.region, "sqs", "SendMessageBatch", QueueUrl=queue_path(arn), Entries=entries)
    except AwsError as error:
        return [failure_of(error)] * len(parcels)
    failed = {
        each["Id"]: Failure(each["Code"], each.get("Message", ""), each["SenderFault"])
        for each in answer.get("Failed", ())
    }
    return [failed.get(entry["Id"]) for entry in entries]


def queue_path(arn: Arn) -> str:
    return f"/{arn.account}/{arn.resource}"


def _message(arn: Arn, parcel: Parcel) -> dict[str, Any]:
    message = {"MessageBody": parcel.text}
    group = (parcel.delivery.target.get("SqsParameters") or {}).get("MessageGroupId")
    if group is not None:
        message["MessageGroupId"] = group
    if arn.resource.endswith(".fifo"):
        message["MessageDeduplicationId"] = parcel.token
    return message


def _to_topic(platform: Platform, arn: Arn, parcel: Parcel) -> None:
    call(platform, parcel.delivery, arn.region, "sns", "Publish", TopicArn=str(arn), Message=parcel.text)


def _to_function(platform: Platform, arn: Arn, parcel: Parcel) -> None:
    call(
        platform,
        parcel.delivery,
        arn.region,
        "lambda",
        "Invoke",
        FunctionName=str(arn),
        InvocationType="Event",
        Payload=parcel.text.encode(),
    )


def _to_stream(platform: Platform, arn: Arn, parcel: Parcel) -> None:
    given = parcel.delivery.target.get("KinesisParameters") or {}
    found = find(parcel.event, given["PartitionKeyPath"]) if given.get("PartitionKeyPath") else []
    key = given.get("PartitionKey") or (_text(found[0]) if found else str(parcel.event["id"]))
    call(
        platform,
        parcel.delivery,
        arn.region,
        "kinesis",
        "PutRecord",
        StreamARN=str(arn),
        Data=parcel.text.encode(),
        PartitionKey=key[:256] or str(parcel.event["id"]),
    )


def _to_delivery_stream(platform: Platform, arn: Arn, parcel: Parcel) -> None:
    record = {"Data": parcel.text.encode()}
    call(
        platform,
        parcel.delivery,
        arn.region,
        "firehose",
        "PutRecord",
        DeliveryStreamName=arn.resource_name,
        Record=record,
    )


def _to_log_group(platform: Platform, arn: Arn, parcel: Parcel) -> None:
    """Each rule writes to a stream of its own, made when it is missing."""
    group = arn.resource.removeprefix("log-group:").removesuffix(":*")
    stream = hashlib.sha256(parcel.delivery.lane.encode()).hexdigest()[:32]
    line = {"timestamp": int(parcel.delivery.queued_at * 1000), "message": parcel.text}

    def put() -> None:
        call(
            platform,
            parcel.delivery,
            arn.region,
            "logs",
            "PutLogEvents",
            logGroupName=group,
            logStreamName=stream,
            logEvents=[line],
        )

    try:
        put()
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        try:
            call(
                platform,
                parcel.delivery,
                arn.region,
                "logs",
                "CreateLogStream",
                logGroupName=group,
                logStreamName=stream,
            )
        except AwsError as other:
            if other.code != "ResourceAlreadyExistsException":
                raise
        put()


def _to_bus(platform: Platform, arn: Arn, parcel: Parcel) -> None:
    """Send an event on to another bus; a schedule makes one of its input."""
    given = parcel.delivery.target.get("EventBridgeParameters")
    if given is not None:
        entry = {**given, "EventBusName": str(arn), "Detail": parcel.text}
        answer = call(platform, parcel.delivery, arn.region, "events", "PutEvents", Entries=[entry])
        for each in answer["Entries"]:
            if "ErrorCode" in each:
                raise AwsError(each["ErrorCode"], each["ErrorMessage"])
        return
    bus = Bus(arn.account, arn.region, arn.resource_name)
    found = find_bus(platform, bus)
    if found is None:
        raise AwsError("ResourceNotFoundException", f"Event bus {bus.name} does not exist.")
    ctx = acting(platform, parcel.delivery, arn.region, "events", "PutEvents")
    decision = policies.authorize(ctx.principal, "events:PutEvents", bus.arn)
    if not decision.allowed:
        raise policies.denied(ctx.principal, "events:PutEvents", bus.arn, decision, ctx.operation)
    if not admits(ctx, bus, found, "events:PutEvents"):
        raise AwsError("AccessDeniedException", f"The policy of {bus.arn} does not let {ctx.principal.arn} put events.")
    publish(platform, bus, [parcel.event], forwarded=True)


def _to_pipeline(platform: Platform, arn: Arn, parcel: Parcel) -> None:
    """Start a pipeline: once for each event, however often this is tried."""
    given = (parcel.delivery.target.get("SageMakerPipelineParameters") or {}).get("PipelineParameterList") or ()
    parameters = [{"Name": each["Name"], "Value": _resolved(each["Value"], parcel.event)} for each in given]
    call(
        platform,
        parcel.delivery,
        arn.region,
        "sagemaker",
        "StartPipelineExecution",
        PipelineName=str(arn),
        PipelineParameters=parameters,
        ClientRequestToken=parcel.token,
    )


def _to_operation(platform: Platform, arn: Arn, parcel: Parcel) -> None:
    """Call what a universal target names, with its input for the request; once, where the operation has a token."""
    called = read_universal(platform, arn.resource)
    region = parse_arn(parcel.delivery.source).region
    given = orjson.loads(parcel.text) if parcel.delivery.target.get("Input") else {}
    operation = platform.registry.model(*called)
    params = params_of(operation, given)
    for name in operation.idempotency_tokens:
        most = operation.input.members[name].shape.max if operation.input else None
        params.setdefault(name, parcel.token[: int(most or len(parcel.token))])
    call(platform, parcel.delivery, region, *called, **params)


def _resolved(value: str, event: Mapping[str, Any]) -> str:
    """A parameter's value: what its path leads to, where it is one."""
    if not value.startswith("$."):
        return value
    found = find(event, value)
    return _text(found[0]) if found else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


_SENDERS: Mapping[str, Callable[[Platform, Arn, Parcel], None]] = {
    "sns": _to_topic,
    "lambda": _to_function,
    "kinesis": _to_stream,
    "firehose": _to_delivery_stream,
    "logs": _to_log_group,
    "events": _to_bus,
    "sagemaker": _to_pipeline,
    "scheduler": _to_operation,
}
