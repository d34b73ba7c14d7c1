"""Groups and streams by the names and ARNs that requests give, and the errors for those that are not there."""

import re

from clary.kernel.auth import policies
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.telemetry.log_records import LogGroup, LogStream

_GROUP_NAME = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_GROUP_ARN = re.compile(r"arn:[\w-]+:logs:([\w-]*):(\d*):log-group:([.\-_/#A-Za-z0-9]{1,512})(?::\*)?")


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def no_group() -> AwsError:
    return AwsError("ResourceNotFoundException", "The specified log group does not exist.")


def no_stream() -> AwsError:
    return AwsError("ResourceNotFoundException", "The specified log stream does not exist.")


def group_arn(ctx: Context, name: str) -> str:
    return ctx.arn(f"log-group:{name}", service="logs")


def group_name(ctx: Context, identifier: str) -> str:
    """The name in a name or ARN. A group of another account or region is not found here.

    Raises InvalidParameterException when it is neither, ResourceNotFoundException when it is elsewhere.
    """
    if _GROUP_NAME.fullmatch(identifier):
        return _allowed(ctx, identifier)
    arn = _GROUP_ARN.fullmatch(identifier)
    if arn is None:
        raise invalid(f"'{identifier}' is neither the name nor the ARN of a log group.")
    if (arn[1], arn[2]) != (ctx.region, ctx.account):
        raise no_group()
    return _allowed(ctx, arn[3])


def _allowed(ctx: Context, name: str) -> str:
    """The name, where the caller may do to the group what is asked: the gate knows groups by logGroupName alone."""
    policies.require(ctx.principal, ctx.operation, lambda: group_arn(ctx, name), {"aws:requestedregion": ctx.region})
    return name


def one_group_name(ctx: Context, name: str | None, identifier: str | None) -> str:
    """The name given as logGroupName or logGroupIdentifier, of which exactly one must be there."""
    if (name is None) == (identifier is None):
        raise invalid("Specify either logGroupName or logGroupIdentifier, and not both.")
    return name if name is not None else group_name(ctx, identifier or "")


def find_group(ctx: Context, name: str) -> LogGroup:
    """The group called `name`. Raises ResourceNotFoundException."""
    group = ctx.platform.logs.get_group(ctx.account, ctx.region, name)
    if group is None:
        raise no_group()
    return group


def find_stream(ctx: Context, group: LogGroup, name: str) -> LogStream:
    """The stream called `name`. Raises ResourceNotFoundException."""
    stream = ctx.platform.logs.get_stream(group, name)
    if stream is None:
        raise no_stream()
    return stream
