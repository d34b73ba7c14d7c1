"""Managed policies: the account's own, with versions, and the AWS-managed ones that Clary knows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from clary.kernel.auth import aws_managed
from clary.kernel.auth.records import ManagedPolicy
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import prefixed_id
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.support.iam.entities import (
    add_tags,
    check_document,
    created,
    entity_arn,
    found,
    groups,
    in_path,
    on_the_wire,
    policies,
    remove_tags,
    roles,
    tag_list,
    tag_map,
    users,
)
from clary.support.iam.listing import cut

_POLICY = "policy/{PolicyName}"
_BY_ARN = "{PolicyArn}"
_MAX_VERSIONS = 5
# AWS-managed policies have no creation in an account; the day IAM policies came to be stands for it.
_AWS_MANAGED_SINCE = 1304467200.0


@operation("iam", "CreatePolicy", resource=_POLICY)
def create_policy(
    ctx: Context,
    PolicyName: str,
    PolicyDocument: str,
    Path: str | None = None,
    Description: str | None = None,
    Tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    document = check_document(PolicyDocument)
    policy = ManagedPolicy(
        path=Path or "/",
        unique_id=prefixed_id("ANPA", 17),
        description=Description or "",
        default_version="v1",
        versions={"v1": {"document": document, "created_at": ctx.platform.clock.now()}},
        tags=tag_map(Tags),
    )
    return {"Policy": _describe(ctx, created(policies(ctx), "policy", PolicyName, policy))}


@operation("iam", "GetPolicy", resource=_BY_ARN)
def get_policy(ctx: Context, PolicyArn: str) -> dict[str, Any]:
    if aws_managed.document(PolicyArn) is not None:
        return {"Policy": _describe_aws(ctx, PolicyArn)}
    return {"Policy": _describe(ctx, _own(ctx, PolicyArn))}


@operation("iam", "ListPolicies")
def list_policies(
    ctx: Context,
    Scope: str | None = None,
    OnlyAttached: bool | None = None,
    PathPrefix: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    described = []
    if Scope != "AWS":
        described += [_describe(ctx, entry) for entry in in_path(policies(ctx).all(), PathPrefix)]
    if Scope != "Local":
        arns = [f"arn:{ctx.partition}:iam::aws:policy/{name}" for name in aws_managed.DOCUMENTS]
        described += [
            policy for arn in arns if (policy := _describe_aws(ctx, arn))["Path"].startswith(PathPrefix or "/")
        ]
    if OnlyAttached:
        described = [policy for policy in described if policy["AttachmentCount"]]
    shown, more = cut(described, lambda policy: policy["Arn"], Marker, MaxItems)
    return {"Policies": [{**policy, "Tags": None, "Description": None} for policy in shown], **more}


@operation("iam", "DeletePolicy", resource=_BY_ARN)
def delete_policy(ctx: Context, PolicyArn: str) -> None:
    entry = _own(ctx, PolicyArn)
    if _attached_to(ctx, PolicyArn):
        raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.")
    if len(entry.value.versions) > 1:
        raise AwsError(
            "DeleteConflict",
            "This policy has more than one version. Before you delete a policy, you must "
            "delete the policy's versions. The default version is deleted with the policy.",
        )
    policies(ctx).delete(entry.name, version=entry.version)


@operation("iam", "CreatePolicyVersion", resource=_BY_ARN)
def create_policy_version(
    ctx: Context, PolicyArn: str, PolicyDocument: str, SetAsDefault: bool | None = None
) -> dict[str, Any]:
    document = check_document(PolicyDocument)
    now = ctx.platform.clock.now()

    def with_version(policy: ManagedPolicy) -> ManagedPolicy:
        if len(policy.versions) >= _MAX_VERSIONS:
            raise AwsError(
                "LimitExceeded",
                f"A managed policy can have up to {_MAX_VERSIONS} versions. Before you create a new version, you must "
                "delete an existing version.",
            )
        version = f"v{policy.next_version}"
        return replace(
            policy,
            versions={**policy.versions, version: {"document": document, "created_at": now}},
            next_version=policy.next_version + 1,
            default_version=version if SetAsDefault else policy.default_version,
        )

    policy = _change(ctx, PolicyArn, with_version)
    version = f"v{policy.next_version - 1}"
    return {"PolicyVersion": {**_describe_version(policy, version), "Document": None}}


@operation("iam", "GetPolicyVersion", resource=_BY_ARN)
def get_policy_version(ctx: Context, PolicyArn: str, VersionId: str) -> dict[str, Any]:
    document = aws_managed.document(PolicyArn)
    if document is not None and VersionId == "v1":
        return {
            "PolicyVersion": {
                "Document": on_the_wire(document),
                "VersionId": "v1",
                "IsDefaultVersion": True,
                "CreateDate": _AWS_MANAGED_SINCE,
            }
        }
    return {"PolicyVersion": _describe_version(_own(ctx, PolicyArn).value, VersionId)}


@operation("iam", "ListPolicyVersions", resource=_BY_ARN)
def list_policy_versions(
    ctx: Context, PolicyArn: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    if aws_managed.document(PolicyArn) is not None:
        versions = [{"VersionId": "v1", "IsDefaultVersion": True, "CreateDate": _AWS_MANAGED_SINCE}]
    else:
        policy = _own(ctx, PolicyArn).value
        versions = [{**_describe_version(policy, version), "Document": None} for version in policy.versions]
    shown, more = cut(versions, lambda version: str(version["VersionId"]), Marker, MaxItems)
    return {"Versions": shown, **more}


@operation("iam", "SetDefaultPolicyVersion", resource=_BY_ARN)
def set_default_policy_version(ctx: Context, PolicyArn: str, VersionId: str) -> None:
    def with_default(policy: ManagedPolicy) -> ManagedPolicy:
        _describe_version(policy, VersionId)
        return replace(policy, default_version=VersionId)

    _change(ctx, PolicyArn, with_default)


@operation("iam", "DeletePolicyVersion", resource=_BY_ARN)
def delete_policy_version(ctx: Context, PolicyArn: str, VersionId: str) -> None:
    def without(policy: ManagedPolicy) -> ManagedPolicy:
        _describe_version(policy, VersionId)
        if VersionId == policy.default_version:
            raise AwsError("DeleteConflict", "Cannot delete the default version of a policy.")
        return replace(policy, versions={key: value for key, value in policy.versions.items() if key != VersionId})

    _change(ctx, PolicyArn, without)


@operation("iam", "ListEntitiesForPolicy", resource=_BY_ARN)
def list_entities_for_policy(
    ctx: Context,
    PolicyArn: str,
    EntityFilter: str | None = None,
    PathPrefix: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    get_policy(ctx, PolicyArn)
    attached = _attached_to(ctx, PolicyArn, PathPrefix)
    if EntityFilter in {"User", "Role", "Group"}:
        attached = [one for one in attached if one[0] == EntityFilter]
    elif EntityFilter in {"LocalManagedPolicy", "AWSManagedPolicy"}:
        attached = []
    shown, more = cut(attached, lambda one: f"{one[0]}/{one[1]}", Marker, MaxItems)
    by_kind: dict[str, list[dict[str, str]]] = {"User": [], "Role": [], "Group": []}
    for kind, name, unique_id in shown:
        by_kind[kind].append({f"{kind}Name": name, f"{kind}Id": unique_id})
    return {**{f"Policy{kind}s": entities for kind, entities in by_kind.items()}, **more}


@operation("iam", "TagPolicy", resource=_BY_ARN)
def tag_policy(ctx: Context, PolicyArn: str, Tags: list[dict[str, str]]) -> None:
    add_tags(policies(ctx), "policy", _own(ctx, PolicyArn).name, Tags)


@operation("iam", "UntagPolicy", resource=_BY_ARN)
def untag_policy(ctx: Context, PolicyArn: str, TagKeys: list[str]) -> None:
    remove_tags(policies(ctx), "policy", _own(ctx, PolicyArn).name, TagKeys)


@operation("iam", "ListPolicyTags", resource=_BY_ARN)
def list_policy_tags(
    ctx: Context, PolicyArn: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    shown, more = cut(tag_list(_own(ctx, PolicyArn).value.tags), lambda tag: tag["Key"], Marker, MaxItems)
    return {"Tags": shown, **more}


def _own(ctx: Context, arn: str) -> Entry[ManagedPolicy]:
    """The account's policy of that ARN, or NoSuchEntity."""
    entry = policies(ctx).get(arn.rpartition("/")[2])
    if entry is None or entity_arn(ctx, "policy", entry.value.path, entry.name) != arn:
        raise AwsError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
    return entry


