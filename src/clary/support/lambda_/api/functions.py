"""Functions: create, change, show, list and delete."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.rooms import Context, operation
from clary.kernel.store import AlreadyExists, Conflict, Entry
from clary.kernel.wire import page_asked, page_output
from clary.support.lambda_ import code as zips
from clary.support.lambda_.configuration import configured, refuse_unsupported, role_of
from clary.support.lambda_.documents import configuration
from clary.support.lambda_.layers import used_layers
from clary.support.lambda_.lookup import change, check_revision, find, new_revision, tell, version, version_of, versions
from clary.support.lambda_.names import (
    Named,
    conflict,
    function_resource,
    invalid,
    is_version,
    missing,
    read_name,
)
from clary.support.lambda_.publishing import published as with_version
from clary.support.lambda_.records import LATEST, Function, Version, version_name
from clary.support.lambda_.tags import checked_tags

_MOST_LISTED = 50


@operation("lambda", "CreateFunction", resource=function_resource)
def create_function(
    ctx: Context,
    *,
    FunctionName: str,
    Role: str,
    Code: Mapping[str, Any],
    Tags: Mapping[str, str] | None = None,
    Publish: bool | None = None,
    Runtime: str | None = None,
    Handler: str | None = None,
    Description: str | None = None,
    Timeout: int | None = None,
    MemorySize: int | None = None,
    VpcConfig: Mapping[str, Any] | None = None,
    PackageType: str | None = None,
    DeadLetterConfig: Mapping[str, Any] | None = None,
    Environment: Mapping[str, Any] | None = None,
    KMSKeyArn: str | None = None,
    TracingConfig: Mapping[str, Any] | None = None,
    Layers: list[str] | None = None,
    FileSystemConfigs: list[Any] | None = None,
    ImageConfig: Mapping[str, Any] | None = None,
    CodeSigningConfigArn: str | None = None,
    Architectures: list[str] | None = None,
    EphemeralStorage: Mapping[str, Any] | None = None,
    SnapStart: Mapping[str, Any] | None = None,
    LoggingConfig: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Add a function, which can be invoked when this answers."""
    named = read_name(ctx, FunctionName)
    if named.account != ctx.account or named.qualifier:
        raise invalid(f"'{FunctionName}' must name a function of your own account, without a qualifier.")
    given = {
        "Runtime": Runtime,
        "Handler": Handler,
        "Description": Description,
        "Timeout": Timeout,
        "MemorySize": MemorySize,
        "VpcConfig": VpcConfig,
        "PackageType": PackageType,
        "DeadLetterConfig": DeadLetterConfig,
        "Environment": Environment,
        "KMSKeyArn": KMSKeyArn,
        "TracingConfig": TracingConfig,
        "FileSystemConfigs": FileSystemConfigs,
        "ImageConfig": ImageConfig,
        "CodeSigningConfigArn": CodeSigningConfigArn,
        "Architectures": Architectures,
        "EphemeralStorage": EphemeralStorage,
        "SnapStart": SnapStart,
        "LoggingConfig": LoggingConfig,
    }
    refuse_unsupported(given)
    layers = used_layers(ctx, Layers or [])
    made = configured(named.function, {}, given) | {"Layers": [layer.reference for layer in layers], "Role": Role}
    role, tags = role_of(ctx, Role), checked_tags(Tags or {})
    if ctx.records(Function).get(named.function) is not None:
        raise conflict(f"Function already exist: {named.function}")
    taken, unzipped = zips.take_code(ctx, Code, "tasks", named.function)
    _check_size(unzipped + sum(layer.unzipped for layer in layers))
    made["CodeUnzipped"] = unzipped
    now = ctx.platform.clock.now()
    function = Function(made, taken, role, new_revision(), now, tags=tags)
    also = []
    if Publish:
        function, insertion = with_version(ctx, named, function, now)
        also = [insertion]
    try:
        entry = ctx.records(Function).create(named.function, function, also=also)
    except AlreadyExists:
        raise conflict(f"Function already exist: {named.function}") from None
    tell(ctx, named)
    return _shown(ctx, named, entry, published_now=bool(Publish))


