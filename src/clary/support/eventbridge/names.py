"""Buses and rules by the names and ARNs that requests give, and who may use another account's."""

from typing import NamedTuple

import orjson

from clary.kernel.auth import policies
from clary.kernel.core.arns import parse_arn, partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Platform
from clary.kernel.store import Entry, Table
from clary.support.eventbridge.records import DEFAULT_BUS, EventBus, Rule


class Bus(NamedTuple):
    """Where a bus is."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:events:{self.region}:{self.account}:event-bus/{self.name}"

    @property
    def key(self) -> str:
        return f"{self.account}/{self.region}/{self.name}"


def missing(what: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"{what} does not exist.")


def read_bus(ctx: Context, given: str | None) -> Bus:
    """The bus that a name, an ARN or nothing means; whether it is there was not looked at."""
    if not given:
        return Bus(ctx.account, ctx.region, DEFAULT_BUS)
    if not given.startswith("arn:"):
        return Bus(ctx.account, ctx.region, given)
    arn = parse_arn(given)
    return Bus(arn.account, arn.region, arn.resource_name)


def bus_named(ctx: Context, given: str | None) -> Bus:
    """The caller's own bus. Raises ResourceNotFoundException, or AccessDeniedException for another account's."""
    bus = read_bus(ctx, given)
    if bus.account != ctx.account:
        raise AwsError(
            "AccessDeniedException", f"{ctx.principal.arn} may not change {bus.arn}: it is another account's."
        )
    if find_bus(ctx.platform, bus) is None:
        raise missing(f"Event bus {bus.name}")
    return bus


def find_bus(platform: Platform, bus: Bus) -> EventBus | None:
    entry = platform.records(EventBus).within(bus.account, bus.region).get(bus.name)
    if entry is None:
        return EventBus() if bus.name == DEFAULT_BUS else None
    return entry.value


def policy_of(found: EventBus) -> str:
    """A bus's policy as JSON; empty when it has none."""
    if not found.statements:
        return ""
    return orjson.dumps({"Version": "2012-10-17", "Statement": list(found.statements.values())}).decode()


def admits(ctx: Context, bus: Bus, found: EventBus, action: str) -> bool:
    """Whether a bus lets the caller do this: its own account's callers unless its policy denies it, others when the
    policy allows it."""
    policy = policy_of(found)
    own = bus.account == ctx.account
    if not policy:
        return own
    decision = policies.trusts(policy, ctx.principal, action, resource=bus.arn)
    return decision.allowed or (own and decision.outcome != "explicitDeny")


def rules_of(platform: Platform, bus: Bus) -> Table[Rule]:
    return platform.records(Rule).within(bus.account, bus.region)


def rule_key(bus: str, name: str) -> str:
    return f"{bus}|{name}"


def rule_arn(entry: Entry[Rule]) -> str:
    """Rules of the default bus have no bus in their ARN."""
    rule = entry.value
    name = rule.name if rule.bus == DEFAULT_BUS else f"{rule.bus}/{rule.name}"
    return f"arn:{partition_of(entry.region)}:events:{entry.region}:{entry.account}:rule/{name}"


def get_rule(ctx: Context, bus: Bus, name: str) -> Entry[Rule]:
    """A rule of a bus. Raises ResourceNotFoundException."""
    entry = rules_of(ctx.platform, bus).get(rule_key(bus.name, name))
    if entry is None:
        raise missing(f"Rule {name}")
    return entry
