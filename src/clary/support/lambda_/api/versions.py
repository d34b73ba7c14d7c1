"""Versions and aliases: `$LATEST` kept for good under a number, and names that lead to such numbers."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.store import Entry
from clary.kernel.wire import paginate
from clary.support.lambda_.aliases import alias_document, alias_of, new_alias, with_alias, without_alias
from clary.support.lambda_.documents import configuration
from clary.support.lambda_.lookup import change, check_revision, find, latest_published, version, versions
from clary.support.lambda_.names import Named, conflict, function_resource, invalid, missing
from clary.support.lambda_.publishing import published, same
from clary.support.lambda_.records import LATEST, Function

_MOST_LISTED = 50


@operation("lambda", "PublishVersion", resource=function_resource)
def publish_version(
    ctx: Context,
    FunctionName: str,
    CodeSha256: str | None = None,
    Description: str | None = None,
    RevisionId: str | None = None,
) -> dict[str, Any]:
    """Keep `$LATEST` as it is now under the next number; when nothing changed since the last, answer that one."""
    named, _ = find(ctx, FunctionName)

    def decide(entry: Entry[Function]) -> Any:
        check_revision(RevisionId, entry.value.revision)
        if CodeSha256 is not None and CodeSha256 != entry.value.code["sha256"]:
            raise invalid(
                f"CodeSHA256 ({CodeSha256}) is different from current CodeSHA256 in $LATEST "
                f"({entry.value.code['sha256']}). Please try again with the CodeSHA256 in $LATEST."
            )
        last = latest_published(ctx, named, entry)
        if last is not None and same(entry.value, last.value, Description):
            return entry.value
        after, insertion = published(ctx, named, entry.value, ctx.platform.clock.now(), Description)
        return after, [insertion]

    entry = change(ctx, named._replace(qualifier=""), decide)
    number = str(entry.value.last_version)
    found = latest_published(ctx, named, entry)
    if found is None:
        raise missing(f"Function not found: {named.arn}")
    return configuration(entry, found.value, number, qualifier=number)


@operation("lambda", "ListVersionsByFunction", resource=function_resource)
def list_versions_by_function(
    ctx: Context, FunctionName: str, Marker: str | None = None, MaxItems: int | None = None
) -> dict[str, Any]:
    """`$LATEST` and all published versions, in order."""
    named, entry = find(ctx, FunctionName)
    shown = [configuration(entry, entry.value, LATEST, qualifier=LATEST)]
    shown += [configuration(entry, value, number, qualifier=number) for number, value in versions(ctx, named)]
    asked = {"Marker": Marker, "MaxItems": min(MaxItems or _MOST_LISTED, _MOST_LISTED)}
    return paginate(ctx.operation, asked, shown, default=_MOST_LISTED)


@operation("lambda", "CreateAlias", resource=function_resource)
def create_alias(
    ctx: Context,
    FunctionName: str,
    Name: str,
    FunctionVersion: str,
    Description: str | None = None,
    RoutingConfig: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Give a version, or two by weights, a name."""
    named, _ = find(ctx, FunctionName)
    made = new_alias(Name, FunctionVersion, Description or "", RoutingConfig or {})

    def decide(entry: Entry[Function]) -> Function:
        if Name in entry.value.aliases:
            raise conflict(f"Alias already exists: {named.arn}:{Name}")
        _check_versions(ctx, named, made)
        return with_alias(entry.value, made)

    change(ctx, named, decide)
    return alias_document(named, made)


@operation("lambda", "UpdateAlias", resource=function_resource)
def update_alias(
    ctx: Context,
    FunctionName: str,
    Name: str,
    FunctionVersion: str | None = None,
    Description: str | None = None,
    RoutingConfig: Mapping[str, Any] | None = None,
    RevisionId: str | None = None,
) -> dict[str, Any]:
    """Have an alias lead elsewhere; what is not given stays."""
    named, _ = find(ctx, FunctionName)

    def decide(entry: Entry[Function]) -> Function:
        before = alias_of(named, entry.value, Name)
        check_revision(RevisionId, before["RevisionId"])
        made = new_alias(
            Name,
            FunctionVersion or before["FunctionVersion"],
            before["Description"] if Description is None else Description,
            before["RoutingConfig"] if RoutingConfig is None else RoutingConfig,
        )
        _check_versions(ctx, named, made)
        return with_alias(entry.value, made)

    return alias_document(named, alias_of(named, change(ctx, named, decide).value, Name))


@operation("lambda", "GetAlias", resource=function_resource)
def get_alias(ctx: Context, FunctionName: str, Name: str) -> dict[str, Any]:
    """Where an alias leads."""
    named, entry = find(ctx, FunctionName)
    return alias_document(named, alias_of(named, entry.value, Name))


@operation("lambda", "ListAliases", resource=function_resource)
def list_aliases(
    ctx: Context,
    FunctionName: str,
    FunctionVersion: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    """A function's aliases by name, or those that lead to one version."""
    named, entry = find(ctx, FunctionName)
    shown = [
        alias_document(named, alias)
        for _, alias in sorted(entry.value.aliases.items())
        if FunctionVersion in {None, alias["FunctionVersion"]}
    ]
    return paginate(ctx.operation, {"Marker": Marker, "MaxItems": MaxItems}, shown, key=lambda alias: alias["Name"])


@operation("lambda", "DeleteAlias", resource=function_resource)
def delete_alias(ctx: Context, FunctionName: str, Name: str) -> None:
    """Take an alias away; one that is not there is no error."""
    named, _ = find(ctx, FunctionName)
    change(ctx, named, lambda entry: without_alias(entry.value, Name))


def _check_versions(ctx: Context, named: Named, alias: Mapping[str, Any]) -> None:
    weights = alias["RoutingConfig"].get("AdditionalVersionWeights") or {}
    for number in (alias["FunctionVersion"], *weights):
        if number != LATEST and version(ctx, named, number) is None:
            raise missing(f"Function not found: {named._replace(qualifier=number).arn}")
