"""The JSON objects of records: one in most, several one after the other in some."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

Parse = Callable[[bytes], list[dict[str, Any]]]


def objects_of(data: bytes) -> list[dict[str, Any]]:
    """The objects in a record. Raises ValueError, saying what is wrong, also where there is none."""
    try:
        found = orjson.loads(data)
    except ValueError:
        return _several(data, json.JSONDecoder())
    return [_object(found)]


def exact_objects_of(data: bytes) -> list[dict[str, Any]]:
    """`objects_of` with every number that has a fraction or an exponent as a Decimal: slower, and to the digit."""
    return _several(data, json.JSONDecoder(parse_float=Decimal))


def _several(data: bytes, decoder: json.JSONDecoder) -> list[dict[str, Any]]:
    text, place, found = data.decode(), 0, []
    while True:
        place += len(text[place:]) - len(text[place:].lstrip()) if text[place : place + 1].isspace() else 0
        if place >= len(text):
            break
        try:
            value, place = decoder.raw_decode(text, place)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        found.append(_object(value))
    if not found:
        raise ValueError("it is empty, and should be a JSON object")
    return found


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"it is a JSON {type(value).__name__}, and should be an object")
    return value
