"""Log groups: create, delete, list, retention and deletion protection."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.telemetry.log_records import GroupNotFound, LogGroup, NameTaken
from clary.support.logs.api.tagging import checked_tags
from clary.support.logs.lookup import find_group, group_arn, group_name, invalid, no_group
from clary.support.logs.records import MetricFilter
from clary.support.logs.tokens import page_token, read_page_token

_DEFAULT_LIMIT = 50
_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


@operation("logs", "CreateLogGroup", resource="log-group:{logGroupName}")
def create_log_group(
    ctx: Context,
    logGroupName: str,
    tags: Mapping[str, str] | None = None,
    logGroupClass: str | None = None,
    deletionProtectionEnabled: bool | None = None,
) -> None:
    """Add an empty group that keeps its events until told otherwise."""
    if logGroupClass not in {None, "STANDARD", "INFREQUENT_ACCESS"}:
        raise invalid(f"Log group class {logGroupClass} is not supported by Clary: use STANDARD or INFREQUENT_ACCESS.")
    attributes = {
        "tags": checked_tags(tags or {}),
        "class": logGroupClass or "STANDARD",
        "protected": bool(deletionProtectionEnabled),
    }
    try:
        ctx.platform.logs.create_group(ctx.account, ctx.region, logGroupName, attributes=attributes)
    except NameTaken:
        raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists") from None


@operation("logs", "DeleteLogGroup", resource="log-group:{logGroupName}")
def delete_log_group(ctx: Context, logGroupName: str) -> None:
    """Remove a group with its streams, events and metric filters."""
    if find_group(ctx, logGroupName).attributes.get("protected"):
        raise AwsError(
            "ValidationException",
            f"Log group {logGroupName} has deletion protection: turn it off with PutLogGroupDeletionProtection first.",
        )
    filters = ctx.records(MetricFilter)
    for entry in filters.all(parent=logGroupName):
        filters.delete(entry.name)
    try:
        ctx.platform.logs.delete_group(ctx.account, ctx.region, logGroupName)
    except GroupNotFound:
        raise no_group() from None
    ctx.platform.wake("logs")


@operation("logs", "DescribeLogGroups")
def describe_log_groups(
    ctx: Context,
    logGroupNamePrefix: str | None = None,
    logGroupNamePattern: str | None = None,
    logGroupIdentifiers: list[str] | None = None,
    logGroupClass: str | None = None,
    accountIdentifiers: list[str] | None = None,
    includeLinkedAccounts: bool | None = None,
    nextToken: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Groups by name. A pattern matches anywhere in a name, whatever the case."""
    if logGroupNamePrefix is not None and logGroupNamePattern:
        raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    if includeLinkedAccounts:
        raise invalid("includeLinkedAccounts is not supported by Clary: its accounts are not linked.")
    if accountIdentifiers and ctx.account not in accountIdentifiers:
        return {"logGroups": []}
    names = None if logGroupIdentifiers is None else {group_name(ctx, each) for each in logGroupIdentifiers}
    pattern = (logGroupNamePattern or "").lower()

    def wanted(group: LogGroup) -> bool:
        return (
            pattern in group.name.lower()
            and (names is None or group.name in names)
            and (logGroupClass is None or _class(group) == logGroupClass)
        )

    groups, token = _page(ctx, logGroupNamePrefix or "", nextToken, limit, wanted)
    return {"logGroups": [_describe(ctx, group) for group in groups], "nextToken": token}


@operation("logs", "ListLogGroups")
def list_log_groups(
    ctx: Context,
    logGroupNamePattern: str | None = None,
    logGroupClass: str | None = None,
    accountIdentifiers: list[str] | None = None,
    includeLinkedAccounts: bool | None = None,
    nextToken: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Groups in short. The pattern is words joined by `|`, found anywhere in a name or, after a `^`, at its start."""
    if includeLinkedAccounts:
        raise invalid("includeLinkedAccounts is not supported by Clary: its accounts are not linked.")
    if accountIdentifiers and ctx.account not in accountIdentifiers:
        return {"logGroups": []}
    words = [
        ("^" if word.startswith("^") else "") + re.escape(word.removeprefix("^"))
        for word in (logGroupNamePattern or "").split("|")
    ]
    expression = re.compile("|".join(words))

    def wanted(group: LogGroup) -> bool:
        return expression.search(group.name) is not None and logGroupClass in {None, _class(group)}

    groups, token = _page(ctx, "", nextToken, limit, wanted)
    return {
        "logGroups": [
            {
                "logGroupName": group.name,
                "logGroupArn": group_arn(ctx, group.name),
                "logGroupClass": _class(group),
            }
            for group in groups
        ],
        "nextToken": token,
    }


@operation("logs", "PutRetentionPolicy", resource="log-group:{logGroupName}")
def put_retention_policy(ctx: Context, logGroupName: str, retentionInDays: int) -> None:
    """Keep events for so many days; older ones are hidden at once and deleted later."""
    if retentionInDays not in _RETENTION_DAYS:
        raise invalid(
            f"1 validation error detected: Value '{retentionInDays}' at 'retentionInDays' failed to satisfy "
            f"constraint: Member must satisfy enum value set: {list(_RETENTION_DAYS)}"
        )
    _change(ctx, logGroupName, lambda group: replace(group, retention_days=retentionInDays))
    ctx.platform.wake("logs")


@operation("logs", "DeleteRetentionPolicy", resource="log-group:{logGroupName}")
def delete_retention_policy(ctx: Context, logGroupName: str) -> None:
    """Keep events for good from now on."""
    _change(ctx, logGroupName, lambda group: replace(group, retention_days=None))


@operation("logs", "PutLogGroupDeletionProtection", resource="log-group:{logGroupIdentifier}")
def put_log_group_deletion_protection(ctx: Context, logGroupIdentifier: str, deletionProtectionEnabled: bool) -> None:
    """Let a group be deleted, or not."""
    protection = {"protected": deletionProtectionEnabled}
    _change(
        ctx,
        group_name(ctx, logGroupIdentifier),
        lambda group: replace(group, attributes={**group.attributes, **protection}),
    )


def _change(ctx: Context, name: str, change: Callable[[LogGroup], LogGroup]) -> None:
    try:
        ctx.platform.logs.change_group(ctx.account, ctx.region, name, change)
    except GroupNotFound:
        raise no_group() from None


def _page(
    ctx: Context, prefix: str, token: str | None, limit: int | None, wanted: Callable[[LogGroup], bool]
) -> tuple[list[LogGroup], str | None]:
    place = read_page_token(token, str)
    groups = ctx.platform.logs.groups(ctx.account, ctx.region, prefix=prefix, after=place[0] if place else "")
    count = limit or _DEFAULT_LIMIT
    found = list(islice(filter(wanted, groups), count + 1))
    return found[:count], page_token(found[count - 1].name) if len(found) > count else None


def _class(group: LogGroup) -> str:
    return str(group.attributes.get("class", "STANDARD"))


def _describe(ctx: Context, group: LogGroup) -> dict[str, Any]:
    arn = group_arn(ctx, group.name)
    return {
        "logGroupName": group.name,
        "creationTime": group.created_at,
        "retentionInDays": group.retention_days,
        "metricFilterCount": ctx.records(MetricFilter).count(parent=group.name),
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "storedBytes": ctx.platform.logs.stored_bytes(group),
        "logGroupClass": _class(group),
        "deletionProtectionEnabled": bool(group.attributes.get("protected")),
    }
