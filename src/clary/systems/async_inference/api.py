"""InvokeEndpointAsync: check, queue, say where the answer will be."""

from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.objects.uri import normal_s3_uri
from clary.kernel.rooms import Context, operation
from clary.kernel.rooms.bodies import Reply
from clary.kernel.serving.requests import HeaderBreak, heading
from clary.kernel.serving.routes import DOMAIN, Asynchronous, Route, load_route, route_key
from clary.systems.async_inference.backlog import Backlog
from clary.systems.async_inference.places import failure_location, output_location
from clary.systems.async_inference.records import TOPIC, Request

_QUEUED_SECONDS = 21_600
_PROCESSED_SECONDS = 900


@operation("sagemaker-runtime", "InvokeEndpointAsync", resource="endpoint/{EndpointName}")
async def invoke_endpoint_async(
    ctx: Context,
    *,
    EndpointName: str,
    ContentType: str | None = None,
    Accept: str | None = None,
    CustomAttributes: str | None = None,
    InferenceId: str | None = None,
    InputLocation: str | None = None,
    S3OutputPathExtension: str | None = None,
    Filename: str | None = None,
    RequestTTLSeconds: int | None = None,
    InvocationTimeoutSeconds: int | None = None,
    Body: bytes | None = None,
) -> Reply:
    """Queue a request; it is on disk when this answers. Its input is looked for when its turn comes."""
    route, asynchronous = _route(ctx, EndpointName)
    if bool(InputLocation) == bool(Body):
        raise _invalid("Give either InputLocation or Body: exactly one of them says what the model is asked.")
    output = asynchronous.config["OutputConfig"]
    name = Filename or f"{new_uuid()}.out"
    now = ctx.platform.clock.now()
    request = Request(
        account=ctx.account,
        region=ctx.region,
        endpoint=EndpointName,
        revision=route.revision,
        inference_id=InferenceId or new_uuid(),
        received_at=now,
        expires_at=now + (RequestTTLSeconds or _QUEUED_SECONDS),
        timeout_seconds=InvocationTimeoutSeconds or _PROCESSED_SECONDS,
        input_location=_normal(InputLocation) if InputLocation else "",
        output_location=output_location(output.get("S3OutputPath"), S3OutputPathExtension, name),
        failure_location=failure_location(output.get("S3FailurePath"), S3OutputPathExtension, name),
        content_type=ContentType,
        accept=Accept,
        custom_attributes=CustomAttributes,
        notification=output.get("NotificationConfig", {}),
        role=asynchronous.role,
    )
    _check_headers(request)
    queued = await Backlog(ctx.platform).add(request, Body or b"")
    ctx.platform.wake(TOPIC, queued.queue)
    answer = {
        "InferenceId": queued.inference_id,
        "OutputLocation": queued.output_location or None,
        "FailureLocation": queued.failure_location or None,
    }
    return Reply({member: value for member, value in answer.items() if value is not None})


def _route(ctx: Context, name: str) -> tuple[Route, Asynchronous]:
    table = ctx.platform.kv(DOMAIN).get(route_key(ctx.account, ctx.region, name))
    if table is None:
        raise _invalid(
            f"Endpoint {name} of account {ctx.account} not found. An endpoint takes requests when it is InService."
        )
    route = load_route(table)
    if route.asynchronous is None:
        raise _invalid(
            f"Endpoint {name} of account {ctx.account} takes no asynchronous requests: its configuration has no "
            "AsyncInferenceConfig. Use InvokeEndpoint."
        )
    return route, route.asynchronous


def _normal(location: str) -> str:
    try:
        return normal_s3_uri(location, "InputLocation")
    except AwsError as error:
        raise _invalid(error.message) from None


def _check_headers(request: Request) -> None:
    """Raise ValidationError for what could not be said to a model."""
    said = (request.accept, request.custom_attributes, request.inference_id)
    try:
        heading(request.content_type, {str(number): value for number, value in enumerate(said)})
    except HeaderBreak as error:
        raise _invalid(str(error)) from None


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)
