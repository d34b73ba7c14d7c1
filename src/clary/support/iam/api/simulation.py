"""What would be allowed: the same evaluation that guards every call, asked without calling."""

from typing import Any

from clary.kernel.auth.policies import Decision, Permissions, Policy, compile_document, decide
from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.support.iam.entities import found, groups, roles, users
from clary.support.iam.listing import cut

_SOURCE_TYPES = {"user": "user", "role": "role", "group": "group"}


@operation("iam", "SimulatePrincipalPolicy", resource="{PolicySourceArn}")
def simulate_principal_policy(
    ctx: Context,
    PolicySourceArn: str,
    ActionNames: list[str],
    PolicyInputList: list[str] | None = None,
    PermissionsBoundaryPolicyInputList: list[str] | None = None,
    ResourceArns: list[str] | None = None,
    CallerArn: str | None = None,
    ContextEntries: list[dict[str, Any]] | None = None,
    MaxItems: int | None = None,
    Marker: str | None = None,
) -> dict[str, Any]:
    """Evaluate the policies of a user, role or group, and those given besides."""
    permissions = _permissions_of(ctx, PolicySourceArn)
    identity = permissions.identity + _given(PolicyInputList, "PolicyInputList")
    boundary = _one(PermissionsBoundaryPolicyInputList) or permissions.boundary
    context = _context(ContextEntries, CallerArn or PolicySourceArn)
    return _simulate(Permissions(identity, boundary), ActionNames, ResourceArns, context, Marker, MaxItems)


@operation("iam", "SimulateCustomPolicy")
def simulate_custom_policy(
    ctx: Context,
    PolicyInputList: list[str],
    ActionNames: list[str],
    PermissionsBoundaryPolicyInputList: list[str] | None = None,
    ResourceArns: list[str] | None = None,
    CallerArn: str | None = None,
    ContextEntries: list[dict[str, Any]] | None = None,
    MaxItems: int | None = None,
    Marker: str | None = None,
) -> dict[str, Any]:
    """Evaluate the policies given."""
    permissions = Permissions(_given(PolicyInputList, "PolicyInputList"), _one(PermissionsBoundaryPolicyInputList))
    context = _context(ContextEntries, CallerArn)
    return _simulate(permissions, ActionNames, ResourceArns, context, Marker, MaxItems)


def _permissions_of(ctx: Context, source: str) -> Permissions:
    arn = parse_arn(source)
    kind, name = arn.resource_type, arn.resource.rpartition("/")[2]
    if arn.service != "iam" or kind not in _SOURCE_TYPES or arn.account != ctx.account:
        raise AwsError(
            "InvalidInput",
            f"Invalid Entity Arn: {source} does not clearly define entity type and name in this account.",
        )
    directory = ctx.platform.keys.directory
    if kind == "user":
        return directory.user_permissions(ctx.account, found(users(ctx), kind, name).value)
    if kind == "role":
        return directory.role_permissions(ctx.account, found(roles(ctx), kind, name).value)
    group = found(groups(ctx), kind, name).value
    return Permissions(directory.inline_and_attached(ctx.account, group.inline, group.attached))


def _given(documents: list[str] | None, name: str) -> tuple[Policy, ...]:
    return tuple(_compiled(document, f"{name}.{index}") for index, document in enumerate(documents or [], start=1))


def _one(documents: list[str] | None) -> Policy | None:
    if documents is not None and len(documents) > 1:
        raise AwsError("InvalidInput", "PermissionsBoundaryPolicyInputList can hold only one policy.")
    given = _given(documents, "PermissionsBoundaryPolicyInputList")
    return given[0] if given else None


def _compiled(document: str, name: str) -> Policy:
    try:
        return compile_document(document, name)
    except ValueError as error:
        raise AwsError("InvalidInput", f"{name}: {error}") from None


def _context(entries: list[dict[str, Any]] | None, caller: str | None) -> dict[str, str | list[str]]:
    context: dict[str, str | list[str]] = {}
    if caller:
        arn = parse_arn(caller)
        context["aws:principalarn"] = caller
        context["aws:principalaccount"] = arn.account
        if arn.resource_type == "user":
            context["aws:username"] = arn.resource.rpartition("/")[2]
    for entry in entries or []:
        values = [str(value) for value in entry.get("ContextKeyValues") or []]
        is_list = str(entry.get("ContextKeyType", "")).endswith("List")
        context[str(entry.get("ContextKeyName", "")).lower()] = values if is_list else "".join(values[:1])
    return context


def _simulate(
    permissions: Permissions,
    actions: list[str],
    resources: list[str] | None,
    context: dict[str, str | list[str]],
    marker: str | None,
    max_items: int | None,
) -> dict[str, Any]:
    missing = _missing(permissions, context)
    results = [
        _result(permissions, action, resource, decide(permissions, action.lower(), resource, context), missing)
        for action in actions
        for resource in resources or ["*"]
    ]
    numbered = list(enumerate(results))
    shown, more = cut(numbered, lambda pair: f"{pair[0]:08d}", marker, max_items)
    return {"EvaluationResults": [result for _, result in shown], **more}


def _result(
    permissions: Permissions, action: str, resource: str, decision: Decision, missing: list[str]
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": decision.outcome,
        "MatchedStatements": [
            {"SourcePolicyId": name.rpartition("/")[2], "SourcePolicyType": "IAM Policy"} for name in decision.matched
        ],
        "MissingContextValues": missing,
    }
    if permissions.boundary is not None:
        inside = decision.layer != "permissions boundary" or decision.allowed
        result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": inside}
    return result


def _missing(permissions: Permissions, context: dict[str, str | list[str]]) -> list[str]:
    policies = [*permissions.identity, *((permissions.boundary,) if permissions.boundary else ())]
    keys = {
        key
        for policy in policies
        for statement in policy.statements
        for tests in statement.conditions.values()
        for key in tests
    }
    return sorted(key for key in keys if key.lower() not in context)
