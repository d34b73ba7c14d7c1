"""Invocations: a request goes to a model server, and its answer back, with as little as possible in between."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.kernel.serving.connections import Answer, ServerError, TimedOut, Unreachable
from clary.kernel.serving.requests import CUSTOM_ATTRIBUTES, INFERENCE_ID, SESSION_ID, HeaderBreak, Heading, heading
from clary.kernel.serving.routes import component_address, route_key
from clary.systems.endpoints.passage import Chosen, NotAnswered
from clary.systems.endpoints.records import Endpoint, InferenceComponent
from clary.systems.endpoints.refusals import check_invocation
from clary.systems.endpoints.router import Address, NoRoute, Wish, router_of
from clary.systems.endpoints.servers import component_log_group, log_group

_NEW_SESSION = "NEW_SESSION"
_LARGEST_MESSAGE = 16 * 1024


@operation("sagemaker-runtime", "InvokeEndpoint", resource="endpoint/{EndpointName}")
async def invoke_endpoint(
    ctx: Context,
    *,
    EndpointName: str,
    Body: bytes,
    ContentType: str | None = None,
    Accept: str | None = None,
    CustomAttributes: str | None = None,
    TargetModel: str | None = None,
    TargetVariant: str | None = None,
    TargetContainerHostname: str | None = None,
    InferenceId: str | None = None,
    EnableExplanations: str | None = None,
    InferenceComponentName: str | None = None,
    SessionId: str | None = None,
) -> dict[str, Any]:
    """Send a request to the endpoint and wait for the answer, for at most 60 s."""
    check_invocation(EnableExplanations=EnableExplanations)
    router = router_of(ctx.platform)
    address = _address(ctx, EndpointName, InferenceComponentName)
    said = _heading(ContentType, Accept, CustomAttributes, SessionId, InferenceId, TargetModel)
    session = "" if SessionId in {None, _NEW_SESSION} else SessionId or ""
    wish = Wish(TargetVariant or "", session, TargetContainerHostname or "", model=TargetModel or "")
    try:
        chosen, container, answer, _ = await router.ask(address, wish, said, Body)
    except NoRoute:
        raise await asyncio.to_thread(_not_found, ctx, EndpointName, InferenceComponentName) from None
    except NotAnswered as failure:
        raise _unanswered(ctx, _said_in(EndpointName, InferenceComponentName), failure) from None
    if not 200 <= answer.status < 300:
        raise _refused(ctx, _said_in(EndpointName, InferenceComponentName), container, answer.status, answer.body)
    output = {
        "Body": answer.body,
        "ContentType": answer.header(b"content-type"),
        "InvokedProductionVariant": chosen.target.name,
        "CustomAttributes": answer.header(b"x-amzn-sagemaker-custom-attributes"),
    }
    if SessionId is not None:
        output |= await _follow_session(ctx, address, chosen, answer)
    return output


@operation("sagemaker-runtime", "InvokeEndpointWithResponseStream", resource="endpoint/{EndpointName}")
async def invoke_endpoint_with_response_stream(
    ctx: Context,
    *,
    EndpointName: str,
    Body: bytes,
    ContentType: str | None = None,
    Accept: str | None = None,
    CustomAttributes: str | None = None,
    TargetVariant: str | None = None,
    TargetContainerHostname: str | None = None,
    InferenceId: str | None = None,
    InferenceComponentName: str | None = None,
    SessionId: str | None = None,
) -> dict[str, Any]:
    """Send a request to the endpoint and pass on the answer as it comes, for at most 60 s."""
    router = router_of(ctx.platform)
    address = _address(ctx, EndpointName, InferenceComponentName)
    said = _heading(ContentType, Accept, CustomAttributes, SessionId, InferenceId)
    wish = Wish(TargetVariant or "", SessionId or "", TargetContainerHostname or "")
    try:
        (chosen, container, answer, _), chunks = await router.ask_streamed(address, wish, said, Body)
    except NoRoute:
        raise await asyncio.to_thread(_not_found, ctx, EndpointName, InferenceComponentName) from None
    except NotAnswered as failure:
        raise _unanswered(ctx, _said_in(EndpointName, InferenceComponentName), failure) from None
    if not 200 <= answer.status < 300:
        raise _refused(
            ctx, _said_in(EndpointName, InferenceComponentName), container, answer.status, await _whole(chunks)
        )
    return {
        "Body": _events(chunks),
        "ContentType": answer.header(b"content-type"),
        "InvokedProductionVariant": chosen.target.name,
        "CustomAttributes": answer.header(b"x-amzn-sagemaker-custom-attributes"),
    }


def _address(ctx: Context, endpoint: str, component: str | None) -> Address:
    name = endpoint if component is None else component_address(endpoint, component)
    return Address(ctx.account, ctx.region, name)


def _heading(
    content_type: str | None,
    accept: str | None,
    custom_attributes: str | None,
    session: str | None,
    inference: str | None,
    model: str | None = None,
) -> Heading:
    """What the request says to the model besides its body."""
    headers = {
        "Accept": accept,
        CUSTOM_ATTRIBUTES: custom_attributes,
        SESSION_ID: session,
        INFERENCE_ID: inference,
        "X-Amzn-SageMaker-Target-Model": model,
    }
    try:
        return heading(content_type, headers)
    except HeaderBreak as error:
        raise AwsError("ValidationError", str(error)) from None


async def _follow_session(ctx: Context, address: Address, chosen: Chosen, answer: Answer) -> dict[str, str]:
    """Remember the session that the model opened, forget the one it closed, and say so to the client."""
    sessions, endpoint = router_of(ctx.platform).sessions, route_key(*address)
    said: dict[str, str] = {}
    opened = answer.header(b"x-amzn-sagemaker-new-session-id")
    if opened:
        await sessions.open(endpoint, opened, chosen.instance, ctx.platform.clock.now())
        said["NewSessionId"] = opened
    closed = answer.header(b"x-amzn-sagemaker-closed-session-id")
    if closed:
        await sessions.close(endpoint, closed)
        said["ClosedSessionId"] = closed
    return said


async def _events(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(chunks):
        try:
            async for chunk in chunks:
                yield {"PayloadPart": {"Bytes": chunk}}
        except ServerError as error:
            code = "ModelInvocationTimeExceeded" if isinstance(error, TimedOut) else "StreamBroken"
            yield {"ModelStreamError": {"Message": str(error), "ErrorCode": code}}


async def _whole(chunks: AsyncGenerator[bytes, None]) -> bytes:
    """What can be read of an error's body."""
    found = b""
    async with aclosing(chunks):
        try:
            async for chunk in chunks:
                found += chunk
                if len(found) > _LARGEST_MESSAGE:
                    break
        except ServerError:
            return found
    return found


