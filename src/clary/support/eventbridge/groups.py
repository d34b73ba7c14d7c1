"""Groups of schedules: which there are."""

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.support.eventbridge.records import ScheduleGroup

DEFAULT_GROUP = "default"


def group_arn(ctx: Context, name: str) -> str:
    return ctx.arn(f"schedule-group/{name}", service="scheduler")


def find_group(ctx: Context, name: str) -> Entry[ScheduleGroup] | None:
    """A group; the default one, which nobody makes, is as old as time."""
    found = ctx.records(ScheduleGroup).get(name)
    if found is None and name == DEFAULT_GROUP:
        return Entry(ScheduleGroup(), name, ctx.account, ctx.region, "ACTIVE", "", 0.0, 0.0, 0)
    return found


def require_group(ctx: Context, name: str) -> Entry[ScheduleGroup]:
    """`find_group`. Raises ResourceNotFoundException."""
    found = find_group(ctx, name)
    if found is None:
        raise AwsError("ResourceNotFoundException", f"Schedule group {name} does not exist.", status=404)
    return found
