"""The operations of STS. What it hands out are access keys of the kernel, so that any worker honours them at once."""

from typing import Any

from clary.kernel.auth import policies
from clary.kernel.auth.principals import Principal
from clary.kernel.auth.records import AccessKey, Role
from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry

_HOUR = 3600
_LONGEST_SESSION_TOKEN = 36 * _HOUR
_MAX_POLICY_CHARACTERS = 2048
_MAX_SESSION_POLICIES = 10


@operation("sts", "GetCallerIdentity")
async def get_caller_identity(ctx: Context) -> dict[str, str]:
    """Say who calls. Needs no permission, as on AWS."""
    principal = ctx.principal
    return {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}


@operation("sts", "AssumeRole", resource="{RoleArn}")
def assume_role(
    ctx: Context,
    RoleArn: str,
    RoleSessionName: str,
    PolicyArns: list[dict[str, str]] | None = None,
    Policy: str | None = None,
    DurationSeconds: int | None = None,
    ExternalId: str | None = None,
) -> dict[str, Any]:
    """Hand out credentials of a role to a principal that its trust policy names."""
    role = _trusting_role(ctx, RoleArn, ExternalId)
    seconds = DurationSeconds or _HOUR
    if seconds > role.value.max_session_seconds:
        raise AwsError(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    session_policies = _session_policies(ctx, role.account, Policy, PolicyArns)
    directory = ctx.platform.keys.directory
    principal = Principal(
        "assumed-role",
        role.account,
        partition=ctx.partition,
        name=role.name,
        session=RoleSessionName,
        path=role.value.path,
        unique_id=role.value.unique_id,
        permissions=directory.role_permissions(role.account, role.value, session_policies),
    )
    issued = ctx.platform.keys.issue(principal, seconds, session_policies=session_policies)
    packed = sum(len(document) for document in session_policies)
    return {
        "Credentials": _credentials(*issued),
        "AssumedRoleUser": {"AssumedRoleId": principal.user_id, "Arn": principal.arn},
        "PackedPolicySize": max(1, 100 * packed // _MAX_POLICY_CHARACTERS) if packed else None,
    }


@operation("sts", "GetSessionToken")
def get_session_token(ctx: Context, DurationSeconds: int | None = None) -> dict[str, Any]:
    """Hand out temporary credentials of the caller itself; as on AWS not to role sessions, to a root for an hour."""
    principal = ctx.principal
    if principal.kind == "assumed-role" and principal.permissions is not None:
        raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", status=403)
    longest = _HOUR if principal.kind == "root" else _LONGEST_SESSION_TOKEN
    seconds = min(DurationSeconds or 12 * _HOUR, longest)
    return {"Credentials": _credentials(*ctx.platform.keys.issue(principal, seconds))}


@operation("sts", "GetAccessKeyInfo")
def get_access_key_info(ctx: Context, AccessKeyId: str) -> dict[str, str]:
    """Say which account a key belongs to."""
    credential = ctx.platform.keys.find(AccessKeyId)
    if credential is None:
        raise AwsError("ValidationError", f"There is no access key {AccessKeyId}.")
    return {"Account": credential.principal.account}


def _trusting_role(ctx: Context, role_arn: str, external_id: str | None) -> Entry[Role]:
    """The role, if it is there and trusts the caller; AWS tells the two apart to nobody."""
    arn = parse_arn(role_arn)
    role = None
    if arn.service == "iam" and arn.resource_type == "role":
        role = ctx.platform.keys.directory.role(arn.account, arn.resource.rpartition("/")[2])
    context = {} if external_id is None else {"sts:externalid": external_id}
    trusted = (
        role is not None
        and arn.resource == f"role{role.value.path}{role.name}"
        and policies.trusts(role.value.trust, ctx.principal, "sts:AssumeRole", context).allowed
    )
    if role is None or not trusted:
        raise AwsError(
            "AccessDenied",
            f"User: {ctx.principal.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
            status=403,
        )
    return role


def _session_policies(
    ctx: Context, account: str, policy: str | None, policy_arns: list[dict[str, str]] | None
) -> list[str]:
    documents = []
    for given in policy_arns or []:
        arn = given.get("arn", "")
        document = ctx.platform.keys.directory.document(account, arn)
        if document is None:
            raise AwsError("ValidationError", f"Policy {arn} does not exist or is not attachable.")
        documents.append(document)
    if len(documents) > _MAX_SESSION_POLICIES:
        raise AwsError("ValidationError", f"PolicyArns can hold at most {_MAX_SESSION_POLICIES} policies.")
    if policy is not None:
        if len(policy) > _MAX_POLICY_CHARACTERS:
            raise AwsError("PackedPolicyTooLarge", f"Policy is longer than {_MAX_POLICY_CHARACTERS} characters.")
        try:
            policies.compile_document(policy, "session policy")
        except ValueError as error:
            raise AwsError("MalformedPolicyDocument", str(error)) from None
        documents.append(policy)
    return documents


def _credentials(access_key: str, key: AccessKey) -> dict[str, Any]:
    return {
        "AccessKeyId": access_key,
        "SecretAccessKey": key.secret,
        "SessionToken": key.session_token,
        "Expiration": key.expires_at,
    }
