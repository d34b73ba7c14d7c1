"""Aliases: names that lead to a version, or to two of them by weight. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.core.ids import new_uuid
from clary.support.lambda_.names import Named, invalid, is_version, missing
from clary.support.lambda_.records import LATEST, Function


def new_alias(name: str, version: str, description: str, routing: Mapping[str, Any]) -> dict[str, Any]:
    """An alias as it is kept. Raises InvalidParameterValueException."""
    if name.isdigit() or name == LATEST:
        raise invalid(f"Alias name {name} is not valid: it must not be a number or $LATEST.")
    if not is_version(version):
        raise invalid(f"FunctionVersion {version} must be a version's number or $LATEST.")
    weights: Mapping[str, float] = routing.get("AdditionalVersionWeights") or {}
    if weights:
        if len(weights) > 1:
            raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
        if LATEST in {version, *weights}:
            raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
        if version in weights:
            raise invalid(
                f"Invalid function version {version}. Function version {version} is already included in routing "
                "configuration."
            )
    return {
        "Name": name,
        "FunctionVersion": version,
        "Description": description,
        "RoutingConfig": {"AdditionalVersionWeights": dict(weights)} if weights else {},
        "RevisionId": new_uuid(),
    }


def alias_of(named: Named, function: Function, name: str) -> dict[str, Any]:
    """The alias of this name. Raises ResourceNotFoundException."""
    found = function.aliases.get(name)
    if found is None:
        raise missing(f"Alias not found: {named._replace(qualifier=name).arn}")
    return found


def alias_document(named: Named, alias: Mapping[str, Any]) -> dict[str, Any]:
    """The AliasConfiguration."""
    shown = {"AliasArn": named._replace(qualifier=alias["Name"]).arn, **alias}
    if not shown["RoutingConfig"]:
        del shown["RoutingConfig"]
    return shown


def with_alias(function: Function, alias: dict[str, Any]) -> Function:
    return replace(function, aliases={**function.aliases, alias["Name"]: alias})


def without_alias(function: Function, name: str) -> Function:
    """The function without an alias, and without what hung on it."""
    if name not in function.aliases:
        return function
    left = [
        {key: value for key, value in mapping.items() if key != name}
        for mapping in (function.aliases, function.policies, function.event_configs, function.provisioned)
    ]
    aliases, policies, event_configs, provisioned = left
    return replace(function, aliases=aliases, policies=policies, event_configs=event_configs, provisioned=provisioned)
