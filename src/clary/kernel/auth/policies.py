"""May a principal do something: IAM's policy language, decided.

An explicit deny wins; then the principal's own policies must allow, and so must its permission boundary and its
session policies where it has them. A principal without `permissions` (the root, the default key) may do anything.
Source: "Policy evaluation logic" and "JSON policy elements" of the IAM user guide.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import orjson

from clary.kernel.auth import conditions
from clary.kernel.auth.actions import action_of
from clary.kernel.auth.conditions import Context
from clary.kernel.auth.principals import Principal
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.errors import AwsError
from clary.kernel.wire.models import Operation

Outcome = Literal["allowed", "explicitDeny", "implicitDeny"]
Layer = Literal["identity-based policy", "permissions boundary", "session policy"]
_ACTION = re.compile(r"\*|[A-Za-z0-9_*?-]+:[A-Za-z0-9_*?-]+")
_NO_CONTEXT: Context = {}
_FREE_TO_ALL = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})  # AWS asks no policy about them


class Statement(NamedTuple):
    """One statement, its patterns split into those that name and those that except (`NotAction`, ...)."""

    sid: str
    allow: bool
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    principals: Mapping[str, tuple[str, ...]] | None
    not_principals: Mapping[str, tuple[str, ...]] | None
    conditions: Mapping[str, Mapping[str, Any]]

    def applies(self, action: str, resource: str, context: Context) -> bool:
        named = (
            _matches(self.actions, action, context) if self.actions else not _matches(self.not_actions, action, context)
        )
        if not named:
            return False
        if self.resources or self.not_resources:
            inside = (
                _matches(self.resources, resource, context)
                if self.resources
                else not _matches(self.not_resources, resource, context)
            )
            if not inside:
                return False
        return not self.conditions or conditions.holds(self.conditions, context)


class Policy(NamedTuple):
    """A compiled document under the name it is known by."""

    name: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Permissions:
    """The policies that apply to a principal. None for boundary or session: there is no such limit.

    `everything`: nothing is forbidden, which saves evaluating it. `asks_context`: the outcome depends on who asks
    or when, beyond action and resource.
    """

    identity: tuple[Policy, ...]
    boundary: Policy | None = None
    session: tuple[Policy, ...] | None = None
    everything: bool = field(init=False)
    asks_context: bool = field(init=False)

    def __post_init__(self) -> None:
        own = [statement for policy in self.identity for statement in policy.statements]
        limits = [*((self.boundary,) if self.boundary else ()), *(self.session or ())]
        every = [*own, *(statement for policy in limits for statement in policy.statements)]
        unlimited = self.boundary is None and self.session is None
        everything = unlimited and any(map(_is_everything, own)) and all(statement.allow for statement in own)
        object.__setattr__(self, "everything", everything)
        object.__setattr__(self, "asks_context", any(map(_asks_context, every)))


class Decision(NamedTuple):
    """What was decided, by which layer, and the policies whose statements decided it."""

    outcome: Outcome
    matched: tuple[str, ...] = ()
    layer: Layer = "identity-based policy"

    @property
    def allowed(self) -> bool:
        return self.outcome == "allowed"


ALLOWED = Decision("allowed")


def authorize(principal: Principal, action: str, resource: str, context: Context = _NO_CONTEXT) -> Decision:
    """Decide whether `principal` may do `action` (as `s3:GetObject`) on the ARN `resource`."""
    permissions = principal.permissions
    if principal.kind == "anonymous":
        return Decision("implicitDeny")
    if permissions is None:
        return ALLOWED
    if permissions.everything:
        return ALLOWED
    about = {**_about(principal), **context} if permissions.asks_context else _NO_CONTEXT
    return decide(permissions, action.lower(), resource, about)


def require(
    principal: Principal, operation: Operation, resource: Callable[[], str], context: Context = _NO_CONTEXT
) -> None:
    """Raise AccessDenied unless `principal` may call `operation`; `resource` is asked only when it matters."""
    if principal.permissions is None and principal.kind != "anonymous":
        return
    action = action_of(operation)
    if action in _FREE_TO_ALL and principal.kind != "anonymous":
        return
    name = resource()
    decision = authorize(principal, action, name, context)
    if not decision.allowed:
        raise denied(principal, action, name, decision, operation)


def denied(
    principal: Principal, action: str, resource: str, decision: Decision, operation: Operation | None = None
) -> AwsError:
    """The error AWS answers, its code spelled as the operation's service spells it."""
    if decision.outcome == "explicitDeny":
        article = "an" if decision.layer.startswith("i") else "a"
        reason = f"with an explicit deny in {article} {decision.layer}"
    else:
        reason = f"because no {decision.layer} allows the {action} action"
    where = "" if resource in {"", "*"} else f" on resource: {resource}"
    message = f"User: {principal.arn} is not authorized to perform: {action}{where} {reason}"
    protocols = operation.service.protocols if operation is not None else ("json",)
    if protocols[0] in {"query", "rest-xml", "ec2"}:
        return AwsError("AccessDenied", message, status=403)
    return AwsError("AccessDeniedException", message, status=403 if protocols[0] == "rest-json" else 400)