def _change(ctx: Context, arn: str, change: Callable[[ManagedPolicy], ManagedPolicy]) -> ManagedPolicy:
    entry = policies(ctx).update(_own(ctx, arn).name, change)
    return found(policies(ctx), "policy", arn).value if entry is None else entry.value


def _describe(ctx: Context, entry: Entry[ManagedPolicy]) -> dict[str, Any]:
    policy = entry.value
    arn = entity_arn(ctx, "policy", policy.path, entry.name)
    return {
        "PolicyName": entry.name,
        "PolicyId": policy.unique_id,
        "Arn": arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default_version,
        "AttachmentCount": len(_attached_to(ctx, arn)),
        "PermissionsBoundaryUsageCount": _bounded_by(ctx, arn),
        "IsAttachable": True,
        "Description": policy.description or None,
        "CreateDate": entry.created_at,
        "UpdateDate": entry.updated_at,
        "Tags": tag_list(policy.tags) or None,
    }


def _describe_aws(ctx: Context, arn: str) -> dict[str, Any]:
    path, _, name = ("/" + arn.partition(":policy/")[2]).rpartition("/")
    return {
        "PolicyName": name,
        "PolicyId": "ANPA" + name.upper()[:17],
        "Arn": arn,
        "Path": path + "/",
        "DefaultVersionId": "v1",
        "AttachmentCount": len(_attached_to(ctx, arn)),
        "PermissionsBoundaryUsageCount": _bounded_by(ctx, arn),
        "IsAttachable": True,
        "CreateDate": _AWS_MANAGED_SINCE,
        "UpdateDate": _AWS_MANAGED_SINCE,
    }


