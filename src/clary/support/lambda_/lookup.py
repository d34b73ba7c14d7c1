"""Functions by the names that requests give: found, admitted, changed."""

from collections.abc import Callable
from typing import Any

import orjson

from clary.kernel.auth import policies
from clary.kernel.auth.actions import action_of
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context
from clary.kernel.store import Conflict, Entry
from clary.kernel.store.contract import Change
from clary.support.lambda_ import cards
from clary.support.lambda_.names import Named, is_version, missing, read_name
from clary.support.lambda_.records import LATEST, Function, Version, version_name

TOPIC = "lambda"
_MOST_TRIES = 30

Changed = tuple[Function, list[Change]]


def find(ctx: Context, name: str, qualifier: str | None = None) -> tuple[Named, Entry[Function]]:
    """The function that a request names. Raises ResourceNotFoundException, or AccessDeniedException where its policy
    says so."""
    named = read_name(ctx, name, qualifier)
    return named, get(ctx, named)


def get(ctx: Context, named: Named) -> Entry[Function]:
    entry = ctx.platform.records(Function).within(named.account, named.region).get(named.function)
    if entry is None:
        if named.account != ctx.account:
            raise _denied(ctx, named)
        raise missing(f"Function not found: {named.arn}")
    admit(ctx, named, entry.value.policies)
    return entry


def admit(ctx: Context, named: Named, of: dict[str, dict[str, Any]]) -> None:
    """Raise AccessDeniedException unless the function's policy lets the caller do what it asks.

    In the owner's account only an explicit deny matters here: what IAM allows was decided before.
    """
    policy = of.get(named.qualifier if named.qualifier != LATEST else "")
    foreign = named.account != ctx.account
    if not foreign and (policy is None or ctx.principal.kind == "root"):
        return
    decision = (
        policies.trusts(policy_document(policy), ctx.principal, action_of(ctx.operation), resource=named.arn)
        if policy is not None
        else policies.Decision("implicitDeny")
    )
    if decision.outcome == "explicitDeny" or (foreign and not decision.allowed):
        raise _denied(ctx, named)


def policy_document(policy: dict[str, Any]) -> str:
    """A resource policy as JSON."""
    statements = list(policy["statements"].values())
    return orjson.dumps({"Version": "2012-10-17", "Id": "default", "Statement": statements}).decode()


def version_of(ctx: Context, named: Named, entry: Entry[Function]) -> tuple[str, Function | Version]:
    """The version that a qualifier names, for those who do not invoke: an alias's main one. Raises
    ResourceNotFoundException."""
    number = named.qualifier or LATEST
    alias = entry.value.aliases.get(number)
    if alias is not None:
        number = alias["FunctionVersion"]
    elif not is_version(number):
        raise missing(f"Function not found: {named.arn}")
    if number == LATEST:
        return number, entry.value
    found = version(ctx, named, number)
    if found is None:
        raise missing(f"Function not found: {named.arn}")
    return number, found.value


def version(ctx: Context, named: Named, number: str) -> Entry[Version] | None:
    return ctx.platform.records(Version).within(named.account, named.region).get(version_name(named.function, number))


def versions(ctx: Context, named: Named) -> list[tuple[str, Version]]:
    """The published versions of a function, in order."""
    found = ctx.platform.records(Version).within(named.account, named.region).all(parent=named.function)
    numbered = [(one.name.rpartition(":")[2], one.value) for one in found]
    return sorted(numbered, key=lambda each: int(each[0]))


def latest_published(ctx: Context, named: Named, entry: Entry[Function]) -> Entry[Version] | None:
    """The version that was published last; None when there is none, or when it was deleted."""
    number = entry.value.last_version
    return version(ctx, named, str(number)) if number else None


def change(ctx: Context, named: Named, decide: Callable[[Entry[Function]], Function | Changed]) -> Entry[Function]:
    """Change a function by a function that may run more than once, perhaps with other records in the same write.

    Everyone who invokes it knows of the change when this returns. Raises ResourceNotFoundException.
    """
    table = ctx.platform.records(Function).within(named.account, named.region)
    for _ in range(_MOST_TRIES):
        entry = get(ctx, named)
        decided = decide(entry)
        value, also = decided if isinstance(decided, tuple) else (decided, [])
        if value == entry.value and not also:
            return entry
        try:
            table.replace(entry, value, also=also)
        except Conflict:
            continue
        tell(ctx, named)
        return get(ctx, named)
    raise Conflict(named.arn)


def tell(ctx: Context, named: Named) -> None:
    """Let everyone know that a function's records have changed."""
    cards.publish(ctx.platform, named.account, named.region, named.function)
    ctx.platform.wake(TOPIC, named.key)


def check_revision(wanted: str | None, found: str) -> None:
    """Raise PreconditionFailedException when a request is for another state than there is."""
    if wanted is not None and wanted != found:
        raise AwsError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
            "retrieve the latest Revision Id",
            status=412,
            members={"Type": "User"},
        )


def new_revision() -> str:
    return new_uuid()


def _denied(ctx: Context, named: Named) -> AwsError:
    return AwsError(
        "AccessDeniedException",
        f"User: {ctx.principal.arn} is not authorized to perform: {action_of(ctx.operation)} on resource: {named.arn} "
        "because no resource-based policy allows the action",
        status=403,
    )
