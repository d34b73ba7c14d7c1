"""Work groups as those need them who run queries in them: `primary` is always there."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.systems.athena.records import DISABLED, ENABLED, PRIMARY, WorkGroup
from clary.systems.athena.refusals import invalid

ENGINE = "Athena engine version 3"
ENGINES = ("AUTO", ENGINE)
_PRIMARY = WorkGroup(
    {
        "ResultConfiguration": {},
        "EnforceWorkGroupConfiguration": False,
        "PublishCloudWatchMetricsEnabled": False,
        "RequesterPaysEnabled": False,
    }
)


def group_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """The work group that a request names, which is what policies speak of."""
    return f"workgroup/{params.get('WorkGroup') or PRIMARY}"


def find_work_group(ctx: Context, name: str | None) -> Entry[WorkGroup]:
    """The work group of this name, `primary` without one. Raises InvalidRequestException."""
    name = name or PRIMARY
    found = ctx.records(WorkGroup).get(name)
    if found is not None:
        return found
    if name == PRIMARY:
        return Entry(_PRIMARY, PRIMARY, ctx.account, ctx.region, ENABLED, "", 0.0, 0.0, 0)
    raise no_work_group(name)


def no_work_group(name: str) -> AwsError:
    return invalid(f"WorkGroup {name} is not found.")


def enabled_work_group(ctx: Context, name: str | None) -> Entry[WorkGroup]:
    """`find_work_group`, for what a disabled one refuses."""
    found = find_work_group(ctx, name)
    if found.status == DISABLED:
        raise invalid(f"WorkGroup {found.name} is disabled.")
    return found


def engine_version(selected: str) -> dict[str, str]:
    return {"SelectedEngineVersion": selected, "EffectiveEngineVersion": ENGINE}


def result_configuration(work_group: WorkGroup, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Where and how results are stored: what the client says, under what its work group says or enforces.

    Raises InvalidRequestException where neither says where.
    """
    own = dict(work_group.configuration.get("ResultConfiguration") or {})
    asked = dict(given or {})
    chosen = own if work_group.configuration.get("EnforceWorkGroupConfiguration") else {**own, **asked}
    if not chosen.get("OutputLocation"):
        raise invalid(
            "No output location provided. An output location is required either through the Workgroup result "
            "configuration setting or as an API input."
        )
    return chosen
