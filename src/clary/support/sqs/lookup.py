"""Queues by the URLs, names and ARNs that requests give, and who may use another account's."""

import re

from clary.kernel.auth import policies
from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.kv import KeyValue, Snapshot
from clary.kernel.rooms import Context, Platform
from clary.support.sqs.keys import queue_key
from clary.support.sqs.records import Queue, read_queue

_ACCOUNT = re.compile(r"\d{12}")


def invalid_value(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)


def no_queue() -> AwsError:
    return AwsError("QueueDoesNotExist", "The specified queue does not exist.")


def domain(platform: Platform) -> KeyValue:
    return platform.kv("sqs")


def url_of(ctx: Context, queue: Queue) -> str:
    return f"{ctx.endpoint or ctx.platform.endpoint}/{queue.account}/{queue.name}"


def key_of_arn(arn: str) -> bytes:
    """Where the queue with this ARN is kept. Raises ValidationException when it is no ARN."""
    parsed = parse_arn(arn)
    return queue_key(parsed.account, parsed.region, parsed.resource)


def read(snapshot: Snapshot | KeyValue, key: bytes) -> Queue:
    """The queue kept at `key`. Raises QueueDoesNotExist."""
    data = snapshot.get(key)
    if data is None:
        raise no_queue()
    return read_queue(data)


def find(ctx: Context, url: str, *, owner_only: bool = False) -> tuple[bytes, Queue]:
    """The queue with this URL, and where it is kept. Host and port are not looked at: a server may have many names.

    Raises QueueDoesNotExist, or AccessDenied where the queue's policy says so; what only its owner may do is refused
    to other accounts.
    """
    parts = url.rsplit("/", 2)  # as authorisation reads it: whatever else an URL may hold must not name another queue
    if len(parts) < 2 or not parts[-1]:
        raise AwsError("InvalidAddress", f"The address {url[:200]!r} is not valid for this endpoint.")
    account = parts[-2] if _ACCOUNT.fullmatch(parts[-2]) else ctx.account
    key = queue_key(account, ctx.region, parts[-1])
    queue = read(domain(ctx.platform), key)
    admit(ctx, queue, owner_only=owner_only)
    return key, queue


def admit(ctx: Context, queue: Queue, *, owner_only: bool = False) -> None:
    """Raise AccessDenied unless the queue's policy lets the caller do what it asks.

    In the owner's account only an explicit deny matters here: what IAM allows was decided before.
    """
    policy = queue.attributes.get("Policy")
    foreign = queue.account != ctx.account
    if not foreign and (policy is None or ctx.principal.kind == "root"):
        return
    action = f"sqs:{ctx.operation.name.removesuffix('Batch')}"
    decision = (
        policies.trusts(policy, ctx.principal, action, resource=queue.arn)
        if policy is not None and not (foreign and owner_only)
        else policies.Decision("implicitDeny")
    )
    if decision.outcome == "explicitDeny" or (foreign and not decision.allowed):
        raise AwsError(
            "AccessDenied",
            f"User: {ctx.principal.arn} is not authorized to perform: {action.lower()} on resource: {queue.arn} "
            "because no resource-based policy allows the action",
            status=403,
        )
