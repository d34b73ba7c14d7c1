"""Versions: `$LATEST` as it is now, kept for good under a number."""

from dataclasses import replace

from clary.kernel.rooms import Context
from clary.kernel.store.contract import Change
from clary.support.lambda_.lookup import new_revision
from clary.support.lambda_.names import Named
from clary.support.lambda_.records import Function, Version, version_name


def published(
    ctx: Context, named: Named, function: Function, now: float, description: str | None = None
) -> tuple[Function, Change]:
    """The function with one more version, and the change that adds that version."""
    number = function.last_version + 1
    configuration = function.configuration
    if description is not None:
        configuration = {**configuration, "Description": description}
    version = Version(configuration, function.code, function.role, new_revision(), now)
    table = ctx.platform.records(Version).within(named.account, named.region)
    insertion = table.insertion(version_name(named.function, str(number)), version, parent=named.function)
    return replace(function, last_version=number), insertion


def same(function: Function, version: Version, description: str | None) -> bool:
    """Whether publishing again would add a version like the last one."""
    wanted = {**function.configuration, **({} if description is None else {"Description": description})}
    return (wanted, function.code["sha256"], function.role) == (
        version.configuration,
        version.code["sha256"],
        version.role,
    )
