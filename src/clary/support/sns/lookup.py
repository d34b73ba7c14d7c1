"""Topics and subscriptions by the ARNs that requests give, and who may use another account's."""

from clary.kernel.auth import policies
from clary.kernel.core.arns import Arn, parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Platform
from clary.kernel.store import Entry
from clary.support.sns.records import CONFIRMED, Subscription, Topic, topic_arn


def invalid(what: str) -> AwsError:
    return AwsError("InvalidParameter", f"Invalid parameter: {what}")


def not_found(what: str) -> AwsError:
    return AwsError("NotFound", f"{what} does not exist")


def topic_of(ctx: Context, arn: str, *, owner_only: bool = False) -> Entry[Topic]:
    """The topic with this ARN. Raises NotFound, or AuthorizationError where the topic's policy says so."""
    parsed = _parse(arn, "TopicArn", 1)
    if parsed.region != ctx.region:
        raise invalid("TopicArn")
    entry = find_topic(ctx.platform, parsed, parsed.resource)
    if entry is None:
        raise not_found("Topic")
    admit(ctx, entry, owner_only=owner_only)
    return entry


def find_topic(platform: Platform, where: Arn, name: str) -> Entry[Topic] | None:
    return platform.records(Topic).within(where.account, where.region).get(name)


def admit(ctx: Context, topic: Entry[Topic], *, owner_only: bool = False) -> None:
    """Raise AuthorizationError unless the topic's policy lets the caller do what it asks.

    In the owner's account only an explicit deny matters here: what IAM allows was decided before.
    """
    policy = topic.value.attributes.get("Policy")
    foreign = topic.account != ctx.account
    if not foreign and (policy is None or ctx.principal.kind == "root"):
        return
    arn = topic_arn(topic)
    action = f"sns:{ctx.operation.name.removesuffix('Batch')}"
    decision = (
        policies.trusts(policy, ctx.principal, action, resource=arn)
        if policy is not None and not (foreign and owner_only)
        else policies.Decision("implicitDeny")
    )
    if decision.outcome == "explicitDeny" or (foreign and not decision.allowed):
        raise AwsError(
            "AuthorizationError",
            f"User: {ctx.principal.arn} is not authorized to perform: {action} on resource: {arn} because no "
            f"resource-based policy allows the {action} action",
            status=403,
        )


def subscription_of(platform: Platform, arn: str) -> Entry[Subscription]:
    """The subscription with this ARN. Raises NotFound."""
    parsed = _parse(arn, "SubscriptionArn", 2)
    topic, _, name = parsed.resource.rpartition(":")
    entry = platform.records(Subscription).within(parsed.account, parsed.region).get(name)
    if entry is None or entry.value.topic != topic:
        raise not_found("Subscription")
    return entry


def own_subscription(ctx: Context, arn: str) -> Entry[Subscription]:
    """`subscription_of`, which the caller's account or its topic's account must own. Raises AuthorizationError."""
    entry = subscription_of(ctx.platform, arn)
    if ctx.account not in {entry.account, entry.value.owner}:
        raise AwsError("AuthorizationError", "The subscription belongs to another account.", status=403)
    return entry


def subscriptions_of(
    platform: Platform, topic: Entry[Topic], *, confirmed_only: bool = False
) -> list[Entry[Subscription]]:
    table = platform.records(Subscription).within(topic.account, topic.region)
    return table.all(parent=topic.name, status=CONFIRMED if confirmed_only else None)


def delivery_key(entry: Entry[Subscription]) -> str:
    """How the outbox and the reconciler call a subscription."""
    return f"{entry.account}/{entry.region}/{entry.name}"


def _parse(arn: str, what: str, parts: int) -> Arn:
    try:
        parsed = parse_arn(arn)
    except AwsError:
        parsed = None
    if parsed is None or parsed.service != "sns" or len(parsed.resource.split(":")) != parts:
        raise invalid(f"{what} Reason: An ARN must have at least {5 + parts} elements, not {len(arn.split(':'))}")
    return parsed