def _not_found(ctx: Context, name: str, component_name: str | None) -> AwsError:
    if component_name is not None and ctx.records(Endpoint).get(name) is not None:
        component = ctx.records(InferenceComponent).get(component_name)
        if component is None or component.value.endpoint != name:
            return AwsError("ValidationError", f"Inference Component {component_name} not found on endpoint {name}.")
        return AwsError(
            "ValidationError",
            f"Inference Component {component_name} takes no requests while it is {component.status}.",
        )
    message = f"Endpoint {name} of account {ctx.account} not found."
    entry = ctx.records(Endpoint).get(name)
    if entry is not None:
        message += f" It exists, but takes no requests while it is {entry.value.status}."
    return AwsError("ValidationError", message)


def _said_in(endpoint: str, component: str | None) -> str:
    """The log group of whoever answers."""
    return log_group(endpoint) if component is None else component_log_group(component)


def _unanswered(ctx: Context, group: str, failure: NotAnswered) -> AwsError:
    if isinstance(failure.error, Unreachable):
        return AwsError(
            "ServiceUnavailable", f"No model server can be reached at the moment; the log group {group} may say why."
        )
    if isinstance(failure.error, TimedOut):
        text = f"Your invocation timed out while waiting for a response from container {failure.container}."
    else:
        text = f"The model server gave no answer: {failure.error}."
    return _model_error(ctx, group, failure.container, 0, text)


def _refused(ctx: Context, group: str, container: str, status: int, body: bytes) -> AwsError:
    return _model_error(ctx, group, container, status, body[:_LARGEST_MESSAGE].decode("utf-8", "replace"))


def _model_error(ctx: Context, group: str, container: str, status: int, text: str) -> AwsError:
    kind = "client error" if 400 <= status < 500 else "server error"
    return AwsError(
        "ModelError",
        f'Received {kind} ({status}) from {container} with message "{text}". '
        f"See the log group {group} in account {ctx.account} for more information.",
        members={
            "OriginalStatusCode": status,
            "OriginalMessage": text,
            "LogStreamArn": ctx.arn(f"log-group:{group}", service="logs"),
        },
    )
