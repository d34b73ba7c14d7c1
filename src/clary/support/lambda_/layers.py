"""Layers by their ARNs, and what functions keep of those they use."""

import re
from typing import Any, NamedTuple

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.support.lambda_.names import invalid, missing
from clary.support.lambda_.records import LayerVersion

_CALLED = re.compile(r"(?:arn:aws[a-z-]*:lambda:([a-z0-9-]+):(\d{12}):layer:)?([a-zA-Z0-9-_]+)(?::(\d+))?")


class Used(NamedTuple):
    """A layer's version as a function uses it: deleting the version later takes nothing from the function."""

    reference: dict[str, Any]
    unzipped: int


def read_layer(ctx: Context, name: str, number: int | None = None) -> tuple[str, str, str]:
    """The account, name and version (empty for none) of a layer that is called by its name or an ARN. Raises
    InvalidParameterValueException."""
    found = _CALLED.fullmatch(name)
    if found is None:
        raise invalid(f"'{name[:200]}' names no layer: give its name or its ARN.")
    region, account, layer, inside = found.groups()
    if region and region != ctx.region:
        raise missing(f"Layers of '{region}' are not reachable in this region ('{ctx.region}')")
    return account or ctx.account, layer, str(number) if number is not None else inside or ""


def layer_version(ctx: Context, account: str, layer: str, number: str) -> Entry[LayerVersion]:
    """A version of a layer. Raises ResourceNotFoundException; AccessDeniedException for another account's."""
    if account != ctx.account:
        raise AwsError(
            "AccessDeniedException",
            f"The layer {layer} belongs to account {account}, and layers are not shared between accounts.",
            status=403,
        )
    entry = ctx.records(LayerVersion).get(f"{layer}:{number}")
    if entry is None:
        raise missing("The resource you requested does not exist.")
    return entry


def layer_arn(ctx: Context, layer: str, number: str = "") -> str:
    tail = f":{number}" if number else ""
    return ctx.arn(f"layer:{layer}{tail}", service="lambda")


def used_layers(ctx: Context, arns: list[str]) -> list[Used]:
    """What a function keeps of the layers it names. Raises InvalidParameterValueException."""
    found, seen = [], set()
    for arn in arns:
        account, layer, number = read_layer(ctx, arn)
        if not number or not arn.startswith("arn:"):
            raise invalid(f"Layer {arn} must be the ARN of a layer's version.")
        if layer in seen:
            raise invalid(f"Two different versions of the same layer are not allowed to be referenced: {layer}")
        seen.add(layer)
        try:
            entry = layer_version(ctx, account, layer, number)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            raise invalid(f"Layer version {arn} does not exist.") from None
        reference = {
            "Arn": arn,
            "CodeSize": entry.value.code["size"],
            "Uri": entry.value.code["uri"],
            "Unzipped": entry.value.unzipped,
        }
        found.append(Used(reference, entry.value.unzipped))
    return found