def _describe_version(policy: ManagedPolicy, version: str) -> dict[str, Any]:
    if version not in policy.versions:
        raise AwsError("NoSuchEntity", f"Policy version {version} does not exist.")
    stored = policy.versions[version]
    return {
        "Document": on_the_wire(str(stored["document"])),
        "VersionId": version,
        "IsDefaultVersion": version == policy.default_version,
        "CreateDate": stored["created_at"],
    }


def _attached_to(ctx: Context, arn: str, path_prefix: str | None = None) -> list[tuple[str, str, str]]:
    """(kind, name, id) of every entity that a policy is attached to."""
    return [
        *(
            ("User", e.name, e.value.unique_id)
            for e in in_path(users(ctx).all(), path_prefix)
            if arn in e.value.attached
        ),
        *(
            ("Role", e.name, e.value.unique_id)
            for e in in_path(roles(ctx).all(), path_prefix)
            if arn in e.value.attached
        ),
        *(
            ("Group", e.name, e.value.unique_id)
            for e in in_path(groups(ctx).all(), path_prefix)
            if arn in e.value.attached
        ),
    ]


def _bounded_by(ctx: Context, arn: str) -> int:
    owners = [
        *(entry.value.boundary for entry in users(ctx).all()),
        *(entry.value.boundary for entry in roles(ctx).all()),
    ]
    return owners.count(arn)
