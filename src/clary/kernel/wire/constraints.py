"""Checks params against their operation's model: required, types, length, range, pattern, enum, union, depth.

The model's constraints are enforced here, once, with AWS's message, so that no room repeats them:

    1 validation error detected: Value 'x y' at 'trainingJobName' failed to satisfy constraint:
    Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}

A wrong type is a SerializationException, as AWS's servers refuse it before they look at constraints. S3 validates each
operation its own way, so only what is required is checked for it and the room decides the rest.
"""

import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.models import Member, Operation, Shape
from clary.kernel.wire.patterns import Pattern, compile_pattern
from clary.kernel.wire.tree import kind, malformed

MAX_ERRORS = 10
MAX_DEPTH = 100
_MAX_SHOWN = 1024

Path = tuple[str, ...]
Place = tuple[Any, ...]
"""Where a value is: how deep, the place it is in, and its name or number there. A `Path` is made of it when needed."""
Report = Callable[[Any, Place, str], None]
Check = Callable[[Any, Place, Report], None]

_LONGEST_REMEMBERED = 256
_MOST_REMEMBERED = 1024

CODES = {
    "sagemaker-runtime": "ValidationError",
    "sagemaker-featurestore-runtime": "ValidationError",
    "sts": "ValidationError",
    "iam": "ValidationError",
    "cloudwatch": "ValidationError",
    "sns": "ValidationError",
    "ecr": "InvalidParameterException",
    "logs": "InvalidParameterException",
    "sqs": "InvalidParameterValue",
    "athena": "InvalidRequestException",
    "textract": "InvalidParameterException",
}
"""Code that a service answers to a constraint; ValidationException for those not named."""

WIDENED = {
    # "Maximum payload size for endpoint invocation: 25 MB" of SageMaker's quotas; its model still says 6 MB.
    ("sagemaker-runtime", "BodyBlob"): 25 * 1024 * 1024,
}
"""Greatest lengths that a service itself has widened since its model was written, by service and shape."""

LOOSENED = {
    ("firehose", "ClusterJDBCURL"): r"jdbc:(redshift|postgresql)://.+",
    ("firehose", "AmazonopensearchserviceClusterEndpoint"): r"https?:.*",
    ("firehose", "ElasticsearchClusterEndpoint"): r"https?:.*",
    ("firehose", "HttpEndpointUrl"): r"https?://.*",
}
"""Patterns that name AWS's own hosts, as they are for servers of anyone's, on this machine too."""


_ROOT: Place = (0,)


def _path(place: Place) -> Path:
    """The names that lead to a place, as AWS's servers count them: an item of a list is a number, then `member`."""
    names: list[str] = []
    while place is not _ROOT:
        _, place, name = place
        names += ("member", str(name)) if type(name) is int else (name,)
    return tuple(reversed(names))


class _TooMany(Exception):
    """Enough errors were found."""


_structures: dict[Shape, Check] = {}
_s3_structures: dict[Shape, Check] = {}


def check(operation: Operation, params: Mapping[str, Any]) -> None:
    """Raise AwsError unless `params` satisfy the model."""
    run = _checks[operation]
    if run is None:
        return
    errors: list[tuple[Any, Path, str]] = []

    def report(value: Any, place: Place, constraint: str) -> None:
        errors.append((value, _path(place), constraint))
        if len(errors) >= MAX_ERRORS:
            raise _TooMany

    try:
        run(params, _ROOT, report)
    except _TooMany:
        pass
    except RecursionError:
        raise _failure(operation, f"The request is nested deeper than {MAX_DEPTH} levels.") from None
    if errors:
        raise _refusal(operation, errors)


def _compile(operation: Operation) -> Check | None:
    if operation.input is None:
        return None
    if operation.service.name == "s3":
        return _required_only(operation.input)
    return _structures.get(operation.input) or _structure(operation.input)


_checks: Compiled[Operation, Check | None] = Compiled(_compile)


def _failure(operation: Operation, message: str) -> AwsError:
    return AwsError(CODES.get(operation.service.name, "ValidationException"), message, status=400)


def _refusal(operation: Operation, errors: list[tuple[Any, Path, str]]) -> AwsError:
    service, first = operation.service.name, errors[0]
    if service == "s3":
        return _s3_refusal(operation, first[1])
    if service == "sqs" and first[0] is None and len(first[1]) == 1:
        return AwsError("MissingParameter", f"The request must contain the parameter {first[1][0]}.", status=400)
    if service == "ecr":
        wanted = re.sub("^Member |(?<=expression) pattern:", "", first[2])
        return _failure(
            operation, f"Invalid parameter at '{_dotted(first[1])}' failed to satisfy constraint: '{wanted}'"
        )
    count = len(errors)
    described = "; ".join(_describe(*error) for error in errors)
    return _failure(operation, f"{count} validation error{'s' if count > 1 else ''} detected: {described}")


