"""What hypothesis makes up: params that must survive the wire, and requests that must end in nothing but an AwsError.

Each run draws other operations of other services, so that over time every one is met with odd values.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.wire.botocore_side import request_of, service_model
from tests.wire.samples import Samples
from tests.wire.strategies import params
from tests.wire.test_operations import AMBIGUOUS, difference

from clary.kernel.core.errors import AwsError
from clary.kernel.wire import SERVICES, Request, check, error_codec, route, routes_by_body, service
from clary.kernel.wire.route import SCOPES

PROTOCOLS = [(name, protocol) for name in SERVICES for protocol in service(name).protocols]
RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@st.composite
def operations(draw: st.DrawFn) -> tuple[str, str, str]:
    name, protocol = draw(st.sampled_from(PROTOCOLS))
    return name, draw(st.sampled_from(sorted(service(name).operations))), protocol


@settings(max_examples=250, deadline=None, suppress_health_check=RELAXED)
@given(operations(), st.data())
def test_params_survive_the_wire(chosen: tuple[str, str, str], data: st.DataObject) -> None:
    name, operation_name, protocol = chosen
    if (name, operation_name) in AMBIGUOUS:
        return
    operation = service(name).operations[operation_name]
    sent = data.draw(params(operation))
    request = request_of(service_model(name).operation_model(operation_name), sent, protocol)
    match = route(request, operation.service.signing_name)
    found = match.codec.parse(operation, request, match.path_params)
    if operation.input and operation.input.payload:  # an empty body is an empty blob, or an empty structure in JSON
        use = operation.input.members[operation.input.payload]
        if use.shape.type == "blob":
            sent.setdefault(use.name, b"")
        elif protocol == "rest-json":
            sent.setdefault(use.name, {})
    assert found == sent, difference(found, sent)


NOISE = st.sampled_from(
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"1e999",
        b'"x"',
        b"[" * 3000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"\xff\xfe",
        b"<a>",
        b"<a/>",
        b"<a>" * 500,
        b"<!DOCTYPE a><a/>",
        b"a=%ff",
        b"Action=ListUsers",
        b"&" * 50,
        b"\xbf\x61a\x01\xff",
        b"Action=CreateUser&Tags.member.x.Key=1&Tags.member.=2&Tags=3&.=4",
        b"\xa1\x61a\xd8\x1c\x81\xd8\x1d\x00",
    ]
) | st.binary(max_size=60)
PATHS = st.lists(
    st.sampled_from(["", "b", "%", "%zz", "%ff", "..", "%2e%2e", "%00", "endpoints", "invocations", "service", "\xe9"]),
    max_size=6,
).map(lambda parts: "/" + "/".join(parts))
QUERIES = st.lists(
    st.sampled_from(
        [
            "acl",
            "uploads",
            "list-type=2",
            "uploadId",
            "partNumber=x",
            "max-keys=1e9",
            "%ff=%ff",
            "=",
            "a=b=c",
            "x-id=X",
            "Action=AssumeRole",
            "versionId=%00",
            "delete",
            "select&select-type=2",
            "\xff",
        ]
    ),
    max_size=4,
).map("&".join)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "x-amz-target",
            "content-type",
            "smithy-protocol",
            "host",
            "x-amz-copy-source",
            "content-encoding",
            "range",
            "x-amz-meta-\xe9",
            "if-modified-since",
            "x-amz-object-attributes",
            "x-amz-checksum-crc32",
            "content-length",
        ]
    ),
    st.sampled_from(
        [
            "",
            "x",
            "SageMaker.CreateTrainingJob",
            "Kinesis_20131202.PutRecord",
            "Logs_20140328.",
            ".",
            "AmazonSQS.SendMessage",
            "GraniteServiceVersion20100801.PutMetricData",
            "rpc-v2-cbor",
            "gzip",
            "application/x-amz-cbor-1.1",
            "\xff",
            "b.localhost",
            "application/x-www-form-urlencoded",
            "application/x-amz-json-1.1",
            "[::",
            "-1",
            'a,"b',
            "Thu, 01 Jan",
        ]
    ),
    max_size=5,
)
SCOPE_NAMES = st.sampled_from([None, "ec2", "", *SCOPES])


def serve(request: Request, scope: str | None) -> None:
    """What a gateway does up to the handler. Any exception but AwsError escapes, and so fails the test."""
    try:
        routes_by_body(request, scope)
        match = route(request, scope, ("clary.example.org",))
        check(match.operation, match.codec.parse(match.operation, request, match.path_params))
    except AwsError as error:
        refused = error
    else:
        return
    response = error_codec(request, scope).serialize_error(
        None, refused.code, refused.message, refused.status, {}, "r-1"
    )
    assert 400 <= response.status < 500, refused.code


@settings(max_examples=600, deadline=None, suppress_health_check=RELAXED)
@given(
    st.builds(
        Request, st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", ""]), PATHS, QUERIES, HEADERS, NOISE
    ),
    SCOPE_NAMES,
)
def test_noise_ends_in_an_aws_error(request_: Request, scope: str | None) -> None:
    serve(request_, scope)


REQUESTS: dict[tuple[str, str, str], Request] = {}


def valid_request(name: str, operation_name: str, protocol: str) -> Request:
    key = (name, operation_name, protocol)
    if key not in REQUESTS:
        operation = service(name).operations[operation_name]
        sample = Samples().structure(operation.input) if operation.input else {}
        REQUESTS[key] = request_of(service_model(name).operation_model(operation_name), sample, protocol)
    return REQUESTS[key]


@settings(max_examples=600, deadline=None, suppress_health_check=RELAXED)
@given(operations(), st.data())
def test_damaged_requests_end_in_an_aws_error(chosen: tuple[str, str, str], data: st.DataObject) -> None:
    good = valid_request(*chosen)
    body = bytearray(good.body)
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["cut", "insert", "replace", "repeat"])):
            case "cut":
                del body[place : place + data.draw(st.integers(1, 9))]
            case "insert":
                body[place:place] = data.draw(NOISE)
            case "replace":
                body[place : place + 1] = data.draw(
                    st.sampled_from(
                        [b"{", b"}", b'"', b"[", b"-1", b"1e99", b"true", b"null", b"<", b"\x00", b"\xff", b"=", b"."]
                    )
                )
            case _:
                body[place:place] = body[place : place + 30] * 3
    headers = {**good.headers, **data.draw(HEADERS)}
    if "x-amz-target" in good.headers:
        headers["x-amz-target"] = good.headers["x-amz-target"]
    path = good.path + data.draw(st.sampled_from(["", "", "/", "/x", "%", "%ff"]))
    serve(Request(good.method, path, good.query, headers, bytes(body)), service(chosen[0]).signing_name)


@pytest.mark.parametrize("protocol", ["json-1.1", "query", "rest-xml"])
def test_megabytes_of_nesting_are_refused_quickly(protocol: str) -> None:
    requests: dict[str, tuple[Request, str]] = {
        "json-1.1": (
            Request("POST", "/", "", {"x-amz-target": "ElasticMapReduce.RunJobFlow"}, _nested_configurations(900)),
            "elasticmapreduce",
        ),
        "query": (
            Request("POST", "/", "", {}, b"Action=CreateUser&Version=2010-05-08&" + b"a." * 500_000 + b"=1"),
            "iam",
        ),
        "rest-xml": (Request("POST", "/b", "delete", {}, b"<Delete>" + b"<Object>" * 200_000), "s3"),
    }
    request, scope = requests[protocol]
    with pytest.raises(AwsError):
        _serve_strictly(request, scope)


def _nested_configurations(depth: int) -> bytes:
    return (
        b'{"Name":"a","Instances":{},"Configurations":'
        + b'[{"Configurations":' * (depth // 2)
        + b"[]"
        + b"}]" * (depth // 2)
        + b"}"
    )


def _serve_strictly(request: Request, scope: str) -> Any:
    match = route(request, scope)
    check(match.operation, match.codec.parse(match.operation, request, match.path_params))
