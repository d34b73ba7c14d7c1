"""A function's policy, statement by statement, and its tags."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.support.lambda_.lookup import change, check_revision, find, new_revision, policy_document, version_of
from clary.support.lambda_.names import Named, conflict, function_resource, invalid, missing, read_name
from clary.support.lambda_.records import LATEST, Function
from clary.support.lambda_.tags import checked_tags


@operation("lambda", "AddPermission", resource=function_resource)
def add_permission(
    ctx: Context,
    *,
    FunctionName: str,
    StatementId: str,
    Action: str,
    Principal: str,
    SourceArn: str | None = None,
    SourceAccount: str | None = None,
    EventSourceToken: str | None = None,
    Qualifier: str | None = None,
    RevisionId: str | None = None,
    PrincipalOrgID: str | None = None,
) -> dict[str, Any]:
    """Let a service or another account use a function, or one of its versions or aliases."""
    if EventSourceToken:
        raise invalid("EventSourceToken is not supported by Clary: it is for Alexa skills. Leave it out.")
    named, entry = find(ctx, FunctionName, Qualifier)
    version_of(ctx, named, entry)
    statement = {
        "Sid": StatementId,
        "Effect": "Allow",
        "Principal": _principal(ctx, Principal),
        "Action": Action,
        "Resource": named.arn,
    }
    conditions: dict[str, dict[str, str]] = {}
    if SourceAccount:
        conditions.setdefault("StringEquals", {})["AWS:SourceAccount"] = SourceAccount
    if PrincipalOrgID:
        conditions.setdefault("StringEquals", {})["aws:PrincipalOrgID"] = PrincipalOrgID
    if SourceArn:
        conditions["ArnLike"] = {"AWS:SourceArn": SourceArn}
    if conditions:
        statement["Condition"] = conditions

    def decide(entry: Entry[Function]) -> Function:
        policy = _policy(named, entry)
        if RevisionId is not None:
            check_revision(RevisionId, policy["revision"])
        if StatementId in policy["statements"]:
            raise conflict(
                f"The statement id ({StatementId}) provided already exists. Please provide a new statement id, or "
                "remove the existing statement."
            )
        statements = {**policy["statements"], StatementId: statement}
        return _with_policy(named, entry.value, statements)

    change(ctx, named._replace(qualifier=""), decide)
    return {"Statement": orjson.dumps(statement).decode()}


@operation("lambda", "RemovePermission", resource=function_resource)
def remove_permission(
    ctx: Context, FunctionName: str, StatementId: str, Qualifier: str | None = None, RevisionId: str | None = None
) -> None:
    """Take a statement out of a function's policy."""
    named, _ = find(ctx, FunctionName, Qualifier)

    def decide(entry: Entry[Function]) -> Function:
        policy = _policy(named, entry)
        if StatementId not in policy["statements"]:
            raise missing(f"Statement {StatementId} is not found in resource policy.")
        if RevisionId is not None:
            check_revision(RevisionId, policy["revision"])
        statements = {key: one for key, one in policy["statements"].items() if key != StatementId}
        return _with_policy(named, entry.value, statements)

    change(ctx, named._replace(qualifier=""), decide)


@operation("lambda", "GetPolicy", resource=function_resource)
def get_policy(ctx: Context, FunctionName: str, Qualifier: str | None = None) -> dict[str, Any]:
    """The policy of a function, or of one of its versions or aliases."""
    named, entry = find(ctx, FunctionName, Qualifier)
    policy = _policy(named, entry)
    if not policy["statements"]:
        raise missing("The resource you requested does not exist.")
    return {"Policy": policy_document(policy), "RevisionId": policy["revision"]}


def _tagged(ctx: Context, params: Mapping[str, Any]) -> str:
    return str(params["Resource"])


@operation("lambda", "ListTags", resource=_tagged)
def list_tags(ctx: Context, Resource: str) -> dict[str, Any]:
    """The tags of a function."""
    _, entry = find(ctx, _function(ctx, Resource).arn)
    return {"Tags": entry.value.tags}


@operation("lambda", "TagResource", resource=_tagged)
def tag_resource(ctx: Context, Resource: str, Tags: Mapping[str, str]) -> None:
    """Add tags to a function, over values of the same key."""
    named = _function(ctx, Resource)
    change(ctx, named, lambda entry: replace(entry.value, tags=checked_tags({**entry.value.tags, **Tags})))


@operation("lambda", "UntagResource", resource=_tagged)
def untag_resource(ctx: Context, Resource: str, TagKeys: list[str]) -> None:
    """Take tags off a function; keys it lacks are no error."""
    named = _function(ctx, Resource)

    def decide(entry: Entry[Function]) -> Function:
        return replace(entry.value, tags={key: one for key, one in entry.value.tags.items() if key not in TagKeys})

    change(ctx, named, decide)


def _function(ctx: Context, arn: str) -> Named:
    if ":function:" not in arn:
        raise invalid(f"Clary keeps tags of functions only; {arn} is the ARN of something else.")
    named = read_name(ctx, arn)
    if named.qualifier:
        raise invalid("Tags on function aliases and versions are not supported. Please specify either a function ARN.")
    return named


def _principal(ctx: Context, text: str) -> Any:
    if text == "*":
        return "*"
    if text.isdigit() and len(text) == 12:
        return {"AWS": f"arn:{ctx.partition}:iam::{text}:root"}
    if text.startswith("arn:"):
        return {"AWS": text}
    if "." in text:
        return {"Service": text}
    raise invalid(f"The provided principal was invalid: {text}. Give an account, an ARN, or a service's name.")


def _policy(named: Named, entry: Entry[Function]) -> dict[str, Any]:
    return entry.value.policies.get(_place(named)) or {"statements": {}, "revision": entry.value.revision}


def _with_policy(named: Named, function: Function, statements: dict[str, Any]) -> Function:
    policies = {key: one for key, one in function.policies.items() if key != _place(named)}
    if statements:
        policies[_place(named)] = {"statements": statements, "revision": new_revision()}
    return replace(function, policies=policies)


def _place(named: Named) -> str:
    return "" if named.qualifier == LATEST else named.qualifier