@operation("lambda", "UpdateFunctionCode", resource=function_resource)
def update_function_code(
    ctx: Context,
    *,
    FunctionName: str,
    ZipFile: bytes | None = None,
    S3Bucket: str | None = None,
    S3Key: str | None = None,
    S3ObjectVersion: str | None = None,
    S3ObjectStorageMode: str | None = None,
    ImageUri: str | None = None,
    Architectures: list[str] | None = None,
    Publish: bool | None = None,
    DryRun: bool | None = None,
    RevisionId: str | None = None,
    SourceKMSKeyArn: str | None = None,
) -> dict[str, Any]:
    """Give `$LATEST` other code. With DryRun, only say whether it would do."""
    named, entry = find(ctx, FunctionName)
    check_revision(RevisionId, entry.value.revision)
    code = {
        "ZipFile": ZipFile,
        "S3Bucket": S3Bucket,
        "S3Key": S3Key,
        "S3ObjectVersion": S3ObjectVersion,
        "S3ObjectStorageMode": S3ObjectStorageMode,
        "ImageUri": ImageUri,
        "SourceKMSKeyArn": SourceKMSKeyArn,
    }
    if DryRun:
        data, _ = zips.offered(ctx, code)
        tried = replace(entry.value, code=zips.digest(data))
        return configuration(entry, tried, LATEST)
    taken, unzipped = zips.take_code(ctx, code, "tasks", named.function)
    _check_size(unzipped + sum(layer["Unzipped"] for layer in entry.value.configuration.get("Layers", ())))

    def decide(entry: Entry[Function]) -> Any:
        check_revision(RevisionId, entry.value.revision)
        now = ctx.platform.clock.now()
        made = {**entry.value.configuration, "CodeUnzipped": unzipped}
        if Architectures:
            made["Architectures"] = Architectures
        after = replace(entry.value, code=taken, configuration=made, revision=new_revision(), modified_at=now)
        if not Publish:
            return after
        after, insertion = with_version(ctx, named, after, now)
        return after, [insertion]

    return _shown(ctx, named, change(ctx, named, decide), published_now=bool(Publish))


