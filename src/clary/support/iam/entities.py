"""Users, roles, groups and managed policies as IAM describes them, and how they are found."""

from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

from clary.kernel.auth.policies import compile_document
from clary.kernel.auth.records import Group, ManagedPolicy, Role, User
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.store import AlreadyExists, Entry, Table

Owner = TypeVar("Owner", User, Role, Group)
Tagged = TypeVar("Tagged", User, Role, ManagedPolicy)
Anything = TypeVar("Anything", User, Role, Group, ManagedPolicy)

_MAX_TAGS = 50


def users(ctx: Context) -> Table[User]:
    return ctx.platform.keys.directory.users(ctx.account)


def groups(ctx: Context) -> Table[Group]:
    return ctx.platform.keys.directory.groups(ctx.account)


def policies(ctx: Context) -> Table[ManagedPolicy]:
    return ctx.platform.keys.directory.policies(ctx.account)


def roles(ctx: Context) -> Table[Role]:
    """The account's roles, the default execution role among them."""
    directory = ctx.platform.keys.directory
    directory.ensure_default_role(ctx.account)
    return directory.roles(ctx.account)


def found(table: Table[Anything], kind: str, name: str) -> Entry[Anything]:
    """The entity of that name, or NoSuchEntity."""
    entry = table.get(name)
    if entry is None:
        raise no_such(kind, name)
    return entry


def changed(table: Table[Anything], kind: str, name: str, **fields: Any) -> Entry[Anything]:
    """The entity with fields replaced, or NoSuchEntity."""
    entry = table.update(name, lambda value: replace(value, **fields))
    if entry is None:
        raise no_such(kind, name)
    return entry


def created(table: Table[Anything], kind: str, name: str, value: Anything) -> Entry[Anything]:
    """Add an entity, or EntityAlreadyExists."""
    try:
        return table.create(name, value)
    except AlreadyExists:
        raise AwsError("EntityAlreadyExists", f"{kind.capitalize()} with name {name} already exists.") from None


def no_such(kind: str, name: str) -> AwsError:
    return AwsError("NoSuchEntity", f"The {kind} with name {name} cannot be found.")


def entity_arn(ctx: Context, kind: str, path: str, name: str) -> str:
    """`arn:aws:iam::ACCOUNT:role/path/name`; IAM has no regions."""
    return f"arn:{ctx.partition}:iam::{ctx.account}:{kind}{path}{name}"


def check_document(document: str) -> str:
    """Return the policy document if it compiles, else raise MalformedPolicyDocument."""
    try:
        compile_document(document, "")
    except ValueError as error:
        raise AwsError("MalformedPolicyDocument", str(error)) from None
    return document


def on_the_wire(document: str) -> str:
    """Documents are answered percent-encoded; SDKs decode them."""
    return quote(document, safe="")


def tag_map(tags: list[dict[str, str]] | None) -> dict[str, str]:
    mapped = {tag["Key"]: tag["Value"] for tag in tags or []}
    if len(mapped) > _MAX_TAGS:
        raise AwsError("LimitExceeded", f"The number of tags has reached the maximum limit of {_MAX_TAGS}.")
    return mapped


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def add_tags(table: Table[Tagged], kind: str, name: str, tags: list[dict[str, str]]) -> None:
    entry = table.update(name, lambda value: replace(value, tags=tag_map([*tag_list(value.tags), *tags])))
    if entry is None:
        raise no_such(kind, name)


def remove_tags(table: Table[Tagged], kind: str, name: str, keys: list[str]) -> None:
    def without(value: Tagged) -> Tagged:
        return replace(value, tags={key: text for key, text in value.tags.items() if key not in keys})

    if table.update(name, without) is None:
        raise no_such(kind, name)


def describe_user(ctx: Context, entry: Entry[User]) -> dict[str, Any]:
    user = entry.value
    return {
        "Path": user.path,
        "UserName": entry.name,
        "UserId": user.unique_id,
        "Arn": entity_arn(ctx, "user", user.path, entry.name),
        "CreateDate": entry.created_at,
        "PermissionsBoundary": _boundary(user.boundary),
        "Tags": tag_list(user.tags) or None,
    }


def describe_group(ctx: Context, entry: Entry[Group]) -> dict[str, Any]:
    group = entry.value
    return {
        "Path": group.path,
        "GroupName": entry.name,
        "GroupId": group.unique_id,
        "Arn": entity_arn(ctx, "group", group.path, entry.name),
        "CreateDate": entry.created_at,
    }


def describe_role(ctx: Context, entry: Entry[Role]) -> dict[str, Any]:
    role = entry.value
    return {
        "Path": role.path,
        "RoleName": entry.name,
        "RoleId": role.unique_id,
        "Arn": entity_arn(ctx, "role", role.path, entry.name),
        "CreateDate": entry.created_at,
        "AssumeRolePolicyDocument": on_the_wire(role.trust),
        "Description": role.description or None,
        "MaxSessionDuration": role.max_session_seconds,
        "PermissionsBoundary": _boundary(role.boundary),
        "Tags": tag_list(role.tags) or None,
    }


def _boundary(arn: str) -> dict[str, str] | None:
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn} if arn else None


def boundary_arn(ctx: Context, arn: str | None) -> str:
    """The ARN of a permissions boundary, checked to be a policy; "" when there is none."""
    if arn and ctx.platform.keys.directory.document(ctx.account, arn) is None:
        raise AwsError("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.")
    return arn or ""


def in_path(entries: list[Entry[Anything]], prefix: str | None) -> list[Entry[Anything]]:
    return [entry for entry in entries if entry.value.path.startswith(prefix or "/")]
