"""Where the outcome of an invocation that nobody waits for is told: queues, topics and functions, by their ARNs."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.support.lambda_.names import Named, invalid

_TRIES = 3
_PAUSE_SECONDS = 0.5
_log = logging.getLogger("clary.lambda")


def check_destination(arn: str, services: tuple[str, ...], what: str) -> None:
    """Raise InvalidParameterValueException unless an ARN is one that outcomes can be told to."""
    try:
        found = parse_arn(arn)
    except AwsError as error:
        raise invalid(f"The destination ARN {arn} is invalid: {error.message}") from None
    if found.service not in services:
        raise invalid(
            f"The destination ARN {arn} is not supported by Clary as {what}: use one of {', '.join(services)}."
        )
    if found.service == "sqs" and found.resource.endswith(".fifo"):
        raise invalid(f"The destination ARN {arn} is invalid: FIFO queues cannot be destinations.")


async def send(platform: Platform, named: Named, arn: str, document: bytes, attributes: Mapping[str, str]) -> bool:
    """Tell a destination, on behalf of the function's account; False when it cannot be told."""
    for number in range(_TRIES):
        try:
            await _send(platform, named, arn, document, attributes)
            return True
        except AwsError as error:
            passing = (error.status or 400) >= 500 or error.status == 429
            if not passing or number == _TRIES - 1:
                _log.warning("destination %s of function %s could not be told: %s", arn, named.arn, error)
                return False
            await asyncio.sleep(_PAUSE_SECONDS * (number + 1))
    return False


async def _send(platform: Platform, named: Named, arn: str, document: bytes, attributes: Mapping[str, str]) -> None:
    target = parse_arn(arn)
    text = document.decode("utf-8", "replace")
    said = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    params: dict[str, Any]
    if target.service == "sqs":
        operation = "SendMessage"
        params = {"QueueUrl": f"/{target.account}/{target.resource}", "MessageBody": text}
        params |= {"MessageAttributes": said} if said else {}
    elif target.service == "sns":
        operation = "Publish"
        params = {"TopicArn": arn, "Message": text}
        params |= {"MessageAttributes": said} if said else {}
    else:
        operation = "Invoke"
        params = {"FunctionName": arn, "InvocationType": "Event", "Payload": document}
    ctx = platform.acting_as_root(named.account, target.region, target.service, operation)
    await platform.registry.invoke(ctx, params)


def value_of(payload: bytes) -> Any:
    """A payload as it stands in a document: the JSON it is, or its text."""
    try:
        return orjson.loads(payload) if payload else None
    except orjson.JSONDecodeError:
        return payload.decode("utf-8", "replace")
