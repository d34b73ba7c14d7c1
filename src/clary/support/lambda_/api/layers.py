"""Layers: folders that functions find below /opt, published version by version."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.store import AlreadyExists, Entry
from clary.kernel.wire import paginate
from clary.support.lambda_ import code as zips
from clary.support.lambda_.documents import stamp
from clary.support.lambda_.layers import layer_arn, layer_version, read_layer
from clary.support.lambda_.names import invalid, missing
from clary.support.lambda_.records import Layer, LayerVersion

_LONGEST_NAME = 140


def _layer_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    name, number = params["LayerName"], params.get("VersionNumber")
    try:
        _, layer, inside = read_layer(ctx, name, number)
    except AwsError:  # the handler will say so to whoever may ask at all
        return layer_arn(ctx, name)
    return layer_arn(ctx, layer, inside)


@operation("lambda", "PublishLayerVersion", resource=_layer_resource)
def publish_layer_version(
    ctx: Context,
    LayerName: str,
    Content: Mapping[str, Any],
    Description: str | None = None,
    CompatibleArchitectures: list[str] | None = None,
    CompatibleRuntimes: list[str] | None = None,
    LicenseInfo: str | None = None,
) -> dict[str, Any]:
    """Add a version to a layer, which is new with its first."""
    account, layer, number = read_layer(ctx, LayerName)
    if account != ctx.account or number or len(layer) > _LONGEST_NAME:
        raise invalid(f"'{LayerName}' must name a layer of your own account, without a version.")
    taken, unzipped = zips.take_code(ctx, Content, "layers", layer)
    given = {
        "Description": Description or "",
        "CompatibleArchitectures": CompatibleArchitectures,
        "CompatibleRuntimes": CompatibleRuntimes,
        "LicenseInfo": LicenseInfo,
    }
    members = {name: value for name, value in given.items() if value is not None}
    made = LayerVersion(members, taken, unzipped, ctx.platform.clock.now())
    number = str(_next_number(ctx, layer))
    entry = ctx.records(LayerVersion).create(f"{layer}:{number}", made, parent=layer)
    return _document(ctx, entry)


@operation("lambda", "GetLayerVersion", resource=_layer_resource)
def get_layer_version(ctx: Context, LayerName: str, VersionNumber: int) -> dict[str, Any]:
    """A version of a layer, with a URL of its zip that is good for ten minutes."""
    return _document(ctx, layer_version(ctx, *read_layer(ctx, LayerName, VersionNumber)))


@operation("lambda", "GetLayerVersionByArn", resource="{Arn}")
def get_layer_version_by_arn(ctx: Context, Arn: str) -> dict[str, Any]:
    """`GetLayerVersion` for those who have the version's ARN."""
    return _document(ctx, layer_version(ctx, *read_layer(ctx, Arn)))


@operation("lambda", "ListLayerVersions", resource=_layer_resource)
def list_layer_versions(
    ctx: Context,
    LayerName: str,
    CompatibleArchitecture: str | None = None,
    CompatibleRuntime: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    """The versions of a layer, newest first."""
    account, layer, _ = read_layer(ctx, LayerName)
    if account != ctx.account:
        raise missing("The resource you requested does not exist.")
    found = [one for one in _versions(ctx, layer) if _suits(one, CompatibleArchitecture, CompatibleRuntime)]
    shown = [_listed(ctx, one) for one in found]
    asked = {"Marker": Marker, "MaxItems": MaxItems}
    return paginate(ctx.operation, asked, shown, key=lambda one: -one["Version"], default=50)


@operation("lambda", "ListLayers")
def list_layers(
    ctx: Context,
    CompatibleArchitecture: str | None = None,
    CompatibleRuntime: str | None = None,
    Marker: str | None = None,
    MaxItems: int | None = None,
) -> dict[str, Any]:
    """The account's layers by name, each with its newest version."""
    newest: dict[str, Entry[LayerVersion]] = {}
    for one in ctx.records(LayerVersion).all():
        before = newest.get(one.parent)
        if _suits(one, CompatibleArchitecture, CompatibleRuntime) and (
            before is None or _number(before) < _number(one)
        ):
            newest[one.parent] = one
    shown = [
        {"LayerName": name, "LayerArn": layer_arn(ctx, name), "LatestMatchingVersion": _listed(ctx, one)}
        for name, one in sorted(newest.items())
    ]
    asked = {"Marker": Marker, "MaxItems": MaxItems}
    return paginate(ctx.operation, asked, shown, key=lambda one: one["LayerName"], default=50)


@operation("lambda", "DeleteLayerVersion", resource=_layer_resource)
def delete_layer_version(ctx: Context, LayerName: str, VersionNumber: int) -> None:
    """Take a version away; functions that use it keep it, and one that is not there is no error."""
    account, layer, number = read_layer(ctx, LayerName, VersionNumber)
    if account == ctx.account:
        ctx.records(LayerVersion).delete(f"{layer}:{number}")


def _next_number(ctx: Context, layer: str) -> int:
    table = ctx.records(Layer)
    while True:
        entry = table.update(layer, lambda before: Layer(before.last_version + 1))
        if entry is not None:
            return entry.value.last_version
        try:
            return table.create(layer, Layer(1)).value.last_version
        except AlreadyExists:
            continue


def _versions(ctx: Context, layer: str) -> list[Entry[LayerVersion]]:
    return sorted(ctx.records(LayerVersion).all(parent=layer), key=_number, reverse=True)


def _number(entry: Entry[LayerVersion]) -> int:
    return int(entry.name.rpartition(":")[2])


def _suits(entry: Entry[LayerVersion], architecture: str | None, runtime: str | None) -> bool:
    members = entry.value.members
    return (architecture is None or architecture in (members.get("CompatibleArchitectures") or [architecture])) and (
        runtime is None or runtime in (members.get("CompatibleRuntimes") or [])
    )


def _listed(ctx: Context, entry: Entry[LayerVersion]) -> dict[str, Any]:
    number = _number(entry)
    return {
        "LayerVersionArn": layer_arn(ctx, entry.parent, str(number)),
        "Version": number,
        "CreatedDate": stamp(entry.value.created_at),
        **entry.value.members,
    }


def _document(ctx: Context, entry: Entry[LayerVersion]) -> dict[str, Any]:
    code = entry.value.code
    return {
        "LayerArn": layer_arn(ctx, entry.parent),
        "Content": {
            "Location": zips.location(ctx, code),
            "CodeSha256": code["sha256"],
            "CodeSize": code["size"],
        },
        **_listed(ctx, entry),
    }
