"""Feature groups by the names and ARNs that requests give, and the errors of the runtime."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context

_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:([a-z0-9-]*):(\d{12}):feature-group/(.+)")


class Place(NamedTuple):
    """Where a feature group's record lies."""

    account: str
    region: str
    name: str


def invalid(message: str) -> AwsError:
    """What the runtime answers to a request whose content is wrong."""
    return AwsError("ValidationError", message)


def no_group(name: str) -> AwsError:
    return AwsError("ResourceNotFound", f"FeatureGroup {name} not found", status=404)


def foreign(name: str) -> AwsError:
    return AwsError(
        "AccessForbidden",
        f"FeatureGroup {name} is of another account or region: feature groups are not shared here.",
        status=403,
    )


@lru_cache(maxsize=4096)
def place_of(account: str, region: str, name: str) -> Place:
    """The group that a request names, by its name or its ARN. Raises AccessForbidden for another account's."""
    if not name.startswith("arn:"):
        return Place(account, region, name)
    parts = _ARN.fullmatch(name)
    if parts is None:
        raise no_group(name)
    if (parts[1], parts[2]) != (region, account):
        raise foreign(name)
    return Place(account, region, parts[3])


def group_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """What authorisation is asked about a request that names one group."""
    name: str = params["FeatureGroupName"]
    return name if name.startswith("arn:") else f"feature-group/{name}"
