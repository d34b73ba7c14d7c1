"""The lineage group: AWS has one in each account and region, which all lineage belongs to."""

from clary.kernel.rooms import Context
from clary.kernel.store import AlreadyExists, Entry
from clary.support.lineage.records import LineageGroup

DEFAULT_GROUP = "sagemaker-default-lineage-group"


def group_arn(ctx: Context) -> str:
    return ctx.arn(f"lineage-group/{DEFAULT_GROUP}")


def default_group(ctx: Context) -> Entry[LineageGroup]:
    """The group of the caller's account and region, made when it is first asked for."""
    table = ctx.records(LineageGroup)
    found = table.get(DEFAULT_GROUP)
    if found is None:
        try:
            return table.create(DEFAULT_GROUP, LineageGroup(DEFAULT_GROUP))
        except AlreadyExists:
            found = table.get(DEFAULT_GROUP)
    assert found is not None, "nobody deletes a lineage group"
    return found
