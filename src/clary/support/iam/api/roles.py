"""Roles: who may assume them, and what they then may do."""

from typing import Any

from clary.kernel.auth.directory import DEFAULT_ROLE
from clary.kernel.auth.records import Role
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import prefixed_id
from clary.kernel.rooms import Context, operation
from clary.support.iam import attachments
from clary.support.iam.entities import (
    add_tags,
    boundary_arn,
    changed,
    check_document,
    created,
    describe_role,
    found,
    in_path,
    remove_tags,
    roles,
    tag_list,
    tag_map,
)
from clary.support.iam.listing import cut

_ROLE = "role/{RoleName}"


@operation("iam", "CreateRole", resource=_ROLE)
def create_role(
    ctx: Context,
    RoleName: str,
    AssumeRolePolicyDocument: str,
    Path: str | None = None,
    Description: str | None = None,
    MaxSessionDuration: int | None = None,
    PermissionsBoundary: str | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    role = Role(
        path=Path or "/",
        unique_id=prefixed_id("AROA", 17),
        trust=check_document(AssumeRolePolicyDocument),
        description=Description or "",
        max_session_seconds=MaxSessionDuration or 3600,
        tags=tag_map(Tags),
        boundary=boundary_arn(ctx, PermissionsBoundary),
    )
    return {"Role": describe_role(ctx, created(roles(ctx), "role", RoleName, role))}


@operation("iam", "GetRole", resource=_ROLE)
def get_role(ctx: Context, RoleName: str) -> dict[str, Any]:
    return {"Role": describe_role(ctx, found(roles(ctx), "role", RoleName))}


@operation("iam", "ListRoles")
def list_roles(
    ctx: Context, PathPrefix: str | None = None, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    """List roles; like AWS, without their tags and boundaries."""
    entries, more = cut(in_path(roles(ctx).all(), PathPrefix), lambda entry: entry.name, Marker, MaxItems)
    described = [describe_role(ctx, entry) for entry in entries]
    for role in described:
        role["Tags"] = role["PermissionsBoundary"] = None
    return {"Roles": described, **more}


@operation("iam", "UpdateRole", resource=_ROLE)
def update_role(
    ctx: Context, RoleName: str, Description: str | None = None, MaxSessionDuration: int | None = None
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if Description is not None:
        fields["description"] = Description
    if MaxSessionDuration is not None:
        fields["max_session_seconds"] = MaxSessionDuration
    changed(roles(ctx), "role", RoleName, **fields)
    return {}


@operation("iam", "UpdateRoleDescription", resource=_ROLE)
def update_role_description(ctx: Context, RoleName: str, Description: str) -> dict[str, Any]:
    return {"Role": describe_role(ctx, changed(roles(ctx), "role", RoleName, description=Description))}


@operation("iam", "UpdateAssumeRolePolicy", resource=_ROLE)
def update_assume_role_policy(ctx: Context, RoleName: str, PolicyDocument: str) -> None:
    changed(roles(ctx), "role", RoleName, trust=check_document(PolicyDocument))


@operation("iam", "DeleteRole", resource=_ROLE)
def delete_role(ctx: Context, RoleName: str) -> None:
    if RoleName == DEFAULT_ROLE:
        raise AwsError(
            "UnmodifiableEntity", f"{DEFAULT_ROLE} is Clary's own: the default key pair and jobs act as it.", status=400
        )
    entry = found(roles(ctx), "role", RoleName)
    attachments.check_bare(entry.value)
    roles(ctx).delete(RoleName, version=entry.version)


@operation("iam", "PutRolePermissionsBoundary", resource=_ROLE)
def put_role_permissions_boundary(ctx: Context, RoleName: str, PermissionsBoundary: str) -> None:
    changed(roles(ctx), "role", RoleName, boundary=boundary_arn(ctx, PermissionsBoundary))


@operation("iam", "DeleteRolePermissionsBoundary", resource=_ROLE)
def delete_role_permissions_boundary(ctx: Context, RoleName: str) -> None:
    changed(roles(ctx), "role", RoleName, boundary="")


@operation("iam", "TagRole", resource=_ROLE)
def tag_role(ctx: Context, RoleName: str, Tags: list[dict[str, str]]) -> None:
    add_tags(roles(ctx), "role", RoleName, Tags)


@operation("iam", "UntagRole", resource=_ROLE)
def untag_role(ctx: Context, RoleName: str, TagKeys: list[str]) -> None:
    remove_tags(roles(ctx), "role", RoleName, TagKeys)


@operation("iam", "ListRoleTags", resource=_ROLE)
def list_role_tags(
    ctx: Context, RoleName: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    tags = tag_list(found(roles(ctx), "role", RoleName).value.tags)
    shown, more = cut(tags, lambda tag: tag["Key"], Marker, MaxItems)
    return {"Tags": shown, **more}


@operation("iam", "PutRolePolicy", resource=_ROLE)
def put_role_policy(ctx: Context, RoleName: str, PolicyName: str, PolicyDocument: str) -> None:
    attachments.put_inline(roles(ctx), "role", RoleName, PolicyName, PolicyDocument)


@operation("iam", "GetRolePolicy", resource=_ROLE)
def get_role_policy(ctx: Context, RoleName: str, PolicyName: str) -> dict[str, Any]:
    return attachments.get_inline(roles(ctx), "role", RoleName, PolicyName)


@operation("iam", "DeleteRolePolicy", resource=_ROLE)
def delete_role_policy(ctx: Context, RoleName: str, PolicyName: str) -> None:
    attachments.delete_inline(roles(ctx), "role", RoleName, PolicyName)


@operation("iam", "ListRolePolicies", resource=_ROLE)
def list_role_policies(
    ctx: Context, RoleName: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    return attachments.list_inline(roles(ctx), "role", RoleName, Marker, MaxItems)


@operation("iam", "AttachRolePolicy", resource=_ROLE)
def attach_role_policy(ctx: Context, RoleName: str, PolicyArn: str) -> None:
    attachments.attach(ctx, roles(ctx), "role", RoleName, PolicyArn)


@operation("iam", "DetachRolePolicy", resource=_ROLE)
def detach_role_policy(ctx: Context, RoleName: str, PolicyArn: str) -> None:
    attachments.detach(roles(ctx), "role", RoleName, PolicyArn)


@operation("iam", "ListAttachedRolePolicies", resource=_ROLE)
def list_attached_role_policies(
    ctx: Context,
    RoleName: str,
    PathPrefix: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    return attachments.list_attached(roles(ctx), "role", RoleName, PathPrefix, Marker, MaxItems)
