"""Work groups: create, show, change, delete."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.rooms import Context, Resource, operation
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.kernel.wire import page_asked, page_output
from clary.systems.athena import records
from clary.systems.athena.configurations import check_configuration, updated
from clary.systems.athena.records import ENABLED, PRIMARY, NamedQuery, PreparedStatement, QueryExecution
from clary.systems.athena.refusals import invalid
from clary.systems.athena.tags import check_tags
from clary.systems.athena.work_groups import engine_version, find_work_group, no_work_group

WORK_GROUPS = Resource(
    "athena",
    "workgroup",
    records.WorkGroup,
    missing=("InvalidRequestException", "WorkGroup {name} is not found."),
    taken=("InvalidRequestException", "WorkGroup is already created"),
)
_MOST_TRIES = 20


@operation("athena", "CreateWorkGroup", resource="workgroup/{Name}")
def create_work_group(
    ctx: Context,
    Name: str,
    Configuration: Mapping[str, Any] | None = None,
    Description: str = "",
    Tags: Sequence[Mapping[str, str]] | None = None,
) -> None:
    """Add a work group. Unless it says otherwise, its settings are enforced."""
    if Name == PRIMARY:
        raise WORK_GROUPS.already_there(ctx, Name)
    configuration, engine = check_configuration(ctx, Configuration or {})
    WORK_GROUPS.create(
        ctx, Name, records.WorkGroup(configuration, Description, engine), status=ENABLED, tags=check_tags(Tags or ())
    )


@operation("athena", "GetWorkGroup", resource="workgroup/{WorkGroup}")
def get_work_group(ctx: Context, WorkGroup: str) -> dict[str, Any]:
    """One work group; `primary` is always there."""
    entry = find_work_group(ctx, WorkGroup)
    shown = {
        "Name": entry.name,
        "State": entry.status,
        "Configuration": {**entry.value.configuration, "EngineVersion": engine_version(entry.value.engine)},
        "Description": entry.value.description,
    }
    return {"WorkGroup": shown | ({"CreationTime": entry.created_at} if entry.created_at else {})}


@operation("athena", "ListWorkGroups")
def list_work_groups(ctx: Context, NextToken: str | None = None, MaxResults: int | None = None) -> dict[str, Any]:
    """The work groups by name."""
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "MaxResults": MaxResults or 50})
    found = {entry.name: entry for entry in ctx.records(records.WorkGroup).all()}
    found.setdefault(PRIMARY, find_work_group(ctx, PRIMARY))
    names = sorted(name for name in found if position is None or name > str(position))
    page = names[:limit]
    return page_output(
        ctx.operation, [_summary(found[name]) for name in page], page[-1] if len(names) > len(page) else None
    )


@operation("athena", "UpdateWorkGroup", resource="workgroup/{WorkGroup}")
def update_work_group(
    ctx: Context,
    WorkGroup: str,
    Description: str | None = None,
    ConfigurationUpdates: Mapping[str, Any] | None = None,
    State: str | None = None,
) -> None:
    """Change what is said; queries that were started keep what they were started with."""
    _stored_primary(ctx, WorkGroup)
    table = ctx.records(records.WorkGroup)
    for _ in range(_MOST_TRIES):
        entry = table.get(WorkGroup)
        if entry is None:
            raise no_work_group(WorkGroup)
        configuration, engine = updated(ctx, entry.value, ConfigurationUpdates or {})
        value = replace(
            entry.value,
            configuration=configuration,
            engine=engine,
            description=entry.value.description if Description is None else Description,
        )
        try:
            table.replace(entry, value, status=State or entry.status)
        except Conflict:
            continue
        return
    raise invalid(f"WorkGroup {WorkGroup} keeps being changed by others: try again")


@operation("athena", "DeleteWorkGroup", resource="workgroup/{WorkGroup}")
def delete_work_group(ctx: Context, WorkGroup: str, RecursiveDeleteOption: bool = False) -> None:
    """Remove a work group; one that has queries only with `RecursiveDeleteOption`, and then these too."""
    if WorkGroup == PRIMARY:
        raise invalid("The primary workgroup cannot be deleted.")
    WORK_GROUPS.get(ctx, WorkGroup)
    kinds: tuple[type[Any], ...] = (NamedQuery, PreparedStatement, QueryExecution)
    contents = [ctx.records(kind) for kind in kinds]
    if not RecursiveDeleteOption and any(table.count(parent=WorkGroup) for table in contents):
        raise invalid(f"WorkGroup {WorkGroup} is not empty")
    WORK_GROUPS.delete(ctx, WorkGroup)
    for table in contents:
        for entry in table.all(parent=WorkGroup):
            table.delete(entry.name)


def _stored_primary(ctx: Context, name: str) -> None:
    """Have a record of `primary` to change."""
    if name == PRIMARY and ctx.records(records.WorkGroup).get(name) is None:
        try:
            ctx.records(records.WorkGroup).create(name, find_work_group(ctx, name).value, status=ENABLED)
        except AlreadyExists:
            return


def _summary(entry: Entry[Any]) -> dict[str, Any]:
    shown = {
        "Name": entry.name,
        "State": entry.status,
        "Description": entry.value.description,
        "EngineVersion": engine_version(entry.value.engine),
    }
    return shown | ({"CreationTime": entry.created_at} if entry.created_at else {})
