"""A queue's attributes: which there are, what they may hold, and what GetQueueAttributes answers."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from clary.kernel.auth import policies
from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.support.sqs.records import DEFAULTS, FIFO_DEFAULTS, Queue

_RANGES = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}
_CHOICES = {
    "FifoQueue": ("true", "false"),
    "ContentBasedDeduplication": ("true", "false"),
    "DeduplicationScope": ("messageGroup", "queue"),
    "FifoThroughputLimit": ("perMessageGroupId", "perQueue"),
}
_DOCUMENTS = ("Policy", "RedrivePolicy", "RedriveAllowPolicy")
_PERMISSIONS = ("allowAll", "denyAll", "byQueue")
_KMS = ("KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled")
_FACTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
)
SHOWN = frozenset((*_RANGES, *_CHOICES, *_DOCUMENTS, *_KMS, *_FACTS))


def invalid_attribute(name: str, why: str = "") -> AwsError:
    reason = f" Reason: {why}" if why else ""
    return AwsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.{reason}")


def checked(given: Mapping[str, str], *, fifo: bool) -> dict[str, str]:
    """The attributes that a queue may be given, as it keeps them; an empty document takes one away.

    Raises InvalidAttributeName or InvalidAttributeValue.
    """
    kept = {name: _checked(name, value, fifo) for name, value in given.items()}
    kept.pop("FifoQueue", None)
    if kept.get("FifoThroughputLimit") == "perMessageGroupId" and kept.get("DeduplicationScope") != "messageGroup":
        raise invalid_attribute(
            "FifoThroughputLimit", "perMessageGroupId needs DeduplicationScope to be set to messageGroup with it."
        )
    return {name: value for name, value in kept.items() if name not in _KMS}


def _checked(name: str, value: str, fifo: bool) -> str:
    if name in _RANGES:
        low, high = _RANGES[name]
        if not (value.isascii() and value.isdigit() and len(value) < 10 and low <= int(value) <= high):
            raise invalid_attribute(name, f"Must be an integer from {low} to {high}.")
        return str(int(value))
    if name in _CHOICES:
        return _chosen(name, value, fifo)
    if name in _DOCUMENTS:
        return _document(name, value) if value.strip() else ""
    if name in _KMS:
        if value in {"", "false"} or name == "KmsDataKeyReusePeriodSeconds":
            return ""
        raise invalid_attribute(name, "Clary does not encrypt messages at rest: leave it out.")
    raise AwsError("InvalidAttributeName", f"Unknown Attribute {name}.")


def _chosen(name: str, value: str, fifo: bool) -> str:
    if value not in _CHOICES[name]:
        raise invalid_attribute(name, f"Must be one of {', '.join(_CHOICES[name])}.")
    if name == "FifoQueue":
        if (value == "true") != fifo:
            raise invalid_attribute(name, "It is true exactly for queues whose name ends with .fifo.")
    elif not fifo:
        raise AwsError("InvalidAttributeName", f"You can specify the {name} only when FifoQueue is set to true.")
    return value


def _document(name: str, value: str) -> str:
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise invalid_attribute(name, "It is not valid JSON.") from None
    if not isinstance(document, dict):
        raise invalid_attribute(name, "It must be a JSON object.")
    if name == "Policy":
        try:
            policies.compile_document(value, "queue policy")
        except ValueError as error:
            raise invalid_attribute(name, str(error)) from None
        return value
    return _redrive(document) if name == "RedrivePolicy" else _redrive_allow(document)


def _redrive(document: dict[str, Any]) -> str:
    name = "RedrivePolicy"
    if document.keys() != {"deadLetterTargetArn", "maxReceiveCount"}:
        raise invalid_attribute(name, "It must hold deadLetterTargetArn and maxReceiveCount, and nothing else.")
    text = str(document["maxReceiveCount"])
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= 1000):
        raise invalid_attribute(name, "maxReceiveCount must be an integer from 1 to 1000.")
    target = document["deadLetterTargetArn"]
    if not isinstance(target, str) or parse_arn(target).service != "sqs":
        raise invalid_attribute(name, "deadLetterTargetArn must be the ARN of a queue.")
    return orjson.dumps({"deadLetterTargetArn": target, "maxReceiveCount": int(text)}).decode()


def _redrive_allow(document: dict[str, Any]) -> str:
    name = "RedriveAllowPolicy"
    permission, sources = document.get("redrivePermission"), document.get("sourceQueueArns")
    if document.keys() - {"redrivePermission", "sourceQueueArns"} or permission not in _PERMISSIONS:
        raise invalid_attribute(name, f"redrivePermission must be one of {', '.join(_PERMISSIONS)}.")
    if (permission == "byQueue") != (sources is not None):
        raise invalid_attribute(name, "sourceQueueArns is needed by byQueue, and by nothing else.")
    if sources is not None and not (
        isinstance(sources, list) and 1 <= len(sources) <= 10 and all(isinstance(each, str) for each in sources)
    ):
        raise invalid_attribute(name, "sourceQueueArns must be a list of one to ten ARNs.")
    return orjson.dumps(document).decode()


def with_changes(kept: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """A queue's attributes after a change: an empty value takes one away."""
    return {name: value for name, value in {**kept, **changes}.items() if value}


def differing(queue: Queue, wanted: Mapping[str, str]) -> str | None:
    """The first attribute whose value differs from a queue's."""
    have = effective(queue)
    return next((name for name, value in wanted.items() if have.get(name, "") != value), None)


def effective(queue: Queue) -> dict[str, str]:
    """What is set of a queue, and the defaults of what is not."""
    fifo = {"FifoQueue": "true", **FIFO_DEFAULTS} if queue.is_fifo else {}
    return {**DEFAULTS, "SqsManagedSseEnabled": "false", **fifo, **queue.attributes}


def shown(queue: Queue, counts: tuple[int, int, int], names: Iterable[str]) -> dict[str, str]:
    """The attributes asked for. Raises InvalidAttributeName."""
    asked = set(names)
    unknown = asked - SHOWN - {"All"}
    if unknown:
        raise AwsError("InvalidAttributeName", f"Unknown Attribute {sorted(unknown)[0]}.")
    visible, in_flight, delayed = counts
    every = {
        **effective(queue),
        "QueueArn": queue.arn,
        "ApproximateNumberOfMessages": str(visible),
        "ApproximateNumberOfMessagesNotVisible": str(in_flight),
        "ApproximateNumberOfMessagesDelayed": str(delayed),
        "CreatedTimestamp": str(int(queue.created_at)),
        "LastModifiedTimestamp": str(int(queue.modified_at)),
    }
    return {name: value for name, value in every.items() if "All" in asked or name in asked}
