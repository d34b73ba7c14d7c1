"""Records as they come in: their values checked against the group's features, their times read.

Values are texts. What one means is checked here, once, and nothing is converted: what was put is what is got, character
by character. Source: "Data types" and "Collection types" of the developer guide, PutRecord of the API reference.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.online.contract import BEHIND_EVENTS, FIRST_EVENT, MOST_KEY_BYTES
from clary.systems.feature_store.definitions import seconds_of
from clary.systems.feature_store.lookup import invalid
from clary.systems.feature_store.views import Feature, View

MOST_RECORD_BYTES = 350 * 1024
_INTEGRAL = re.compile(r"[+-]?[0-9]{1,19}")
_FRACTIONAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_INT64 = range(-(2**63), 2**63)
_ISO = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{3}|[0-9]{9}))?Z")
_NANOSECONDS = 10**9

Values = dict[str, str | list[str]]


class Incoming(NamedTuple):
    """A record that may be stored: its identifier, its event's time in nanoseconds since the epoch and as it was given,
    its values by feature, and how the online store keeps them."""

    identifier: str
    event: int
    event_text: str
    values: Values
    data: bytes


def read_record(view: View, record: Sequence[Mapping[str, Any]]) -> Incoming:
    """A record of a request. Raises ValidationError that names what is wrong with it."""
    values: Values = read_values(view, record)
    identifier, event_text = values.get(view.identifier), values.get(view.event_time)
    if not identifier:
        raise invalid(f"Record does not contain the record identifier feature: [{view.identifier}] must have a value.")
    if event_text is None:
        raise invalid(f"Record does not contain the event time feature: [{view.event_time}] must have a value.")
    assert isinstance(identifier, str)  # neither is a collection
    assert isinstance(event_text, str)
    check_identifier(view, identifier)
    data = data_of(values)
    return Incoming(identifier, read_event_time(view, event_text), event_text, values, data)


def read_values(view: View, record: Sequence[Mapping[str, Any]]) -> Values:
    """The values of a record by feature. Raises ValidationError for features and values that do not fit the group."""
    features = view.features
    values: Values = {}
    for each in record:
        name = each["FeatureName"]
        feature = features.get(name)
        if feature is None:
            raise invalid(f"Feature [{name}] is not defined in FeatureGroup {view.place.name}.")
        text = each.get("ValueAsString")
        if feature.collection or "ValueAsStringList" in each:
            values[name] = _collection(name, feature, each)
        elif text is None:
            raise invalid(f"Feature [{name}] has no ValueAsString: leave a feature out that has no value.")
        else:
            if feature.type != "String":
                _check_number(name, feature.type, text)
            values[name] = text
    if len(values) < len(record):
        names = [each["FeatureName"] for each in record]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise invalid(f"Record has more than one value for: {', '.join(repeated)}.")
    return values


def data_of(values: Values) -> bytes:
    """Values as the online store keeps them: the list that GetRecord answers. Raises ValidationError when too large."""
    data = orjson.dumps([_shown(name, value) for name, value in values.items()])
    if len(data) > MOST_RECORD_BYTES:
        raise invalid(f"A record has at most {MOST_RECORD_BYTES} bytes; this one has {len(data)}.")
    return data


def values_of(data: bytes) -> Values:
    """The values that `data_of` wrote."""
    return {
        each["FeatureName"]: each["ValueAsString"] if "ValueAsString" in each else each["ValueAsStringList"]
        for each in orjson.loads(data)
    }


def _shown(name: str, value: str | list[str]) -> dict[str, Any]:
    return {"FeatureName": name, "ValueAsString" if type(value) is str else "ValueAsStringList": value}


def check_identifier(view: View, identifier: str) -> None:
    """Raise ValidationError for the value of a record identifier that no record can have."""
    if len(identifier) > MOST_KEY_BYTES // 4 and len(identifier.encode()) > MOST_KEY_BYTES:
        size = len(identifier.encode())
        raise invalid(f"A record identifier value has at most {MOST_KEY_BYTES} bytes; this has {size}.")
    if not identifier:
        raise invalid(f"The value of the record identifier [{view.identifier}] must not be empty.")


def read_event_time(view: View, text: str) -> int:
    """An event time in nanoseconds since the epoch. Raises ValidationError."""
    found = _read_iso(text) if view.event_time_is_text else _read_seconds(text)
    if found is None:
        form = (
            "an ISO-8601 time of the form yyyy-MM-dd'T'HH:mm:ssZ, yyyy-MM-dd'T'HH:mm:ss.SSSZ or "
            "yyyy-MM-dd'T'HH:mm:ss.SSSSSSSSSZ"
            if view.event_time_is_text
            else "a Unix time in seconds, of the years 0 to 9999"
        )
        raise invalid(f"EventTime [{text[:100]}] of feature [{view.event_time}] must be {form}.")
    return found


def _read_iso(text: str) -> int | None:
    parts = _ISO.fullmatch(text)
    if parts is None:
        return None
    try:
        seconds = int(datetime.fromisoformat(parts[1]).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None  # such as a month 13
    return seconds * _NANOSECONDS + (int(parts[2].ljust(9, "0")) if parts[2] else 0)


def _read_seconds(text: str) -> int | None:
    if not _FRACTIONAL.fullmatch(text):
        return None
    seconds = Decimal(text)
    if not FIRST_EVENT <= seconds * _NANOSECONDS < BEHIND_EVENTS:
        return None
    return int(seconds * _NANOSECONDS)


def written_event_time(view: View, epoch_seconds: float) -> str:
    """A time as the group's event times are written."""
    return iso(epoch_seconds) if view.event_time_is_text else f"{epoch_seconds:.3f}"


def expiry(view: View, event: int, ttl: Mapping[str, Any] | None) -> float:
    """When a record of this event expires, in epoch seconds; 0 for never."""
    seconds = seconds_of(ttl) if ttl else view.ttl_seconds
    return max(event / _NANOSECONDS + seconds, 1e-3) if seconds else 0.0


def _collection(name: str, feature: Feature, value: Mapping[str, Any]) -> list[str]:
    texts = value.get("ValueAsStringList")
    if not feature.collection:
        raise invalid(f"Feature [{name}] is not a collection: give its value as ValueAsString.")
    if texts is None or "ValueAsString" in value:
        raise invalid(f"Feature [{name}] is a {feature.collection}: give its values as ValueAsStringList alone.")
    if feature.type != "String":
        for text in texts:
            _check_number(name, feature.type, text)
    if feature.collection == "Vector" and len(texts) != feature.dimension:
        raise invalid(f"Feature [{name}] is a Vector of {feature.dimension} values: it was given {len(texts)}.")
    return list(dict.fromkeys(texts) if feature.collection == "Set" else texts)


def _check_number(name: str, type_: str, text: str) -> None:
    if type_ == "Integral":
        fits = _INTEGRAL.fullmatch(text) is not None and int(text) in _INT64
    else:
        fits = _FRACTIONAL.fullmatch(text) is not None and math.isfinite(float(text))
    if not fits:
        raise invalid(f"Value [{text[:100]}] of feature [{name}] is not of type {type_}.")
