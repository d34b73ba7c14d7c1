"""Functions by what requests call them: a name, a part of an ARN, or a whole ARN, each perhaps with a qualifier."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.support.lambda_.records import LATEST

_CALLED = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:)?(?:([a-z]{2,}(?:-[a-z]+)+-\d):)?(?:(\d{12}):)?(?:function:)?"
    r"([a-zA-Z0-9-_]+)(?::(\$LATEST|[a-zA-Z0-9-_]+))?"
)
_LONGEST_NAME = 64


class Named(NamedTuple):
    """What a request calls a function. `qualifier` is a version, an alias, or empty for none."""

    account: str
    region: str
    function: str
    qualifier: str = ""

    @property
    def key(self) -> str:
        """How reconcilers and key-value entries call the function."""
        return f"{self.account}/{self.region}/{self.function}"

    @property
    def arn(self) -> str:
        """The ARN as the request named it."""
        return function_arn(self.account, self.region, self.function, self.qualifier)


def named_by(key: str, qualifier: str = "") -> Named:
    """The function with this key, `account/region/name`."""
    account, region, function = key.split("/")
    return Named(account, region, function, qualifier)


def function_arn(account: str, region: str, function: str, qualifier: str = "") -> str:
    tail = f":{qualifier}" if qualifier else ""
    return f"arn:{partition_of(region)}:lambda:{region}:{account}:function:{function}{tail}"


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message)


def missing(what: str) -> AwsError:
    return AwsError("ResourceNotFoundException", what, status=404, members={"Type": "User"})


def conflict(message: str) -> AwsError:
    return AwsError("ResourceConflictException", message, status=409, members={"Type": "User"})


def read_name(ctx: Context, name: str, qualifier: str | None = None) -> Named:
    """Take a FunctionName apart. Raises InvalidParameterValueException, or ResourceNotFoundException for a region that
    is not this one."""
    found = _CALLED.fullmatch(name)
    if found is None or len(found[3]) > _LONGEST_NAME:
        raise invalid(
            f"Value '{name[:200]}' at 'functionName' names no function: give a name of at most 64 letters, digits, "
            "hyphens and underscores, or a function's ARN."
        )
    region, account, function, inside = found.groups()
    if region and region != ctx.region:
        raise missing(f"Functions from '{region}' are not reachable in this region ('{ctx.region}')")
    if inside and qualifier and inside != qualifier:
        raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
    return Named(account or ctx.account, ctx.region, function, qualifier or inside or "")


def function_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """What authorisation asks about: the ARN of the function that a request names, in whatever way."""
    name, qualifier = params["FunctionName"], params.get("Qualifier")
    try:
        return read_name(ctx, name, qualifier).arn
    except AwsError:  # the handler will say so to whoever may ask at all
        return function_arn(ctx.account, ctx.region, name, qualifier or "")


def is_version(qualifier: str) -> bool:
    """Whether a qualifier is a version's number or $LATEST; otherwise it is an alias's name."""
    return qualifier == LATEST or qualifier.isdigit()
