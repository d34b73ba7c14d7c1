"""Invocations: at once, by way of the queue, or only asked about."""

import asyncio
import base64
import binascii
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, Reply, operation
from clary.support.lambda_.invoker import Call, invoker_of
from clary.support.lambda_.lookup import get
from clary.support.lambda_.names import function_resource, invalid, missing, read_name
from clary.support.lambda_.outbox import DOMAIN, TOPIC, Event, Outbox

_LARGEST_REQUEST = 6_291_456
_LARGEST_EVENT = 1_048_576
_LARGEST_CLIENT_CONTEXT = 3583


@operation("lambda", "Invoke", resource=function_resource)
async def invoke(
    ctx: Context,
    *,
    FunctionName: str,
    InvocationType: str = "RequestResponse",
    LogType: str | None = None,
    ClientContext: str | None = None,
    Payload: bytes = b"",
    Qualifier: str | None = None,
) -> Reply:
    """Call a function: wait for its answer, or, as an Event, have it called for sure and soon."""
    named = read_name(ctx, FunctionName, Qualifier)
    invoker = invoker_of(ctx.platform)
    card = invoker.card(named.key)
    if card is None:
        if named.account != ctx.account:
            raise AwsError("AccessDeniedException", f"{ctx.principal.arn} may not invoke {named.arn}.", status=403)
        raise missing(f"Function not found: {named.arn}")
    card.version_for(named)
    if named.account != ctx.account:  # a function's policy only ever lets others in
        await asyncio.to_thread(get, ctx, named)
    _check_payload(Payload, _LARGEST_EVENT if InvocationType == "Event" else _LARGEST_REQUEST)
    if ClientContext:
        _check_client_context(ClientContext)
    if InvocationType == "DryRun":
        return Reply({"StatusCode": 204})
    if InvocationType == "Event":
        outbox = Outbox(ctx.platform.kv(DOMAIN), ctx.platform.clock)
        event = Event(new_uuid(), named.qualifier, ctx.platform.clock.now(), ClientContext or "")
        await outbox.post(named.key, event, Payload)
        ctx.platform.wake(TOPIC, named.key)
        return Reply({"StatusCode": 202, "Payload": b""})
    outcome = await invoker.invoke(named, Call(ctx.request_id, Payload, ClientContext or "", LogType == "Tail"))
    output: dict[str, Any] = {"StatusCode": 200, "Payload": outcome.payload, "ExecutedVersion": outcome.version}
    if outcome.error:
        output["FunctionError"] = outcome.error
    if outcome.log is not None:
        output["LogResult"] = outcome.log
    return Reply(output)


def _check_payload(payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        raise AwsError(
            "RequestTooLargeException",
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
            status=413,
            members={"Type": "User"},
        )
    try:
        if payload:
            orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise AwsError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: {error}",
            members={"Type": "User"},
        ) from None


def _check_client_context(text: str) -> None:
    try:
        found = orjson.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        found = None
    if not isinstance(found, dict) or len(text) > _LARGEST_CLIENT_CONTEXT:
        raise invalid("Client context must be a valid Base64-encoded JSON object of at most 3583 bytes.")
