"""What a message may hold: its body, its attributes, their sizes and their digests."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.support.sqs.lookup import invalid_value
from clary.support.sqs.records import Message, Queue

_MOST_ATTRIBUTES = 10
_BAD_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?!(?i:aws|amazon)\.)[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)*")
_TYPE = re.compile(r"(String|Number|Binary)(\.[^\s]{1,249})?")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_FIFO_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_TRACE_HEADER = "AWSTraceHeader"


def message_of(queue: Queue, entry: Mapping[str, Any], message_id: str, sender: str, now_ms: int) -> Message:
    """The message that a send asks for. Raises the error for what is wrong with it."""
    body = entry["MessageBody"]
    if not body:
        raise AwsError("MissingParameter", "The request must contain the parameter MessageBody.")
    bad = _BAD_CHARACTER.search(body)
    if bad is not None:
        raise AwsError("InvalidMessageContents", f"The message contains a character that is not allowed: {bad[0]!r}.")
    attributes = _kept(entry.get("MessageAttributes") or {})
    size = len(body.encode()) + attributes_size(attributes)
    largest = queue.number("MaximumMessageSize")
    if size > largest:
        raise invalid_value(
            f"One or more parameters are invalid. Reason: Message must be shorter than {largest} bytes."
        )
    group, deduplication_id = _fifo_ids(queue, entry, body)
    return Message(
        id=message_id,
        body=body,
        md5=md5(body),
        sender=sender,
        sent_at_ms=now_ms,
        retained_from_ms=now_ms,
        attributes=attributes,
        trace_header=_trace_header(entry.get("MessageSystemAttributes") or {}),
        group=group,
        deduplication_id=deduplication_id,
    )


def delay_of(queue: Queue, given: int | None) -> int:
    """The seconds that a message is delayed. Raises InvalidParameterValue."""
    if given is None:
        return queue.number("DelaySeconds")
    if queue.is_fifo and given:
        raise invalid_value(
            f"Value {given} for parameter DelaySeconds is invalid. Reason: The request include parameter that is not "
            "valid for this queue type."
        )
    if not 0 <= given <= 900:
        raise invalid_value(
            f"Value {given} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
        )
    return given if not queue.is_fifo else queue.number("DelaySeconds")


def entry_size(entry: Mapping[str, Any]) -> int:
    """The bytes that an entry of a batch counts."""
    return len(entry["MessageBody"].encode()) + attributes_size(_kept(entry.get("MessageAttributes") or {}))


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def attributes_size(attributes: Mapping[str, Mapping[str, str]]) -> int:
    return sum(len(name.encode()) + len(kept["DataType"]) + len(_value(kept)) for name, kept in attributes.items())


def attributes_md5(attributes: Mapping[str, Mapping[str, str]]) -> str | None:
    """The digest that SDKs check: of names, types and values, each behind its length, sorted by name."""
    if not attributes:
        return None
    digest = hashlib.md5(usedforsecurity=False)
    for name, kept in sorted(attributes.items()):
        for part in (name.encode(), kept["DataType"].encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
        value = _value(kept)
        digest.update((b"\x02" if "BinaryValue" in kept else b"\x01") + len(value).to_bytes(4, "big") + value)
    return digest.hexdigest()


def trace_header_md5(trace_header: str) -> str | None:
    return attributes_md5({_TRACE_HEADER: {"DataType": "String", "StringValue": trace_header}} if trace_header else {})


def chosen(attributes: Mapping[str, dict[str, str]], names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The attributes that a receive asks for: by name, `All`, or `prefix.*`."""
    asked = list(names)
    if "All" in asked or ".*" in asked:
        return dict(attributes)
    prefixes = tuple(name[:-1] for name in asked if name.endswith(".*"))
    return {
        name: kept for name, kept in attributes.items() if name in asked or (prefixes and name.startswith(prefixes))
    }


def on_the_wire(kept: Mapping[str, str]) -> dict[str, Any]:
    """A kept attribute as an answer holds it."""
    if "BinaryValue" in kept:
        return {"DataType": kept["DataType"], "BinaryValue": _value(kept)}
    return dict(kept)


def _kept(given: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    if len(given) > _MOST_ATTRIBUTES:
        raise invalid_value(
            f"Number of message attributes [{len(given)}] exceeds the allowed maximum [{_MOST_ATTRIBUTES}]."
        )
    return {name: _kept_attribute(name, value) for name, value in given.items()}


def _kept_attribute(name: str, value: Mapping[str, Any]) -> dict[str, str]:
    if not _NAME.fullmatch(name) or len(name) > 256:
        raise invalid_value(
            f"The message attribute name {name[:256]!r} is invalid: use up to 256 letters, digits, '_', '-' and single "
            "'.', and do not begin with AWS. or Amazon."
        )
    kind = _TYPE.fullmatch(value["DataType"])
    if kind is None:
        raise invalid_value(
            f"The type of message attribute '{name}' is invalid. You must use only the following supported type "
            "prefixes: Binary, Number, String."
        )
    if value.get("StringListValues") or value.get("BinaryListValues"):
        raise AwsError(
            "UnsupportedOperation", "Message attribute list values in SendMessage operation are not supported."
        )
    member = "BinaryValue" if kind[1] == "Binary" else "StringValue"
    content = value.get(member)
    if not content or value.get("StringValue" if member == "BinaryValue" else "BinaryValue"):
        raise invalid_value(
            f"The message attribute '{name}' must contain a non-empty {member} for the type '{value['DataType']}', and "
            "nothing else."
        )
    if member == "BinaryValue":
        return {"DataType": value["DataType"], member: base64.b64encode(content).decode()}
    if _BAD_CHARACTER.search(content):
        raise invalid_value(f"The message attribute '{name}' contains a character that is not allowed.")
    if kind[1] == "Number" and not _NUMBER.fullmatch(content):
        raise invalid_value(f"Can't cast the value of message (user) attribute '{name}' to a number.")
    return {"DataType": value["DataType"], member: content}


def _trace_header(given: Mapping[str, Mapping[str, Any]]) -> str:
    for name, value in given.items():
        if name != _TRACE_HEADER or value["DataType"] != "String" or not value.get("StringValue"):
            raise invalid_value(f"The message system attribute {name!r} must be AWSTraceHeader, a non-empty String.")
    return str(given[_TRACE_HEADER]["StringValue"]) if given else ""


def _fifo_ids(queue: Queue, entry: Mapping[str, Any], body: str) -> tuple[str, str]:
    group, given = entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")
    for name, value in (("MessageGroupId", group), ("MessageDeduplicationId", given)):
        if value is not None and not _FIFO_ID.fullmatch(value):
            raise invalid_value(
                f"Value {value[:128]} for parameter {name} is invalid. Reason: {name} can only include alphanumeric "
                "and punctuation characters. 1 to 128 in length."
            )
    if not queue.is_fifo:
        if given is not None:
            raise invalid_value(
                f"Value {given} for parameter MessageDeduplicationId is invalid. Reason: The request includes a "
                "parameter that is not valid for this queue type."
            )
        return group or "", ""
    if group is None:
        raise AwsError("MissingParameter", "The request must contain the parameter MessageGroupId.")
    if given is None:
        if queue.attributes.get("ContentBasedDeduplication") != "true":
            raise invalid_value(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                "explicitly"
            )
        given = hashlib.sha256(body.encode()).hexdigest()
    return group, given


def _value(kept: Mapping[str, str]) -> bytes:
    return base64.b64decode(kept["BinaryValue"]) if "BinaryValue" in kept else kept["StringValue"].encode()
