"""The prefixes of objects in S3: text with expressions, `!{namespace:value}`, evaluated for every object.

Like AWS, an object is named by the arrival of the oldest record in it. Here that holds for everything about a name,
random strings included: an object that is delivered again after a failure gets the name it had.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clary.systems.firehose.java_time import Part, compile_pattern
from clary.systems.firehose.refusals import invalid

QUERY, FUNCTION = "partitionKeyFromQuery", "partitionKeyFromLambda"
ERROR_TYPE, RANDOM = "error-output-type", "random-string"

_DEFAULT_TIME = "yyyy/MM/dd/HH/"
_EXPRESSION = re.compile(r"!\{([^{}]*)\}")
_MOST_EVALUATED = 1024
_RANDOM_LETTERS = 11
_KEY = re.compile(r"[A-Za-z0-9_\-.]{1,128}")


class Naming(NamedTuple):
    """What an object's name is made from: the arrival of its oldest record in epoch seconds, what stands for chance,
    the partition's keys, and what the object is for when it is not for what was delivered."""

    at: float
    seed: str
    partition: Mapping[str, str]
    error_type: str = ""


class Expression(NamedTuple):
    namespace: str
    value: str
    write: Part | None = None


class Prefix:
    """A prefix. Raises InvalidArgumentException for expressions that mean nothing."""

    def __init__(self, text: str) -> None:
        pieces = _EXPRESSION.split(text)
        if any("!{" in literal for literal in pieces[::2]):
            raise invalid(
                f"Prefix {text!r} is invalid: the sequence !{{ may only begin an expression !{{namespace:value}}."
            )
        self.parts: list[str | Expression] = [
            _expression(piece, text) if number % 2 else piece for number, piece in enumerate(pieces)
        ]
        self.expressions = [part for part in self.parts if isinstance(part, Expression)]

    def has(self, namespace: str, value: str | None = None) -> bool:
        return any(each.namespace == namespace and value in (None, each.value) for each in self.expressions)

    def keys(self, namespace: str) -> set[str]:
        """The partition keys it takes from a namespace."""
        return {each.value for each in self.expressions if each.namespace == namespace}

    def evaluate(self, naming: Naming, zone: tzinfo) -> str:
        """The prefix of one object. Raises KeyError for a partition key that is not there."""
        moment = datetime.fromtimestamp(naming.at, zone)
        written = []
        for number, part in enumerate(self.parts):
            if isinstance(part, str):
                written.append(part)
            elif part.write is not None:
                written.append(part.write(moment))
            elif part.value == ERROR_TYPE and part.namespace == "firehose":
                written.append(naming.error_type)
            elif part.namespace == "firehose":
                written.append(_random(naming.seed, number))
            else:
                written.append(naming.partition[part.value])
        return "".join(written)


def _expression(text: str, whole: str) -> Expression:
    namespace, separator, value = text.partition(":")
    if separator and namespace == "timestamp" and value:
        try:
            write = compile_pattern(value)
            write(datetime.fromtimestamp(0, UTC))
        except ValueError as error:
            raise invalid(f"Prefix {whole!r} is invalid: {value!r} is no time pattern: {error}.") from None
        return Expression(namespace, value, write)
    if separator and namespace == "firehose" and value in (ERROR_TYPE, RANDOM):
        return Expression(namespace, value)
    if separator and namespace in (QUERY, FUNCTION) and _KEY.fullmatch(value):
        return Expression(namespace, value)
    raise invalid(
        f"Prefix {whole!r} is invalid: !{{{text}}} is no expression. There are !{{timestamp:<pattern>}}, "
        f"!{{firehose:{RANDOM}}}, !{{firehose:{ERROR_TYPE}}}, !{{{QUERY}:<key>}} and !{{{FUNCTION}:<key>}}."
    )


def _random(seed: str, number: int) -> str:
    """Letters and digits that are the same for the same object."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    value, alphabet = int.from_bytes(digest, "big"), "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    letters = []
    for _ in range(_RANDOM_LETTERS):
        value, letter = divmod(value, len(alphabet))
        letters.append(alphabet[letter])
    return "".join(letters)


class Names:
    """The names of the objects of one S3 configuration. Raises InvalidArgumentException for rules it breaks."""

    def __init__(self, prefix: str, error_prefix: str, zone: str = "", *, partitioned: bool = False) -> None:
        self._zone = zone_of(zone)
        given = Prefix(prefix)
        if given.has("firehose", ERROR_TYPE):
            raise invalid(f"Prefix must not contain !{{firehose:{ERROR_TYPE}}}: that is for ErrorOutputPrefix.")
        partition_keys = given.keys(QUERY) | given.keys(FUNCTION)
        if partition_keys and not partitioned:
            raise invalid(
                "Dynamic Partitioning Namespaces cannot be part of a prefix expression when dynamic partitioning is "
                "disabled."
            )
        if partitioned and not partition_keys:
            raise invalid(
                f"Prefix must contain an expression of {QUERY} or {FUNCTION} when dynamic partitioning is enabled."
            )
        if given.expressions and not error_prefix:
            raise invalid("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions.")
        self.prefix = given if given.expressions else Prefix(f"{prefix}!{{timestamp:{_DEFAULT_TIME}}}")
        self._errors = _error_prefix(prefix, error_prefix)

    def of(self, naming: Naming, suffix: str) -> str:
        """The key of an object. Raises KeyError for a partition key that is missing, ValueError for too long a key."""
        prefix = (self._errors if naming.error_type else self.prefix).evaluate(naming, self._zone)
        key = prefix + suffix
        if len(key.encode()) > _MOST_EVALUATED:
            raise ValueError(f"the key has more than {_MOST_EVALUATED} bytes: {key[:100]}...")
        return key

    def suffix(self, stream: str, revision: int, naming: Naming, extension: str) -> str:
        """What follows the prefix: `<stream>-<version>-YYYY-MM-DD-HH-MM-SS-<uuid><extension>`."""
        moment = datetime.fromtimestamp(naming.at, self._zone)
        return f"{stream}-{revision}-{moment:%Y-%m-%d-%H-%M-%S}-{naming.seed}{extension}"


def _error_prefix(prefix: str, error_prefix: str) -> Prefix:
    given = Prefix(error_prefix)
    if given.has(QUERY) or given.has(FUNCTION):
        raise invalid("ErrorOutputPrefix must not contain expressions of dynamic partitioning.")
    if given.expressions:
        if not given.has("firehose", ERROR_TYPE):
            raise invalid(
                f"ErrorOutputPrefix must contain !{{firehose:{ERROR_TYPE}}} at least once when it contains expressions."
            )
        return given
    before = error_prefix or prefix
    if _EXPRESSION.search(before):
        before = ""
    return Prefix(f"{before}!{{firehose:{ERROR_TYPE}}}/!{{timestamp:{_DEFAULT_TIME}}}")


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """A time zone by its name, UTC for none. Raises InvalidArgumentException for one that is not known."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid(f"CustomTimeZone {name!r} is unknown: give a name such as Europe/Berlin, or UTC.") from None
