"""What follows an outcome, on disk before the request is forgotten: the answer in S3, or why there is none, and a
notification."""

import logging
from dataclasses import replace

import orjson

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.rooms import Context, Platform
from clary.systems.async_inference import outcomes
from clary.systems.async_inference.outcomes import INCLUDED_BYTES, UPLOAD, Outcome
from clary.systems.async_inference.places import Payload, Places, acting
from clary.systems.async_inference.records import Request

_log = logging.getLogger("clary.async_inference")


def is_ours(error: AwsError) -> bool:
    """Whether an error is a fault of this server, that may pass, rather than of what was asked."""
    return (error.status or 400) >= 500


def settle(platform: Platform, request: Request, outcome: Outcome) -> Outcome:
    """Store what became of a request and tell of it; return the outcome as it is then.

    Blocks. May be done twice. Raises AwsError or OSError for faults that may pass: it is to be done again.
    """
    started = platform.clock.monotonic()
    if outcome.succeeded:
        outcome = _store_answer(platform, request, outcome)
    if not outcome.succeeded and request.failure_location:
        _store_failure(platform, request, outcome)
    if outcome.answer is not None:
        outcome = replace(outcome, upload_seconds=platform.clock.monotonic() - started)
    return _tell(platform, request, outcome)


def _store_answer(platform: Platform, request: Request, outcome: Outcome) -> Outcome:
    assert outcome.answer is not None
    if not request.output_location:
        if outcome.answer.size <= INCLUDED_BYTES:
            return outcome
        reason = (
            f"The answer has {outcome.answer.size} bytes, and without S3OutputPath at most {INCLUDED_BYTES} are sent."
        )
        return replace(outcome, reason=f"ClientError: {reason}", failure=UPLOAD, answer=None)
    try:
        Places(platform, request).put(request.output_location, outcome.answer, outcome.content_type)
    except AwsError as error:
        if is_ours(error):
            raise
        reason = f"ClientError: The answer could not be stored at {request.output_location}. {error}"
        return replace(outcome, reason=reason, failure=UPLOAD, answer=None)
    return outcome


def _store_failure(platform: Platform, request: Request, outcome: Outcome) -> None:
    document, content_type = outcomes.failure_document(request, outcome)
    try:
        Places(platform, request).put(request.failure_location, document, content_type)
    except AwsError as error:
        if is_ours(error):
            raise
        _log.warning("no failure at %s could be stored: %s", request.failure_location, error)


def _tell(platform: Platform, request: Request, outcome: Outcome) -> Outcome:
    topic = outcomes.topic_of(request, outcome)
    if not topic:
        return outcome
    included = None
    if outcomes.wants_response(request, outcome) and outcome.answer is not None:
        included = _bytes(outcome.answer)
    message = outcomes.notification(request, outcome, included, platform.clock.now())
    try:
        _publish(platform, request, topic, orjson.dumps(message).decode())
    except AwsError as error:
        if is_ours(error):
            raise
        _log.warning("nothing could be published to %s: %s", topic, error)
        return replace(outcome, is_told=False)
    return outcome


def _publish(platform: Platform, request: Request, topic: str, message: str) -> None:
    """Publish as the endpoint's role, with what its policies allow."""
    model = platform.registry.model("sns", "Publish")
    region = parse_arn(topic).region
    ctx = Context(platform, model, acting(platform, request), request.account, region, new_uuid())
    platform.registry.call(ctx, {"TopicArn": topic, "Message": message})


def _bytes(payload: Payload) -> bytes:
    return payload.data if payload.path is None else payload.path.read_bytes()
