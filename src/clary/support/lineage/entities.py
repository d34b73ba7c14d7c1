"""What the operations on artifacts, actions and contexts have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context, Resource
from clary.kernel.store import Conflict, Entry
from clary.support.lineage import edges
from clary.support.lineage.groups import group_arn
from clary.support.lineage.pages import listed
from clary.support.lineage.records import Action, Artifact, Association, Entity
from clary.support.lineage.resources import ENTITIES

E = TypeVar("E", bound=Entity)

_MOST_PROPERTIES = 30
_MAX_TRIES = 20


@dataclass(frozen=True, slots=True)
class Change:
    """What an update asks for; None leaves a member as it is. Properties replace all there are, as on AWS."""

    properties: Mapping[str, str] | None = None
    without: Sequence[str] = ()
    description: str | None = None
    status: str | None = None
    title: str | None = None


def caller(ctx: Context) -> dict[str, str]:
    """The IamIdentity of who calls."""
    return {"Arn": ctx.principal.arn, "PrincipalId": ctx.principal.user_id}


def describe(ctx: Context, word: str, entry: Entry[E]) -> dict[str, Any]:
    """The answer of Describe<word>."""
    entity = entry.value
    arn = ctx.arn(f"{word.lower()}/{entry.name}")
    shown: dict[str, Any] = {
        f"{word}Name": entity.title or None if isinstance(entity, Artifact) else entry.name,
        f"{word}Arn": arn,
        "Source": entity.source,
        f"{word}Type": entity.type,
        "Description": entity.description or None,
        "Properties": entity.properties,
        "CreationTime": entry.created_at,
        "CreatedBy": who(entity.created_by),
        "LastModifiedTime": entry.updated_at,
        "LastModifiedBy": who(entity.modified_by),
        "MetadataProperties": entity.metadata or None,
        "LineageGroupArn": group_arn(ctx),
    }
    if isinstance(entity, Action):
        shown["Status"] = entity.status or None
    return {member: value for member, value in shown.items() if value is not None}


def summary(ctx: Context, word: str, entry: Entry[E]) -> dict[str, Any]:
    """An entity in the answer of List<word>s."""
    members = (f"{word}Name", f"{word}Arn", "Source", f"{word}Type", "Status", "CreationTime", "LastModifiedTime")
    described = describe(ctx, word, entry)
    return {member: described[member] for member in members if member in described}


def who(identity: Mapping[str, str]) -> dict[str, Any]:
    """A UserContext; an empty one for the platform."""
    return {"IamIdentity": dict(identity)} if identity else {}


def list_entities(ctx: Context, word: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of List<word>s: newest first unless asked otherwise, by SourceUri and type."""
    resource = ENTITIES[word.lower()]
    wanted = request.get(f"{word}Type")
    filters = {"parent": request["SourceUri"]} if request.get("SourceUri") else {}
    return listed(
        ctx,
        resource.record,
        request,
        lambda entry: summary(ctx, word, entry),
        sort="name" if request.get("SortBy") == "Name" else "created_at",
        keep=None if wanted is None else lambda entry: entry.value.type == wanted,
        **filters,
    )


def update(ctx: Context, resource: Resource[E], name: str, change: Change) -> str:
    """Change an entity; return its ARN. Raises ConflictException when others keep changing it."""
    identity = caller(ctx)

    def changed(entity: E) -> E:
        properties = dict(entity.properties if change.properties is None else change.properties)
        for key in change.without:
            properties.pop(key, None)
        if len(properties) > _MOST_PROPERTIES:
            raise validation(f"At most {_MOST_PROPERTIES} properties are kept; this would make {len(properties)}.")
        asked = {"description": change.description, "status": change.status, "title": change.title}
        members: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
        return replace(entity, properties=properties, modified_by=identity, **members)

    try:
        entry = ctx.records(resource.record).update(name, changed)
    except Conflict:
        arn = resource.arn(ctx, name)
        raise AwsError("ConflictException", f"{arn} is being changed by others; try again.") from None
    if entry is None:
        raise resource.not_found(ctx, name)
    return resource.arn(ctx, name)


def delete(ctx: Context, resource: Resource[Any], name: str) -> str:
    """Forget an entity that has no associations; return its ARN.

    Associations that are added while it goes, go with it.
    """
    arn, reference = resource.arn(ctx, name), f"{resource.type_name}/{name}"
    resource.get(ctx, name)
    if edges.touching(ctx, reference, limit=1):
        raise validation(f"{arn} has associations: delete them first (ListAssociations lists them).")
    resource.delete(ctx, name)
    table = ctx.records(Association)
    for _ in range(_MAX_TRIES):
        late = edges.touching(ctx, reference, limit=100)
        if not late:
            break
        for entry in late:
            table.delete(entry.name)
    return arn
