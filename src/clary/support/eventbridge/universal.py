"""Universal targets: `arn:aws:scheduler:::aws-sdk:<service>:<operation>` calls any operation that Clary has.

The service is named as SDKs name it, in lower case without spaces (`sagemaker`, `cloudwatchlogs`), the operation as
they spell it (`startPipelineExecution`); the Input is the request, its members in capitals or as on the wire.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from clary.kernel.core.errors import validation
from clary.kernel.rooms import Platform
from clary.kernel.wire import SERVICES, Operation, Shape, service

PREFIX = "aws-sdk:"
# "Using universal targets" of the Scheduler user guide: what only reads is not called by schedules.
_READING = (
    *("get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read", "lookup", "discover"),
    *("validate", "batchGet", "batchDescribe", "batchRead", "transactGet", "adminGet", "adminList", "testMigration"),
    *("retrieve", "testConnection", "translateDocument", "isAuthorized", "invokeModel"),
)


class Called(NamedTuple):
    """An operation by the names that the registry knows it by."""

    service: str
    operation: str


def read_universal(platform: Platform, resource: str) -> Called:
    """The operation that `aws-sdk:<service>:<operation>` names. Raises ValidationException for what is not called."""
    name, _, spelled = resource.removeprefix(PREFIX).partition(":")
    found = _services().get(name)
    if found is None:
        raise validation(f"{name} is not a service that a universal target of Clary can call.")
    operation = spelled[:1].upper() + spelled[1:]
    if not spelled[:1].islower() or (found, operation) not in platform.registry.handlers:
        raise validation(f"{spelled} is not an operation of {name} that Clary has.")
    if spelled.startswith(_READING):
        raise validation(f"{spelled} only reads: universal targets do not support it.")
    return Called(found, operation)


def params_of(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """A request as the registry takes it, from the JSON of an Input."""
    found: dict[str, Any] = {} if operation.input is None else _converted(given, operation.input)
    return found


@cache
def _services() -> dict[str, str]:
    return {service(name).metadata["serviceId"].replace(" ", "").lower(): name for name in SERVICES}


def _converted(value: Any, shape: Shape) -> Any:
    if shape.type == "structure" and isinstance(value, dict) and not shape.document:
        by_spelling = {name.lower(): name for name in shape.members}
        found = {by_spelling.get(name.lower(), name): inner for name, inner in value.items()}
        return {
            name: _converted(inner, shape.members[name].shape) if name in shape.members else inner
            for name, inner in found.items()
        }
    if shape.type == "list" and isinstance(value, list):
        return [_converted(inner, shape.member.shape) for inner in value]
    if shape.type == "map" and isinstance(value, dict):
        return {name: _converted(inner, shape.value.shape) for name, inner in value.items()}
    if shape.type == "blob" and isinstance(value, str):
        return value.encode()
    return value
