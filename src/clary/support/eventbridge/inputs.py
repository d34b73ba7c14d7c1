"""What a target is sent of an event: all of it, a part, a constant, or what a template makes of it. Pure.

In a template `<name>` stands for what its path leads to. Outside quotes that is a JSON value; inside it is text,
escaped so that the template stays JSON. A path that leads nowhere gives an empty string. Source: "Amazon EventBridge
input transformation" of the user guide.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from clary.support.eventbridge.paths import find, read_path

_PLACE = re.compile(r"<([A-Za-z0-9_\-.]+)>")
_RESERVED = (
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event.ingestion-time",
    "aws.events.event",
    "aws.events.event.json",
)


class Facts(NamedTuple):
    """What is known of an event besides itself. `ingestion_time` is ISO 8601."""

    rule_arn: str
    rule_name: str
    ingestion_time: str


class _Piece(NamedTuple):
    """Text of a template, or the name of what is to stand in its place."""

    text: str
    is_name: bool
    quoted: bool


def rendered(target: Mapping[str, Any], event: bytes, facts: Facts) -> str:
    """The text that a target is sent of an event."""
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath") is not None:
        found = find(orjson.loads(event), target["InputPath"])
        return orjson.dumps(found[0] if found else None).decode()
    transformer = target.get("InputTransformer")
    if transformer is None:
        return event.decode()
    return transformed(transformer["InputTemplate"], transformer.get("InputPathsMap") or {}, orjson.loads(event), facts)


def transformed(template: str, paths: Mapping[str, str], event: Mapping[str, Any], facts: Facts) -> str:
    """A template with everything in its place."""
    parts = []
    for piece in _pieces(template):
        if piece.is_name:
            value = _value(piece.text, paths, event, facts)
            parts.append(_inside(value) if piece.quoted else orjson.dumps(value).decode())
        else:
            parts.append(piece.text)
    return "".join(parts)


def refuse_template(template: str, paths: Mapping[str, str]) -> str | None:
    """Why a template cannot be used, in AWS's words; None when it can."""
    for name, path in paths.items():
        if name.lower().startswith("aws"):
            return f"contains the reserved name {name}"
        try:
            read_path(path)
        except ValueError as error:
            return str(error)
    for piece in _pieces(template):
        if piece.is_name and piece.text not in paths and piece.text not in _RESERVED:
            return f"contains invalid placeholder {piece.text}"
    sample = "".join(
        (piece.text if piece.quoted else "0") if piece.is_name else piece.text for piece in _pieces(template)
    )
    return None if _is_json(sample) else "is not valid JSON: it holds JSON values, text in quotes"


def _is_json(text: str) -> bool:
    """Whether a text is one JSON value, or several on lines of their own."""
    decoder, position = json.JSONDecoder(strict=False), 0
    try:
        while position < len(text):
            _, position = decoder.raw_decode(text, position)
            while position < len(text) and text[position].isspace():
                position += 1
    except (ValueError, RecursionError):
        return False
    return True


def _value(name: str, paths: Mapping[str, str], event: Mapping[str, Any], facts: Facts) -> Any:
    if name in paths:
        found = find(event, paths[name])
        return found[0] if found else ""
    if name == "aws.events.rule-arn":
        return facts.rule_arn
    if name == "aws.events.rule-name":
        return facts.rule_name
    if name == "aws.events.event.ingestion-time":
        return facts.ingestion_time
    if name == "aws.events.event":
        return {key: value for key, value in event.items() if key != "detail"}
    return event


def _inside(value: Any) -> str:
    """A value as it stands between quotes."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return json.dumps(text, ensure_ascii=False)[1:-1]


@lru_cache(maxsize=2048)
def _pieces(template: str) -> tuple[_Piece, ...]:
    return tuple(_split(template.strip()))


def _split(template: str) -> Iterator[_Piece]:
    start = position = 0
    quoted = False
    while position < len(template):
        character = template[position]
        if character == "\\" and quoted:
            position += 2
            continue
        if character == '"':
            quoted = not quoted
        found = _PLACE.match(template, position) if character == "<" else None
        if found is None:
            position += 1
            continue
        if position > start:
            yield _Piece(template[start:position], False, quoted)
        yield _Piece(found[1], True, quoted)
        start = position = found.end()
    if start < len(template):
        yield _Piece(template[start:], False, quoted)