def _describe(value: Any, path: Path, constraint: str) -> str:
    return f"Value {_shown(value)} at '{_dotted(path)}' failed to satisfy constraint: {constraint}"


def _dotted(path: Path) -> str:
    """The path as AWS's servers write it, in their members' camel case."""
    return ".".join(name[:1].lower() + name[1:] for name in path)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = _plain(value, 0)
    return f"'{text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + '...'}'"


def _plain(value: Any, depth: int) -> str:
    """A value as AWS's servers print it: lists in brackets, maps in braces, without quotes."""
    if depth > 4:
        return "..."
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        items = list(value.items())[:20]
        return "{" + ", ".join(f"{key}={_plain(item, depth + 1)}" for key, item in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_plain(item, depth + 1) for item in value[:20]) + "]"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return str(value)[: _MAX_SHOWN + 1]


def _wrong_type(place: Place, wanted: str, value: Any) -> AwsError:
    where = ".".join(_path(place)) or "The request"
    return malformed(f"'{where}' must be {wanted}, not {kind(value)}")


def _depth_checked(value: Any) -> None:
    """Refuse a document nested beyond MAX_DEPTH, without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    raise RecursionError


def _checker(use: Member) -> Check | None:
    """The check of a member's value, or None if every value the codec can give is right."""
    shape = use.shape
    if use.jsonvalue and use.location == "header":
        return None
    if shape.document:
        return lambda value, _place, _report: _depth_checked(value)
    if shape.type == "structure":
        return _structures.get(shape) or _structure(shape)
    if shape.type == "list":
        return _list(use)
    if shape.type == "map":
        return _map(use)
    if shape.type == "string":
        return _string(use)
    if shape.type in ("integer", "long"):
        return _integer(use)
    if shape.type in ("float", "double"):
        return _number(shape, False, "a number")
    if shape.type == "boolean":
        return _type_only((bool,), "a boolean")
    if shape.type == "timestamp":
        return _type_only((int, float, datetime), "a timestamp")
    return _blob(use)


def _structure(shape: Shape) -> Check:
    fields: dict[str, Check | None] = {}
    required = shape.required
    constraint = "Member must not be null"

    def run(value: Any, place: Place, report: Report) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(place, "an object", value)
        if place[0] > MAX_DEPTH:
            raise RecursionError
        for name in required:
            if value.get(name) is None:
                report(None, (place[0] + 1, place, name), constraint)
        for name, item in value.items():
            if item is None:
                continue
            if name not in fields:
                raise malformed(f"{shape.name} has no member {str(name)[:64]!r}")
            checker = fields[name]
            if checker is not None:
                checker(item, (place[0] + 1, place, name), report)

    def run_union(value: Any, place: Place, report: Report) -> None:
        run(value, place, report)
        present = sum(1 for item in value.values() if item is not None)
        if present != 1:
            report(value, place, f"Exactly one member of the union must be set, not {present}")

    chosen = run_union if shape.union else run
    _structures[shape] = chosen
    fields.update((name, _checker(use)) for name, use in shape.members.items())
    return chosen


def _list(use: Member) -> Check:
    shape = use.shape
    element = _checker(shape.member)
    size = _sizes(shape)

    def run(value: Any, place: Place, report: Report) -> None:
        if not isinstance(value, list | tuple):
            raise _wrong_type(place, "a list", value)
        if size is not None:
            size(len(value), value, place, report)
        for number, item in enumerate(value, 1):
            if item is None:
                report(None, (place[0] + 2, place, number), "Member must not be null")
            elif element is not None:
                element(item, (place[0] + 2, place, number), report)

    return run


def _map(use: Member) -> Check:
    shape = use.shape
    key_check, value_check = _checker(shape.key), _checker(shape.value)
    size = _sizes(shape)

    def run(value: Any, place: Place, report: Report) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(place, "an object", value)
        if size is not None:
            size(len(value), value, place, report)
        for key, item in value.items():
            if key_check is not None:
                key_check(key, (place[0] + 1, place, "key"), report)
            if item is None:
                report(None, (place[0] + 2, (place[0] + 1, place, str(key)[:128]), "member"), "Member must not be null")
            elif value_check is not None:
                value_check(item, (place[0] + 2, (place[0] + 1, place, str(key)[:128]), "member"), report)

    return run


