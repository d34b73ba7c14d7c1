"""Event streams: frames, and what botocore makes of ours."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from botocore.eventstream import EventStream
from botocore.exceptions import EventStreamError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.botocore_side import drained, parsed, service_model
from tests.wire.samples import Samples
from tests.wire.test_operations import codec_name, reference

from clary.kernel.core.errors import AwsError
from clary.kernel.wire import SERVICES, OutputError, service
from clary.kernel.wire.codecs import codec
from clary.kernel.wire.eventstream import Decoder, HeaderValue, Message, encode

STREAMS = [
    pytest.param(name, operation.name, protocol, id=f"{name}-{operation.name}-{protocol}")
    for name in SERVICES
    for operation in service(name).operations.values()
    if operation.event_stream
    for protocol in service(name).protocols
]
header_values: st.SearchStrategy[HeaderValue] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=50),
    st.text(max_size=50),
    st.uuids(),
    st.integers(-(10**13), 10**14).map(lambda millis: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=millis)),
)
messages = st.builds(Message, st.dictionaries(st.text("abc:-", min_size=1), header_values, max_size=5), st.binary())


def test_a_frame_as_the_format_describes_it() -> None:
    frame = encode(Message({"a": "b"}, b"{}"))
    assert frame.hex() == "0000001800000006" + frame[8:12].hex() + "0161070001627b7d" + frame[-4:].hex()
    assert list(Decoder().feed(frame)) == [Message({"a": "b"}, b"{}")]


@settings(max_examples=100, deadline=None)
@given(st.lists(messages, max_size=4), st.integers(1, 40))
def test_what_is_encoded_is_decoded_however_it_is_cut(sent: list[Message], size: int) -> None:
    data = b"".join(map(encode, sent))
    decoder, received = Decoder(), []
    for start in range(0, len(data), size):
        received += decoder.feed(data[start : start + size])
    assert received == sent
    assert decoder.waiting == 0


@settings(max_examples=200, deadline=None)
@given(messages, st.data())
def test_damage_is_found(sent: Message, data: st.DataObject) -> None:
    frame = bytearray(encode(sent))
    position = data.draw(st.integers(0, len(frame) - 1))
    frame[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="message"):
        list(Decoder().feed(bytes(frame)))


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=12, max_size=80))
def test_noise_is_no_message(noise: bytes) -> None:
    with pytest.raises(ValueError, match="prelude"):
        list(Decoder().feed(noise))


@pytest.mark.parametrize(("name", "operation_name", "protocol"), STREAMS)
def test_botocore_reads_our_events(name: str, operation_name: str, protocol: str) -> None:
    operation = service(name).operations[operation_name]
    stream = operation.event_stream
    assert stream is not None
    assert operation.output is not None
    events = [
        {use.name: Samples().structure(use.shape, use.name)}
        for use in stream.shape.members.values()
        if not use.shape.exception
    ]
    output = {**Samples().structure(operation.output), stream.name: events}
    response = codec(codec_name(operation, protocol)).serialize(operation, output, "request-1")
    assert response.header("content-type") == "application/vnd.amazon.eventstream"
    found = _client_side(response, name, operation_name, protocol)
    received = found.pop(stream.name)
    assert reference([_without_empty(event) for event in received]) == [_without_empty(event) for event in events]
    # the rest is in headers, or in the initial-response that botocore takes before it hands the stream on
    found.pop("ResponseMetadata", None)
    assert reference(found) == {key: value for key, value in output.items() if key != stream.name}


@pytest.mark.parametrize(("name", "operation_name", "protocol"), STREAMS)
def test_errors_end_a_stream(name: str, operation_name: str, protocol: str) -> None:
    operation = service(name).operations[operation_name]
    stream = operation.event_stream
    assert stream is not None
    modelled = next((use.name for use in stream.shape.members.values() if use.shape.exception), "InternalServerError")

    async def broken() -> AsyncIterator[dict[str, Any]]:
        event = next(use for use in stream.shape.members.values() if not use.shape.exception)
        yield {event.name: Samples().structure(event.shape)}
        raise AwsError(modelled, "it broke")

    response = codec(codec_name(operation, protocol)).serialize(operation, {stream.name: broken()}, "request-1")
    found = _client_side(response, name, operation_name, protocol)
    events = iter(found[stream.name])
    next(events)
    with pytest.raises(EventStreamError, match="it broke"):
        next(events)


def test_what_is_no_event_of_the_stream_is_our_fault() -> None:
    operation = service("sagemaker-runtime").operations["InvokeEndpointWithResponseStream"]
    response = codec("rest-json").serialize(operation, {"Body": [{"Nope": {}}]}, "request-1")
    (told,) = Decoder().feed(asyncio.run(drained(response.body)))
    assert told.headers[":error-code"] == "InternalFailure"
    assert "request-1" in str(told.headers[":error-message"])
    with pytest.raises(OutputError, match="needs its event stream"):
        codec("rest-json").serialize(operation, {}, "r")


def test_who_makes_events_is_closed_when_nobody_takes_them() -> None:
    closed: list[str] = []

    async def asynchronous() -> AsyncIterator[dict[str, Any]]:
        try:
            while True:
                yield {"PayloadPart": {"Bytes": b"x"}}
        finally:
            closed.append("asynchronous")

    def blocking() -> Iterator[dict[str, Any]]:
        try:
            while True:
                yield {"PayloadPart": {"Bytes": b"x"}}
        finally:
            closed.append("blocking")

    async def leave(frames: Any) -> None:
        await anext(frames)
        await frames.aclose()

    operation = service("sagemaker-runtime").operations["InvokeEndpointWithResponseStream"]
    for events in (asynchronous(), blocking()):
        asyncio.run(leave(codec("rest-json").serialize(operation, {"Body": events}, "r").body))
    assert closed == ["asynchronous", "blocking"]


def test_headers_of_every_type_survive() -> None:
    headers: dict[str, HeaderValue] = {"u": UUID(int=7), "t": datetime(2024, 5, 1, tzinfo=UTC), "n": 2**40, "y": True}
    assert next(Decoder().feed(encode(Message(headers)))).headers == headers


def _client_side(response: Any, name: str, operation: str, protocol: str) -> dict[str, Any]:
    found = parsed(response, service_model(name).operation_model(operation).output_shape, protocol)
    assert any(isinstance(value, EventStream) for value in found.values())
    return found


def _without_empty(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value or {} for name, value in event.items()}
