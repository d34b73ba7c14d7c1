"""Event source mappings: checked members with AWS's defaults, and how they are shown."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.arns import Arn, parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.support.lambda_.destinations import check_destination
from clary.support.lambda_.names import invalid
from clary.support.lambda_.patterns import filters_of
from clary.support.lambda_.records import EventSourceMapping

DOMAIN = "lambda-mappings"
TOPIC = "lambda-mappings"
SOURCES = ("kinesis", "sqs")

_OF_STREAMS: dict[str, Any] = {
    "BatchSize": 100,
    "MaximumBatchingWindowInSeconds": 0,
    "ParallelizationFactor": 1,
    "BisectBatchOnFunctionError": False,
    "MaximumRetryAttempts": -1,
    "MaximumRecordAgeInSeconds": -1,
    "TumblingWindowInSeconds": 0,
    "DestinationConfig": {"OnFailure": {}},
    "FunctionResponseTypes": [],
}
_OF_QUEUES: dict[str, Any] = {"BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": []}
_BOTH = {"FilterCriteria"}
_ONLY_STREAMS = {"StartingPosition", "StartingPositionTimestamp", *_OF_STREAMS} - set(_OF_QUEUES)
_MOST_OF_QUEUE = 10_000
_MOST_OF_FIFO = 10
_LARGEST_BATCH_AT_ONCE = 10


def source_of(arn: str | None) -> Arn:
    """The source that a mapping reads. Raises InvalidParameterValueException for one that nothing here can read."""
    if not arn:
        raise invalid("EventSourceArn is needed: the ARN of a Kinesis stream or an SQS queue.")
    try:
        found = parse_arn(arn)
    except AwsError as error:
        raise invalid(error.message) from None
    if found.service not in SOURCES:
        raise invalid(
            f"Event sources of {found.service} are not supported by Clary: use a Kinesis stream or an SQS queue."
        )
    return found


def checked(source: Arn, given: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The members of a mapping that come of `before` with those given (not None). Raises
    InvalidParameterValueException."""
    streams = source.service == "kinesis"
    defaults = _OF_STREAMS if streams else _OF_QUEUES
    asked = {name: value for name, value in given.items() if value is not None}
    allowed = {
        *defaults,
        *_BOTH,
        *({"StartingPosition", "StartingPositionTimestamp"} if streams else {"ScalingConfig"}),
    }
    for name, value in asked.items():
        if name not in allowed and value not in ({}, [], False, 0):
            raise invalid(f"{name} is not supported for event sources of {source.service}. Leave it out.")
    made = {**defaults, **(before or {}), **{name: value for name, value in asked.items() if name in allowed}}
    filters_of(made.get("FilterCriteria"))
    if streams:
        _check_stream(made, new=before is None)
    else:
        _check_queue(source, made)
    return made


def _check_stream(made: dict[str, Any], *, new: bool) -> None:
    if new and "StartingPosition" not in made:
        raise invalid("1 validation error detected: StartingPosition is required for Kinesis event sources.")
    if (made.get("StartingPosition") == "AT_TIMESTAMP") != ("StartingPositionTimestamp" in made):
        raise invalid("StartingPositionTimestamp is needed with StartingPosition AT_TIMESTAMP, and with no other.")
    if made["TumblingWindowInSeconds"] and made["ParallelizationFactor"] > 1:
        raise invalid(
            "TumblingWindowInSeconds with a ParallelizationFactor of more than 1 is not supported by Clary: a window "
            "has one state for each shard. Leave one of them out."
        )
    age = made["MaximumRecordAgeInSeconds"]
    if age != -1 and age < 60:
        raise invalid(f"MaximumRecordAgeInSeconds {age} must be -1, for ever, or at least 60.")
    target = (made["DestinationConfig"].get("OnFailure") or {}).get("Destination")
    if target:
        check_destination(target, ("sqs", "sns"), "destination OnFailure of an event source mapping")
    if (made["DestinationConfig"].get("OnSuccess") or {}).get("Destination"):
        raise invalid("OnSuccess destinations are not supported for event source mappings: use OnFailure.")


def _check_queue(source: Arn, made: dict[str, Any]) -> None:
    fifo = source.resource.endswith(".fifo")
    size, window = made["BatchSize"], made["MaximumBatchingWindowInSeconds"]
    if size > (_MOST_OF_FIFO if fifo else _MOST_OF_QUEUE):
        raise invalid(f"BatchSize {size} is more than {_MOST_OF_FIFO if fifo else _MOST_OF_QUEUE}.")
    if fifo and window:
        raise invalid("Batching window is not supported for FIFO queues.")
    if size > _LARGEST_BATCH_AT_ONCE and not window:
        raise invalid(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than "
            f"{_LARGEST_BATCH_AT_ONCE}"
        )


async def check_source(ctx: Context, source: Arn, timeout_seconds: float) -> None:
    """Raise InvalidParameterValueException unless the source is there and suits the function."""
    there = ctx.within(region=source.region)
    try:
        if source.service == "kinesis":
            await there.call_async("kinesis", "DescribeStreamSummary", {"StreamARN": stream_arn(str(source))})
            if "/consumer/" in source.resource:
                await there.call_async("kinesis", "DescribeStreamConsumer", {"ConsumerARN": str(source)})
            return
        asked = {"QueueUrl": queue_url(source), "AttributeNames": ["VisibilityTimeout"]}
        found: Any = await there.call_async("sqs", "GetQueueAttributes", asked)
    except AwsError as error:
        raise invalid(f"The event source {source} cannot be read: {error.code}: {error.message}") from None
    visible = int(found["Attributes"]["VisibilityTimeout"])
    if visible < timeout_seconds:
        raise invalid(
            f"Queue visibility timeout: {visible} seconds is less than Function timeout: {timeout_seconds:g} seconds"
        )


def stream_arn(arn: str) -> str:
    """The stream's ARN in that of one of its consumers; its own as it is."""
    return arn.partition("/consumer/")[0]


def queue_url(source: Arn) -> str:
    return f"/{source.account}/{source.resource}"


def document(ctx: Context, entry: Entry[EventSourceMapping], status: str, result: str | None) -> dict[str, Any]:
    """The EventSourceMappingConfiguration."""
    mapping = entry.value
    shown: dict[str, Any] = {
        "UUID": entry.name,
        "EventSourceArn": entry.parent,
        "EventSourceMappingArn": ctx.arn(f"event-source-mapping:{entry.name}", service="lambda"),
        "FunctionArn": mapping.function,
        "LastModified": mapping.modified_at,
        "State": status,
        "StateTransitionReason": mapping.reason,
        **mapping.members,
    }
    if ":kinesis:" in entry.parent:
        shown["LastProcessingResult"] = result or "No records processed"
    return shown