def _sizes(shape: Shape) -> Callable[[int, Any, Path, Report], None] | None:
    """The check of a length against the shape's min and max."""
    least, most = shape.min, WIDENED.get((shape.service.name, shape.name), shape.max)
    if least is None and most is None:
        return None

    def run(size: int, value: Any, place: Place, report: Report) -> None:
        if least is not None and size < least:
            report(value, place, f"Member must have length greater than or equal to {least}")
        if most is not None and size > most:
            report(value, place, f"Member must have length less than or equal to {most}")

    return run


def _string(use: Member) -> Check:
    shape = use.shape
    least, most = shape.min or 0, shape.max if shape.max is not None else sys.maxsize
    stated = LOOSENED.get((shape.service.name, shape.name), shape.pattern)
    pattern: Pattern | None = compile_pattern(stated) if stated else None
    allowed = frozenset(shape.enum)
    choices = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    wanted = f"Member must satisfy regular expression pattern: {stated}"
    remembers = pattern is not None and most <= _LONGEST_REMEMBERED and not shape.sensitive
    known: set[str] = set()  # names come again and again

    def run(value: Any, place: Place, report: Report) -> None:
        if not isinstance(value, str):
            raise _wrong_type(place, "a string", value)
        if value in known:
            return
        if allowed:
            if value not in allowed:
                report(value, place, choices)
            return
        size = len(value)
        if size < least:
            report(value, place, f"Member must have length greater than or equal to {least}")
        if size > most:
            # and the pattern is not tried on what may be megabytes
            report(value, place, f"Member must have length less than or equal to {most}")
        elif pattern is not None and not pattern(value):
            report(value, place, wanted)
        elif remembers and size >= least and len(known) < _MOST_REMEMBERED:
            known.add(value)

    def run_sensitive(value: Any, place: Place, report: Report) -> None:
        run(value, place, lambda _secret, where, constraint: report("***", where, constraint))

    return run_sensitive if shape.sensitive else run


def _integer(use: Member) -> Check:
    bits = 63 if use.shape.type == "long" else 31
    low, high = -(2**bits), 2**bits - 1
    in_range = _number(use.shape, True, "an integer")

    def run(value: Any, place: Place, report: Report) -> None:
        in_range(value, place, report)
        if not low <= value <= high:
            raise _wrong_type(place, f"an integer of {bits + 1} bits", value)

    return run


def _number(shape: Shape, whole: bool, wanted: str) -> Check:
    least, most = shape.min, shape.max

    def run(value: Any, place: Place, report: Report) -> None:
        if type(value) is not int and (whole or type(value) is not float):
            raise _wrong_type(place, wanted, value)
        if least is not None and value < least:
            report(value, place, f"Member must have value greater than or equal to {least}")
        if most is not None and value > most:
            report(value, place, f"Member must have value less than or equal to {most}")

    return run


def _type_only(types: tuple[type, ...], wanted: str) -> Check:
    def run(value: Any, place: Place, report: Report) -> None:
        if not isinstance(value, types):
            raise _wrong_type(place, wanted, value)

    return run


def _blob(use: Member) -> Check | None:
    size = _sizes(use.shape)
    if use.streaming:
        return None

    def run(value: Any, place: Place, report: Report) -> None:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise _wrong_type(place, "bytes", value)
        if size is not None:
            size(len(value), value, place, report)

    return run


def _required_only(shape: Shape) -> Check:
    """S3's check: what must be there, nested members in bodies alone."""
    found = _s3_structures.get(shape)
    if found is not None:
        return found
    required = shape.required
    below: dict[str, Check] = {}

    def run(value: Any, place: Place, report: Report) -> None:
        for name in required:
            if value.get(name) is None:
                report(None, (place[0] + 1, place, name), "Member must not be null")
        for name, checker in below.items():
            item = value.get(name)
            if item is not None:
                for each in item if isinstance(item, list) else (item,):
                    checker(each, (place[0] + 1, place, name), report)

    _s3_structures[shape] = run
    for name, use in shape.members.items():
        inner = use.shape.member.shape if use.shape.type == "list" else use.shape
        if inner.type == "structure" and use.location is None:
            below[name] = _required_only(inner)
    return run


def _s3_refusal(operation: Operation, path: Path) -> AwsError:
    """S3 has an error for each place a member can be missing from."""
    use = operation.input.members[path[0]] if operation.input else None
    if use is not None and len(path) == 1 and use.location in ("header", "querystring"):
        where = "header" if use.location == "header" else "query parameter"
        return AwsError("InvalidRequest", f"Missing required {where} for this request: {use.key}", status=400)
    if use is not None and len(path) == 1:
        return AwsError("MissingRequestBodyError", "Request body is empty.", status=400)
    return AwsError(
        "MalformedXML",
        f"The XML you provided was not well-formed or did not validate against our published schema: "
        f"{'.'.join(path)} is missing.",
        status=400,
    )
