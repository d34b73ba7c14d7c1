"""What authorisation asks about: the ARNs that requests name."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.rooms import Context
from clary.support.eventbridge.names import read_bus
from clary.support.eventbridge.records import DEFAULT_BUS


def rule_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """The rule that a request names, of the bus that it names."""
    name = params.get("Rule") or params["Name"]
    bus = read_bus(ctx, params.get("EventBusName")).name
    return f"rule/{name}" if bus == DEFAULT_BUS else f"rule/{bus}/{name}"


def bus_resource(ctx: Context, params: Mapping[str, Any]) -> str:
    """The bus that a request names."""
    return read_bus(ctx, params.get("EventBusName") or params.get("Name")).arn


def buses_put_to(ctx: Context, params: Mapping[str, Any]) -> str:
    """The bus that all entries are for; where they differ, all buses."""
    arns = {read_bus(ctx, entry.get("EventBusName")).arn for entry in params["Entries"]}
    return arns.pop() if len(arns) == 1 else "event-bus/*"