def decide(permissions: Permissions, action: str, resource: str, context: Context) -> Decision:
    """The decision for a lower-case action, from compiled policies alone."""
    layers: list[tuple[Layer, tuple[Policy, ...] | None]] = [
        ("identity-based policy", permissions.identity),
        ("permissions boundary", None if permissions.boundary is None else (permissions.boundary,)),
        ("session policy", permissions.session),
    ]
    decisions = [
        Decision(*_outcome(policies, action, resource, context), layer)
        for layer, policies in layers
        if policies is not None
    ]
    for outcome in ("explicitDeny", "implicitDeny"):
        for decision in decisions:
            if decision.outcome == outcome:
                return decision
    return decisions[0]


def trusts(
    document: str, principal: Principal, action: str, context: Context = _NO_CONTEXT, *, resource: str = "*"
) -> Decision:
    """Decide by a role's trust policy whether `principal` may assume it, or by a resource's policy what it may do."""
    policy = compile_document(document, "trust policy")
    about = {**_about(principal), **context}
    names = _names_of(principal)
    outcome: Outcome = "implicitDeny"
    for statement in policy.statements:
        if not statement.applies(action.lower(), resource, about):
            continue
        if statement.principals is not None:
            named = _names_principal(statement.principals, names)
        else:
            named = not _names_principal(statement.not_principals or {}, names)
        if named and not statement.allow:
            return Decision("explicitDeny")
        if named:
            outcome = "allowed"
    return Decision(outcome)


def trusts_service(
    document: str,
    service: str,
    action: str = "sts:AssumeRole",
    resource: str = "*",
    context: Context = _NO_CONTEXT,
) -> bool:
    """Whether a role's trust policy lets the AWS service (as `sagemaker.amazonaws.com`) assume it, or a resource's
    policy lets it do something else."""
    allowed = False
    for statement in compile_document(document, "trust policy").statements:
        services = (statement.principals or {}).get("Service", ())
        if service in services and statement.applies(action.lower(), resource, context):
            if not statement.allow:
                return False
            allowed = True
    return allowed


def compile_document(document: str, name: str) -> Policy:
    """Compile a policy. Raises ValueError that says what is wrong with it."""
    return Policy(name, _compile(document))


@lru_cache(maxsize=2048)
def _compile(document: str) -> tuple[Statement, ...]:
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"This policy contains invalid Json: {error}") from None
    if not isinstance(parsed, dict):
        raise ValueError("Syntax errors in policy: the document must be a JSON object.")
    unknown = parsed.keys() - {"Version", "Id", "Statement"}
    if unknown:
        raise ValueError(f"Syntax errors in policy: unknown element {sorted(unknown)[0]}.")
    if parsed.get("Version", "2008-10-17") not in ("2012-10-17", "2008-10-17"):
        raise ValueError(f"The policy's Version must be 2012-10-17 or 2008-10-17, not {parsed['Version']!r}.")
    statements = _listed(parsed.get("Statement"))
    if not statements:
        raise ValueError("Syntax errors in policy: it has no Statement.")
    return tuple(_statement(statement) for statement in statements)


_STATEMENT_ELEMENTS = {
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "NotPrincipal",
    "Condition",
}


