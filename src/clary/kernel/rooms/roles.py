"""Execution roles: may a caller pass one, and what work that runs under it is given to act with.

AWS lets nobody pass a role that is not there. Here a caller that may do anything (the root, the default key) may name
any role, so that examples run as they were written: work then acts as the account's default execution role. Whoever
is held to policies needs a role that exists, trusts SageMaker, and that `iam:PassRole` allows to pass.
"""

from typing import TYPE_CHECKING

from clary.kernel.auth import policies
from clary.kernel.auth.directory import DEFAULT_ROLE, DEFAULT_ROLE_PATH
from clary.kernel.auth.principals import Principal
from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms.context import Context

if TYPE_CHECKING:
    from clary.kernel.rooms.platform import Platform

SESSION_NAME = "SageMaker"


def acting_role(ctx: Context, role_arn: str, service: str = "sagemaker.amazonaws.com") -> str:
    """The ARN of the role that `service` will act as when the caller passes this one; keep it with the work.

    Raises ValidationException or AccessDenied, as AWS does, when the caller may not pass it.
    """
    arn = parse_arn(role_arn)
    role = ctx.platform.keys.directory.role(arn.account, _name(role_arn)) if arn.account == ctx.account else None
    if role is None:
        if ctx.principal.permissions is not None:
            raise _unassumable(role_arn, service)
        return f"arn:{ctx.partition}:iam::{ctx.account}:role{DEFAULT_ROLE_PATH}{DEFAULT_ROLE}"
    if not policies.trusts_service(role.value.trust, service):
        raise _unassumable(role_arn, service)
    decision = policies.authorize(ctx.principal, "iam:PassRole", role_arn, {"iam:passedtoservice": service})
    if not decision.allowed:
        raise policies.denied(ctx.principal, "iam:PassRole", role_arn, decision, ctx.operation)
    return role_arn


def passed_role(ctx: Context, service: str, type_name: str, name: str) -> str:
    """The ARN of the role that was passed when a resource was made, as `acting_role` answered then; empty for none.

    Work that uses another room's resource acts as this one: the caller need not be allowed to pass it again, and nobody
    is given another role in its place once it is deleted. Raises the resource's error for a missing one.
    """
    resource = ctx.platform.registry.resources[service, type_name]
    if resource.role is None:
        raise TypeError(f"{service} {type_name} has no role: declare `role` of its Resource")
    return resource.role(resource.get(ctx, name).value)


def work_environment(platform: "Platform", role_arn: str, region: str, seconds: float) -> dict[str, str]:
    """What lets work use this server as its acting role: region, endpoint, and fresh credentials that last `seconds`.

    They are the variables that every SDK reads. Work without a role, an empty text, is given no credentials. Raises
    ValidationException when the role is gone.
    """
    endpoint = platform.endpoint
    place = {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **({"AWS_ENDPOINT_URL": endpoint, "S3_ENDPOINT_URL": endpoint} if endpoint else {}),
    }
    if not role_arn:
        return place
    key_id, key = platform.keys.issue(role_principal(platform, role_arn), seconds)
    return place | {
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_SESSION_TOKEN": key.session_token or "",
    }


def role_principal(platform: "Platform", role_arn: str) -> Principal:
    """Who acts as a role now, with what its policies allow by now. Raises ValidationException when the role is gone."""
    directory = platform.keys.directory
    account, name = parse_arn(role_arn).account, _name(role_arn)
    role = directory.role(account, name)
    if role is None:
        raise _unassumable(role_arn, "sagemaker.amazonaws.com")
    return Principal(
        "assumed-role",
        account,
        name=name,
        session=SESSION_NAME,
        path=role.value.path,
        unique_id=role.value.unique_id,
        permissions=directory.role_permissions(account, role.value),
    )


def limiting_role(platform: "Platform", role_arn: str) -> str:
    """The acting role as a host's `role`: empty for none, and for one that forbids nothing, which nobody need ask."""
    directory = platform.keys.directory
    account = parse_arn(role_arn).account if role_arn else ""
    role = directory.role(account, _name(role_arn)) if role_arn else None
    unlimited = role is not None and directory.role_permissions(account, role.value).everything
    return "" if unlimited else role_arn


def _name(role_arn: str) -> str:
    return role_arn.rpartition("/")[2]


def _unassumable(role_arn: str, service: str) -> AwsError:
    return validation(
        f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal '{service}' "
        "to assume the role."
    )