@operation("lambda", "UpdateFunctionConfiguration", resource=function_resource)
def update_function_configuration(
    ctx: Context,
    *,
    FunctionName: str,
    Role: str | None = None,
    Handler: str | None = None,
    Description: str | None = None,
    Timeout: int | None = None,
    MemorySize: int | None = None,
    VpcConfig: Mapping[str, Any] | None = None,
    Environment: Mapping[str, Any] | None = None,
    Runtime: str | None = None,
    DeadLetterConfig: Mapping[str, Any] | None = None,
    KMSKeyArn: str | None = None,
    TracingConfig: Mapping[str, Any] | None = None,
    RevisionId: str | None = None,
    Layers: list[str] | None = None,
    FileSystemConfigs: list[Any] | None = None,
    ImageConfig: Mapping[str, Any] | None = None,
    EphemeralStorage: Mapping[str, Any] | None = None,
    SnapStart: Mapping[str, Any] | None = None,
    LoggingConfig: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Change how `$LATEST` runs; what is not given stays."""
    named, _ = find(ctx, FunctionName)
    given = {
        "Handler": Handler,
        "Description": Description,
        "Timeout": Timeout,
        "MemorySize": MemorySize,
        "VpcConfig": VpcConfig,
        "Environment": Environment,
        "Runtime": Runtime,
        "DeadLetterConfig": DeadLetterConfig,
        "KMSKeyArn": KMSKeyArn,
        "TracingConfig": TracingConfig,
        "FileSystemConfigs": FileSystemConfigs,
        "ImageConfig": ImageConfig,
        "EphemeralStorage": EphemeralStorage,
        "SnapStart": SnapStart,
        "LoggingConfig": LoggingConfig,
    }
    refuse_unsupported(given)
    layers = None if Layers is None else used_layers(ctx, Layers)
    role = None if Role is None else role_of(ctx, Role)

    def decide(entry: Entry[Function]) -> Function:
        check_revision(RevisionId, entry.value.revision)
        made = configured(named.function, entry.value.configuration, given)
        if layers is not None:
            made["Layers"] = [layer.reference for layer in layers]
        if Role is not None:
            made["Role"] = Role
        _check_size(made["CodeUnzipped"] + sum(layer["Unzipped"] for layer in made.get("Layers", ())))
        return replace(
            entry.value,
            configuration=made,
            role=role or entry.value.role,
            revision=new_revision(),
            modified_at=ctx.platform.clock.now(),
        )

    return _shown(ctx, named, change(ctx, named, decide))


@operation("lambda", "GetFunction", resource=function_resource)
def get_function(ctx: Context, FunctionName: str, Qualifier: str | None = None) -> dict[str, Any]:
    """The configuration of a function, and a URL of its code that is good for ten minutes."""
    named, entry = find(ctx, FunctionName, Qualifier)
    number, value = version_of(ctx, named, entry)
    found: dict[str, Any] = {
        "Configuration": configuration(entry, value, number, qualifier=named.qualifier),
        "Code": {"RepositoryType": "S3", "Location": zips.location(ctx, value.code)},
    }
    if entry.value.tags:
        found["Tags"] = entry.value.tags
    if entry.value.reserved is not None:
        found["Concurrency"] = {"ReservedConcurrentExecutions": entry.value.reserved}
    return found


@operation("lambda", "GetFunctionConfiguration", resource=function_resource)
def get_function_configuration(ctx: Context, FunctionName: str, Qualifier: str | None = None) -> dict[str, Any]:
    """The configuration of a function's version."""
    named, entry = find(ctx, FunctionName, Qualifier)
    number, value = version_of(ctx, named, entry)
    return configuration(entry, value, number, qualifier=named.qualifier)


@operation("lambda", "ListFunctions")
def list_functions(
    ctx: Context,
    MasterRegion: str | None = None,
    FunctionVersion: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    """The functions of the account in the region, by name; with FunctionVersion `ALL`, all their versions."""
    if MasterRegion not in {None, "ALL", ctx.region}:
        raise invalid(f"MasterRegion {MasterRegion} is not supported by Clary: there are no functions of the edge.")
    limit, position = page_asked(ctx.operation, {"Marker": Marker, "MaxItems": MaxItems}, _MOST_LISTED)
    page = ctx.records(Function).page(min(limit, _MOST_LISTED), position)
    shown = []
    for entry in page:
        shown.append(configuration(entry, entry.value, LATEST))
        if FunctionVersion == "ALL":
            of = Named(entry.account, entry.region, entry.name)
            shown += [configuration(entry, one, number, qualifier=number) for number, one in versions(ctx, of)]
    return page_output(ctx.operation, shown, page.next_token)


@operation("lambda", "DeleteFunction", resource=function_resource)
def delete_function(ctx: Context, FunctionName: str, Qualifier: str | None = None) -> dict[str, Any]:
    """Remove a function with its versions and aliases, or one version of it."""
    named, _ = find(ctx, FunctionName, Qualifier)
    if named.qualifier and named.qualifier != LATEST:
        _delete_version(ctx, named)
        return {"StatusCode": 204}
    if named.qualifier == LATEST:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    table = ctx.platform.records(Function).within(named.account, named.region)
    published = ctx.platform.records(Version).within(named.account, named.region)
    while (found := table.get(named.function)) is not None:
        also = [published.deletion(one.name) for one in published.all(parent=named.function)]
        with contextlib.suppress(Conflict):  # it has just been changed: look again
            table.delete(named.function, version=found.version, also=also)
    tell(ctx, named)
    return {"StatusCode": 204}


def _delete_version(ctx: Context, named: Named) -> None:
    if not is_version(named.qualifier):
        raise invalid("Deletion of aliases is not currently supported: use DeleteAlias.")
    if version(ctx, named, named.qualifier) is None:
        raise missing(f"Function not found: {named.arn}")

    def decide(entry: Entry[Function]) -> Any:
        users = [
            name
            for name, alias in entry.value.aliases.items()
            if named.qualifier == alias["FunctionVersion"]
            or named.qualifier in ((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})
        ]
        if users:
            raise conflict(
                f"An alias is pointing at version {named.qualifier} of {named.function}: delete or change "
                f"{', '.join(users)} first."
            )
        value = replace(
            entry.value,
            policies=_without(entry.value.policies, named.qualifier),
            event_configs=_without(entry.value.event_configs, named.qualifier),
            provisioned=_without(entry.value.provisioned, named.qualifier),
        )
        table = ctx.platform.records(Version).within(named.account, named.region)
        return value, [table.deletion(version_name(named.function, named.qualifier))]

    change(ctx, named._replace(qualifier=""), decide)


def _without(by_qualifier: Mapping[str, Any], qualifier: str) -> dict[str, Any]:
    return {key: value for key, value in by_qualifier.items() if key != qualifier}


def _shown(ctx: Context, named: Named, entry: Entry[Function], *, published_now: bool = False) -> dict[str, Any]:
    if not published_now:
        return configuration(entry, entry.value, LATEST)
    number = str(entry.value.last_version)
    found = version(ctx, named, number)
    assert found is not None
    return configuration(entry, found.value, number, qualifier=number)


def _check_size(size: int) -> None:
    if size > zips.MOST_UNZIPPED_BYTES:
        raise invalid(
            f"Function code combined with layers exceeds the maximum allowed size of {zips.MOST_UNZIPPED_BYTES} bytes. "
            f"The actual size is {size} bytes."
        )
