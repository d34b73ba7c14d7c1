"""What could not be delivered, put into a dead-letter queue: the event or the input, and why, in attributes."""

from typing import Any

import orjson

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.clock import iso
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.support.eventbridge.senders import Failure, Parcel, failure_of, queue_path

SENT, UNSENT = "InvocationsSentToDlq", "InvocationsFailedToBeSentToDlq"


def put_aside(platform: Platform, parcel: Parcel, failure: Failure, exhausted: str) -> str | None:
    """Send a parcel to its target's dead-letter queue; say what became of it: `SENT`, `UNSENT` for good, empty where
    there is no queue, None when that is to be tried again."""
    delivery = parcel.delivery
    target = (delivery.target.get("DeadLetterConfig") or {}).get("Arn")
    if target is None:
        return ""
    queue = parse_arn(target)
    attributes = _attributes(parcel, failure, exhausted)
    body = parcel.text if delivery.is_scheduled else orjson.dumps(parcel.event).decode()
    message: dict[str, Any] = {
        "QueueUrl": queue_path(queue),
        "MessageBody": body,
        "MessageAttributes": {
            name: {"DataType": "Number" if name == "RETRY_ATTEMPTS" else "String", "StringValue": value}
            for name, value in attributes.items()
            if value
        },
    }
    if queue.resource.endswith(".fifo"):
        message |= {"MessageGroupId": parcel.token, "MessageDeduplicationId": parcel.token}
    try:
        platform.call(parse_arn(delivery.source).account, queue.region, "sqs", "SendMessage", **message)
    except AwsError as error:
        return UNSENT if failure_of(error).final else None
    return SENT


def _attributes(parcel: Parcel, failure: Failure, exhausted: str) -> dict[str, str]:
    delivery = parcel.delivery
    about = {
        "TARGET_ARN": delivery.target["Arn"],
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": failure.message[:1000] or failure.code,
        "EXHAUSTED_RETRY_CONDITION": exhausted,
        "RETRY_ATTEMPTS": str(delivery.tries),
    }
    if not delivery.is_scheduled:
        return {"RULE_ARN": delivery.source, **about}
    return {
        "SCHEDULE_ARN": delivery.source,
        "EXECUTION_ID": parcel.event["id"],
        "SCHEDULED_TIME": f"{iso(delivery.scheduled_at)[:19]}Z",
        "IS_PAYLOAD_TRUNCATED": "false",
        **about,
    }
