"""Targets of rules: put, remove and list."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.wire import page_asked, page_output, paginate
from clary.support.eventbridge.book import note_change
from clary.support.eventbridge.names import bus_named, get_rule, missing, rule_arn, rule_key, rules_of
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.records import Rule
from clary.support.eventbridge.resources import rule_resource
from clary.support.eventbridge.targets import MOST_TARGETS, check_target


@operation("events", "PutTargets", resource=rule_resource)
def put_targets(
    ctx: Context, Rule: str, Targets: Sequence[Mapping[str, Any]], EventBusName: str | None = None
) -> dict[str, Any]:
    """Add targets to a rule, or set those with the same Id anew; all of them or, where one is wrong, none."""
    bus = bus_named(ctx, EventBusName)
    get_rule(ctx, bus, Rule)
    roles = {target["Id"]: check_target(ctx, target) for target in Targets}

    def change(rule: Any) -> Any:
        targets = {**rule.targets, **{target["Id"]: dict(target) for target in Targets}}
        if len(targets) > MOST_TARGETS:
            raise AwsError(
                "LimitExceededException",
                f"The requested resource exceeds the maximum number allowed: {MOST_TARGETS} targets of a rule.",
            )
        return replace(rule, targets=targets, roles={**rule.roles, **roles})

    if rules_of(ctx.platform, bus).update(rule_key(bus.name, Rule), change) is None:
        raise missing(f"Rule {Rule}")
    note_change(ctx.platform, bus)
    return {"FailedEntryCount": 0, "FailedEntries": []}


@operation("events", "RemoveTargets", resource=rule_resource)
def remove_targets(
    ctx: Context, Rule: str, Ids: Sequence[str], EventBusName: str | None = None, Force: bool = False
) -> dict[str, Any]:
    """Take targets off a rule, with what waits for them; those that it lacks are told."""
    bus = bus_named(ctx, EventBusName)
    entry = get_rule(ctx, bus, Rule)
    gone = set(Ids)
    unknown = [id for id in Ids if id not in entry.value.targets]

    def change(rule: Any) -> Any:
        return replace(
            rule,
            targets={id: target for id, target in rule.targets.items() if id not in gone},
            roles={id: role for id, role in rule.roles.items() if id not in gone},
        )

    rules_of(ctx.platform, bus).update(entry.name, change)
    note_change(ctx.platform, bus)
    for id in gone:
        Outbox(ctx.platform).drop(f"{rule_arn(entry)}|{id}")
    failed = [
        {
            "TargetId": id,
            "ErrorCode": "ResourceNotFoundException",
            "ErrorMessage": f"Rule {Rule} does not have target {id}.",
        }
        for id in unknown
    ]
    return {"FailedEntryCount": len(failed), "FailedEntries": failed}


@operation("events", "ListTargetsByRule", resource=rule_resource)
def list_targets_by_rule(
    ctx: Context, Rule: str, EventBusName: str | None = None, NextToken: str | None = None, Limit: int | None = None
) -> dict[str, Any]:
    """The targets of a rule by Id, as they were put."""
    entry = get_rule(ctx, bus_named(ctx, EventBusName), Rule)
    targets = sorted(entry.value.targets.values(), key=_id)
    return paginate(ctx.operation, {"NextToken": NextToken, "Limit": Limit}, targets, key=_id)


def _id(target: Mapping[str, Any]) -> str:
    return str(target["Id"])


@operation("events", "ListRuleNamesByTarget", resource="rule/*")
def list_rule_names_by_target(
    ctx: Context,
    TargetArn: str,
    EventBusName: str | None = None,
    NextToken: str | None = None,
    Limit: int | None = None,
) -> dict[str, Any]:
    """The names of the rules of a bus that have this target."""
    bus = bus_named(ctx, EventBusName)
    limit, position = page_asked(ctx.operation, {"NextToken": NextToken, "Limit": Limit})
    table = rules_of(ctx.platform, bus)
    names: list[str] = []
    more = False
    for entry in table.scan(after=position, parent=bus.name):
        if not _has(entry.value, TargetArn):
            continue
        if len(names) == limit:
            more = True
            break
        names.append(entry.value.name)
    return page_output(ctx.operation, names, rule_key(bus.name, names[-1]) if more else None)


def _has(rule: Rule, arn: str) -> bool:
    return any(target["Arn"] == arn for target in rule.targets.values())
