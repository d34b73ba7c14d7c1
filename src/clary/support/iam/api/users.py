"""Users and the policies on them."""

from typing import Any

from clary.kernel.auth.records import User
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import prefixed_id
from clary.kernel.rooms import Context, operation
from clary.support.iam import attachments
from clary.support.iam.entities import (
    add_tags,
    boundary_arn,
    changed,
    created,
    describe_user,
    found,
    in_path,
    remove_tags,
    tag_list,
    tag_map,
    users,
)
from clary.support.iam.listing import cut

_USER = "user/{UserName}"


@operation("iam", "CreateUser", resource=_USER)
def create_user(
    ctx: Context,
    UserName: str,
    Path: str | None = None,
    PermissionsBoundary: str | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    user = User(
        path=Path or "/",
        unique_id=prefixed_id("AIDA", 17),
        tags=tag_map(Tags),
        boundary=boundary_arn(ctx, PermissionsBoundary),
    )
    return {"User": describe_user(ctx, created(users(ctx), "user", UserName, user))}


@operation("iam", "GetUser", resource=_USER)
def get_user(ctx: Context, UserName: str | None = None) -> dict[str, Any]:
    """Describe a user; without a name the caller, who may be the account's root."""
    if UserName is None and ctx.principal.kind == "root":
        return {
            "User": {"Path": "/", "UserName": "root", "UserId": ctx.account, "Arn": ctx.principal.arn, "CreateDate": 0}
        }
    return {"User": describe_user(ctx, found(users(ctx), "user", UserName or calling_user(ctx)))}


@operation("iam", "ListUsers")
def list_users(
    ctx: Context, PathPrefix: str | None = None, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    """List users; like AWS, without their tags and boundaries."""
    entries, more = cut(in_path(users(ctx).all(), PathPrefix), lambda entry: entry.name, Marker, MaxItems)
    described = [describe_user(ctx, entry) for entry in entries]
    for user in described:
        user["Tags"] = user["PermissionsBoundary"] = None
    return {"Users": described, **more}


@operation("iam", "UpdateUser", resource=_USER)
def update_user(ctx: Context, UserName: str, NewPath: str | None = None) -> None:
    """Move a user to another path. (A new name would orphan the keys that carry the old one.)"""
    changed(users(ctx), "user", UserName, **({} if NewPath is None else {"path": NewPath}))


@operation("iam", "DeleteUser", resource=_USER)
def delete_user(ctx: Context, UserName: str) -> None:
    entry = found(users(ctx), "user", UserName)
    if ctx.platform.keys.of(ctx.account, UserName):
        raise AwsError("DeleteConflict", "Cannot delete entity, must delete access keys first.")
    if entry.value.groups:
        raise AwsError("DeleteConflict", "Cannot delete entity, must remove users from group first.")
    attachments.check_bare(entry.value)
    users(ctx).delete(UserName, version=entry.version)


@operation("iam", "PutUserPermissionsBoundary", resource=_USER)
def put_user_permissions_boundary(ctx: Context, UserName: str, PermissionsBoundary: str) -> None:
    changed(users(ctx), "user", UserName, boundary=boundary_arn(ctx, PermissionsBoundary))


@operation("iam", "DeleteUserPermissionsBoundary", resource=_USER)
def delete_user_permissions_boundary(ctx: Context, UserName: str) -> None:
    changed(users(ctx), "user", UserName, boundary="")


@operation("iam", "TagUser", resource=_USER)
def tag_user(ctx: Context, UserName: str, Tags: list[dict[str, str]]) -> None:
    add_tags(users(ctx), "user", UserName, Tags)


@operation("iam", "UntagUser", resource=_USER)
def untag_user(ctx: Context, UserName: str, TagKeys: list[str]) -> None:
    remove_tags(users(ctx), "user", UserName, TagKeys)


@operation("iam", "ListUserTags", resource=_USER)
def list_user_tags(
    ctx: Context, UserName: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    tags = tag_list(found(users(ctx), "user", UserName).value.tags)
    shown, more = cut(tags, lambda tag: tag["Key"], Marker, MaxItems)
    return {"Tags": shown, **more}


@operation("iam", "PutUserPolicy", resource=_USER)
def put_user_policy(ctx: Context, UserName: str, PolicyName: str, PolicyDocument: str) -> None:
    attachments.put_inline(users(ctx), "user", UserName, PolicyName, PolicyDocument)


@operation("iam", "GetUserPolicy", resource=_USER)
def get_user_policy(ctx: Context, UserName: str, PolicyName: str) -> dict[str, Any]:
    return attachments.get_inline(users(ctx), "user", UserName, PolicyName)


@operation("iam", "DeleteUserPolicy", resource=_USER)
def delete_user_policy(ctx: Context, UserName: str, PolicyName: str) -> None:
    attachments.delete_inline(users(ctx), "user", UserName, PolicyName)


@operation("iam", "ListUserPolicies", resource=_USER)
def list_user_policies(
    ctx: Context, UserName: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    return attachments.list_inline(users(ctx), "user", UserName, Marker, MaxItems)


@operation("iam", "AttachUserPolicy", resource=_USER)
def attach_user_policy(ctx: Context, UserName: str, PolicyArn: str) -> None:
    attachments.attach(ctx, users(ctx), "user", UserName, PolicyArn)


@operation("iam", "DetachUserPolicy", resource=_USER)
def detach_user_policy(ctx: Context, UserName: str, PolicyArn: str) -> None:
    attachments.detach(users(ctx), "user", UserName, PolicyArn)


@operation("iam", "ListAttachedUserPolicies", resource=_USER)
def list_attached_user_policies(
    ctx: Context,
    UserName: str,
    PathPrefix: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    return attachments.list_attached(users(ctx), "user", UserName, PathPrefix, Marker, MaxItems)


def calling_user(ctx: Context) -> str:
    """The name of the user who calls. Roles have none and must say whom they mean."""
    if ctx.principal.kind != "user":
        raise AwsError("ValidationError", "Must specify userName when calling with non-User credentials")
    return ctx.principal.name
