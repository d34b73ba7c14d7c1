"""What may be published: checked, and turned into the notification that is delivered."""

import base64
import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.store import Entry
from clary.support.sns.lookup import invalid
from clary.support.sns.records import NOTIFICATION, Notification, Topic, topic_arn

LARGEST_BYTES = 262_144
_LONGEST_SUBJECT = 100
_TYPE = re.compile(r"(String|String\.Array|Number|Binary)(\.[^\s]{1,200})?")
_ATTRIBUTE = re.compile(r"(?!(?i:aws|amazon)\.)[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)*")
_FIFO_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")


def notification_of(topic: Entry[Topic], entry: Mapping[str, Any], now: float) -> Notification:
    """The notification that a publish asks for. Raises InvalidParameter or ParameterValueInvalid."""
    message = entry["Message"]
    if not message:
        raise invalid("Empty message")
    subject = entry.get("Subject")
    if subject is not None:
        _check_subject(subject)
    attributes = {name: _attribute(name, value) for name, value in (entry.get("MessageAttributes") or {}).items()}
    if size_of(entry) > LARGEST_BYTES:
        raise invalid("Message too long")
    group, deduplication_id = _fifo_ids(topic, entry)
    return Notification(
        kind=NOTIFICATION,
        id=new_uuid(),
        topic_arn=topic_arn(topic),
        published_at=now,
        bodies=_bodies(message, entry.get("MessageStructure")),
        subject=subject,
        attributes=attributes,
        group=group,
        deduplication_id=deduplication_id,
    )


def size_of(entry: Mapping[str, Any]) -> int:
    """The bytes that a message counts, its attributes included."""
    attributes = entry.get("MessageAttributes") or {}
    return len(entry["Message"].encode()) + sum(
        len(name.encode())
        + len(value["DataType"])
        + len((value.get("StringValue") or "").encode())
        + len(value.get("BinaryValue") or b"")
        for name, value in attributes.items()
    )


def _check_subject(subject: str) -> None:
    if not subject or len(subject) > _LONGEST_SUBJECT or not subject.isprintable() or subject[0].isspace():
        raise invalid(
            f"Subject Reason: it has 1 to {_LONGEST_SUBJECT} characters, no line break or control character, and does "
            "not begin with a space"
        )


def _bodies(message: str, structure: str | None) -> dict[str, str]:
    if structure is None:
        return {"default": message}
    if structure != "json":
        raise invalid("MessageStructure Reason: it is json or nothing")
    try:
        bodies = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise invalid("Message Structure - JSON message body failed to parse") from None
    if not isinstance(bodies, dict) or not isinstance(bodies.get("default"), str):
        raise invalid("Message Structure - No default entry in JSON message body")
    return {protocol: body for protocol, body in bodies.items() if isinstance(body, str)}


def _attribute(name: str, value: Mapping[str, Any]) -> dict[str, str]:
    if not _ATTRIBUTE.fullmatch(name) or len(name) > 256:
        raise _bad_attribute(name, "its name has up to 256 letters, digits, '_', '-' and single '.'")
    kind = _TYPE.fullmatch(value["DataType"])
    if kind is None:
        raise _bad_attribute(name, "its type is String, String.Array, Number or Binary")
    member = "BinaryValue" if kind[1] == "Binary" else "StringValue"
    content = value.get(member)
    if not content or value.get("StringValue" if member == "BinaryValue" else "BinaryValue"):
        raise _bad_attribute(name, f"the type {kind[1]} goes with a {member} that is not empty, and nothing else")
    if member == "BinaryValue":
        return {"DataType": value["DataType"], member: base64.b64encode(content).decode()}
    if kind[1] == "Number":
        _check_number(name, content)
    if value["DataType"] == "String.Array":
        _check_array(name, content)
    return {"DataType": value["DataType"], member: content}


def _check_number(name: str, content: str) -> None:
    try:
        finite = math.isfinite(float(content))
    except ValueError:
        finite = False
    if not finite:
        raise _bad_attribute(name, f"{content[:40]!r} is no number")


def _check_array(name: str, content: str) -> None:
    try:
        values = orjson.loads(content)
    except orjson.JSONDecodeError:
        values = None
    if not isinstance(values, list) or not all(isinstance(each, str | int | float | None) for each in values):
        raise _bad_attribute(name, "it is a JSON array of strings, numbers, true, false and null")


def _bad_attribute(name: str, why: str) -> AwsError:
    return AwsError("ParameterValueInvalid", f"The message attribute {name[:256]!r} is invalid: {why}.")


def _fifo_ids(topic: Entry[Topic], entry: Mapping[str, Any]) -> tuple[str, str]:
    group, given = entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")
    for name, value in (("MessageGroupId", group), ("MessageDeduplicationId", given)):
        if value is not None and not _FIFO_ID.fullmatch(value):
            raise invalid(f"{name} Reason: it has 1 to 128 letters, digits and punctuation characters")
    if not topic.value.is_fifo:
        if given is not None:
            raise invalid(
                "MessageDeduplicationId Reason: The request includes a parameter that is not valid for this topic type"
            )
        return group or "", ""
    if group is None:
        raise invalid("The MessageGroupId parameter is required for FIFO topics")
    if given is None:
        if topic.value.attributes.get("ContentBasedDeduplication") != "true":
            raise invalid(
                "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                "explicitly"
            )
        given = hashlib.sha256(entry["Message"].encode()).hexdigest()
    return group, given
