"""Groups: policies that many users share."""

from dataclasses import replace
from typing import Any

from clary.kernel.auth.records import Group, User
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import prefixed_id
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.support.iam import attachments
from clary.support.iam.entities import (
    created,
    describe_group,
    describe_user,
    found,
    groups,
    in_path,
    no_such,
    users,
)
from clary.support.iam.listing import cut

_GROUP = "group/{GroupName}"


@operation("iam", "CreateGroup", resource=_GROUP)
def create_group(ctx: Context, GroupName: str, Path: str | None = None) -> dict[str, Any]:
    group = Group(path=Path or "/", unique_id=prefixed_id("AGPA", 17))
    return {"Group": describe_group(ctx, created(groups(ctx), "group", GroupName, group))}


@operation("iam", "GetGroup", resource=_GROUP)
def get_group(ctx: Context, GroupName: str, Marker: str | None = None, MaxItems: int | None = None) -> dict[str, Any]:
    entry = found(groups(ctx), "group", GroupName)
    members, more = cut(_members(ctx, GroupName), lambda user: user.name, Marker, MaxItems)
    return {"Group": describe_group(ctx, entry), "Users": [describe_user(ctx, user) for user in members], **more}


@operation("iam", "ListGroups")
def list_groups(
    ctx: Context, PathPrefix: str | None = None, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    entries, more = cut(in_path(groups(ctx).all(), PathPrefix), lambda entry: entry.name, Marker, MaxItems)
    return {"Groups": [describe_group(ctx, entry) for entry in entries], **more}


@operation("iam", "ListGroupsForUser", resource="user/{UserName}")
def list_groups_for_user(
    ctx: Context, UserName: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    names = found(users(ctx), "user", UserName).value.groups
    entries = [entry for name in names if (entry := groups(ctx).get(name)) is not None]
    shown, more = cut(entries, lambda entry: entry.name, Marker, MaxItems)
    return {"Groups": [describe_group(ctx, entry) for entry in shown], **more}


@operation("iam", "DeleteGroup", resource=_GROUP)
def delete_group(ctx: Context, GroupName: str) -> None:
    entry = found(groups(ctx), "group", GroupName)
    if _members(ctx, GroupName):
        raise AwsError("DeleteConflict", "Cannot delete entity, must remove users from group first.")
    attachments.check_bare(entry.value)
    groups(ctx).delete(GroupName, version=entry.version)


@operation("iam", "AddUserToGroup", resource=_GROUP)
def add_user_to_group(ctx: Context, GroupName: str, UserName: str) -> None:
    found(groups(ctx), "group", GroupName)

    def joined(user: User) -> User | None:
        return None if GroupName in user.groups else replace(user, groups=[*user.groups, GroupName])

    if users(ctx).update(UserName, joined) is None:
        raise no_such("user", UserName)


@operation("iam", "RemoveUserFromGroup", resource=_GROUP)
def remove_user_from_group(ctx: Context, GroupName: str, UserName: str) -> None:
    found(groups(ctx), "group", GroupName)

    def left(user: User) -> User:
        if GroupName not in user.groups:
            raise AwsError("NoSuchEntity", f"The user {UserName} is not in the group {GroupName}.")
        return replace(user, groups=[name for name in user.groups if name != GroupName])

    if users(ctx).update(UserName, left) is None:
        raise no_such("user", UserName)


@operation("iam", "PutGroupPolicy", resource=_GROUP)
def put_group_policy(ctx: Context, GroupName: str, PolicyName: str, PolicyDocument: str) -> None:
    attachments.put_inline(groups(ctx), "group", GroupName, PolicyName, PolicyDocument)


@operation("iam", "GetGroupPolicy", resource=_GROUP)
def get_group_policy(ctx: Context, GroupName: str, PolicyName: str) -> dict[str, Any]:
    return attachments.get_inline(groups(ctx), "group", GroupName, PolicyName)


@operation("iam", "DeleteGroupPolicy", resource=_GROUP)
def delete_group_policy(ctx: Context, GroupName: str, PolicyName: str) -> None:
    attachments.delete_inline(groups(ctx), "group", GroupName, PolicyName)


@operation("iam", "ListGroupPolicies", resource=_GROUP)
def list_group_policies(
    ctx: Context, GroupName: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    return attachments.list_inline(groups(ctx), "group", GroupName, Marker, MaxItems)


@operation("iam", "AttachGroupPolicy", resource=_GROUP)
def attach_group_policy(ctx: Context, GroupName: str, PolicyArn: str) -> None:
    attachments.attach(ctx, groups(ctx), "group", GroupName, PolicyArn)


@operation("iam", "DetachGroupPolicy", resource=_GROUP)
def detach_group_policy(ctx: Context, GroupName: str, PolicyArn: str) -> None:
    attachments.detach(groups(ctx), "group", GroupName, PolicyArn)


@operation("iam", "ListAttachedGroupPolicies", resource=_GROUP)
def list_attached_group_policies(
    ctx: Context,
    GroupName: str,
    PathPrefix: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    return attachments.list_attached(groups(ctx), "group", GroupName, PathPrefix, Marker, MaxItems)


def _members(ctx: Context, group: str) -> list[Entry[User]]:
    return [entry for entry in users(ctx).all() if group in entry.value.groups]