def _statement(given: Any) -> Statement:
    if not isinstance(given, dict):
        raise ValueError("Syntax errors in policy: a Statement must be a JSON object.")
    unknown = given.keys() - _STATEMENT_ELEMENTS
    if unknown:
        raise ValueError(f"Syntax errors in policy: unknown element {sorted(unknown)[0]} in a statement.")
    if given.get("Effect") not in ("Allow", "Deny"):
        raise ValueError(f"The statement's Effect must be Allow or Deny, not {given.get('Effect')!r}.")
    if ("Action" in given) == ("NotAction" in given):
        raise ValueError("Policy statement must contain either Action or NotAction.")
    if "Resource" in given and "NotResource" in given:
        raise ValueError("Policy statement must not contain both Resource and NotResource.")
    actions = _patterns(given.get("Action"), "Action")
    not_actions = _patterns(given.get("NotAction"), "NotAction")
    for action in (*actions, *not_actions):
        if not _ACTION.fullmatch(action):
            raise ValueError(f"Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: {action!r}.")
    tests = given.get("Condition", {})
    if not isinstance(tests, dict) or not all(isinstance(test, dict) for test in tests.values()):
        raise ValueError("Syntax errors in policy: Condition must map operators to keys and values.")
    for operator in tests:
        conditions.check_operator(operator)
    return Statement(
        str(given.get("Sid", "")),
        given["Effect"] == "Allow",
        tuple(action.lower() for action in actions),
        tuple(action.lower() for action in not_actions),
        _patterns(given.get("Resource"), "Resource"),
        _patterns(given.get("NotResource"), "NotResource"),
        _principals(given.get("Principal")),
        _principals(given.get("NotPrincipal")),
        tests,
    )


def _patterns(value: Any, element: str) -> tuple[str, ...]:
    patterns = _listed(value)
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError(f"Syntax errors in policy: {element} must be a string or a list of strings.")
    return tuple(patterns)


def _principals(value: Any) -> Mapping[str, tuple[str, ...]] | None:
    if value is None:
        return None
    if value == "*":
        return {"AWS": ("*",)}
    if not isinstance(value, dict):
        raise ValueError("Invalid principal in policy: it must be * or a JSON object.")
    return {kind: _patterns(names, "Principal") for kind, names in value.items()}


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _outcome(
    policies: tuple[Policy, ...], action: str, resource: str, context: Context
) -> tuple[Outcome, tuple[str, ...]]:
    allowing: list[str] = []
    for policy in policies:
        for statement in policy.statements:
            if not statement.applies(action, resource, context):
                continue
            if not statement.allow:
                return "explicitDeny", (policy.name,)
            if policy.name not in allowing:
                allowing.append(policy.name)
    return ("allowed" if allowing else "implicitDeny"), tuple(allowing)


def _matches(patterns: tuple[str, ...], text: str, context: Context) -> bool:
    for pattern in patterns:
        if pattern in {"*", text}:
            return True
        if "${" in pattern:
            filled = conditions.substitute(pattern, context)
            if filled is not None and conditions.wildcard(filled).match(text):
                return True
        elif ("*" in pattern or "?" in pattern) and conditions.plain_wildcard(pattern).match(text):
            return True
    return False


def _is_everything(statement: Statement) -> bool:
    return statement.allow and "*" in statement.actions and "*" in statement.resources and not statement.conditions


def _asks_context(statement: Statement) -> bool:
    return bool(statement.conditions) or any(
        "${" in pattern for pattern in (*statement.resources, *statement.not_resources, *statement.actions)
    )


def _about(principal: Principal) -> dict[str, str]:
    """The condition keys that follow from who asks and when."""
    now = SystemClock().now()
    about = {
        "aws:principalaccount": principal.account,
        "aws:principalarn": principal.role_arn if principal.kind == "assumed-role" else principal.arn,
        "aws:principaltype": {"root": "Account", "user": "User"}.get(principal.kind, "AssumedRole"),
        "aws:userid": principal.user_id,
        "aws:currenttime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "aws:epochtime": str(int(now)),
    }
    if principal.kind == "user":
        about["aws:username"] = principal.name
    return about


def _names_of(principal: Principal) -> frozenset[str]:
    """Every way a trust policy may name this principal; its account stands for all of its principals."""
    names = {"*", principal.account, f"arn:{principal.partition}:iam::{principal.account}:root", principal.arn}
    if principal.kind == "assumed-role":
        names.add(principal.role_arn)
    return frozenset(names)


def _names_principal(principals: Mapping[str, tuple[str, ...]], names: frozenset[str]) -> bool:
    return not names.isdisjoint(principals.get("AWS", ()))
