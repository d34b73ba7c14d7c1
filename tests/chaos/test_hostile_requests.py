"""Whatever a client sends, it gets an answer: no 500, no hang, no file outside the home.

Requests are signed with a real key, so that they get past the door: members of the wrong type, missing and surplus,
paths that climb, names that are too long, bodies cut short, headers that lie.
"""

import http.client
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.kernel.wire import SERVICES, Operation, Shape, service
from clary.testing import Server, serving

ANSWER_SECONDS = 60.0
EXAMPLES = 10_000 // len(SERVICES)

NASTY = st.sampled_from(
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "a/../../b",
        "%2e%2e%2f",
        "\0",
        "a\0b",
        "\r\nX: y",
        "x" * 3000,
        "ÄÖ€😀",
        "$(id)",
        "' OR 1=1",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    NASTY,
    st.text(max_size=20),
    st.binary(max_size=9),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@cache
def of_shape(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Mostly what the model allows, now and then anything at all."""
    allowed = st.deferred(lambda: _allowed(shape, depth))
    return st.one_of(allowed, allowed, allowed, ANYTHING)


def _allowed(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    if depth > 3:
        return SCALARS
    match shape.type:
        case "structure":
            members = {name: of_shape(member.shape, depth + 1) for name, member in shape.members.items()}
            required = {name: members[name] for name in shape.required if name in members}
            optional = {name: members[name] for name in list(members)[:8] if name not in required}
            return st.fixed_dictionaries(required, optional=optional)
        case "list":
            return st.lists(of_shape(shape.member.shape, depth + 1), max_size=2)
        case "map":
            return st.dictionaries(NASTY, of_shape(shape.value.shape, depth + 1), max_size=2)
        case "string":
            return st.sampled_from(shape.enum) | NASTY if shape.enum else NASTY | st.text(max_size=30)
        case "integer" | "long":
            return st.integers(-5, 10**12)
        case "boolean":
            return st.booleans()
        case _:
            return SCALARS


@st.composite
def requests(draw: st.DrawFn, name: str) -> tuple[str, str, str, dict[str, str], bytes]:
    """(service, method, path with query, headers, body) of one request, nearly right or not at all."""
    model = service(name)
    protocol = next(known for known in model.protocols if known in _CONTENT_TYPES)
    operation = model.operations[draw(st.sampled_from(sorted(model.operations)))]
    params = draw(of_shape(operation.input)) if operation.input is not None else {}
    body = draw(st.one_of(st.just(_body(protocol, operation, params)), st.binary(max_size=200)))
    path = operation.uri if protocol.startswith("rest") else "/"
    path = re.sub(r"\{[^}]+\}", lambda _: quote(draw(NASTY), safe=draw(st.sampled_from(["", "/."]))), path)
    headers = {"content-type": draw(st.sampled_from(_CONTENT_TYPES[protocol]) | NASTY)}
    if protocol == "json":
        headers["x-amz-target"] = draw(
            st.sampled_from([f"{model.target_prefix}.{operation.name}"] * 5 + ["nonsense", "A.B"])
        )
    if name == "s3":
        headers |= draw(st.dictionaries(st.sampled_from(_S3_HEADERS), NASTY | st.text(max_size=9), max_size=3))
    headers = {key: value for key, value in headers.items() if _sendable(value)}
    method = draw(st.sampled_from([operation.method] * 8 + ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]))
    return model.signing_name, method, path, headers, body


_CONTENT_TYPES = {
    "json": ("application/x-amz-json-1.1", "application/x-amz-json-1.0", "application/x-amz-cbor-1.1"),
    "query": ("application/x-www-form-urlencoded; charset=utf-8",),
    "rest-xml": ("application/octet-stream", "application/xml"),
    "rest-json": ("application/json",),
}
_S3_HEADERS = [
    *("range", "if-match", "if-none-match", "if-modified-since", "x-amz-copy-source", "x-amz-copy-source-range"),
    *("x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm", "content-md5", "x-amz-tagging", "x-amz-meta-a"),
    *("x-amz-expected-bucket-owner", "x-amz-acl", "x-amz-storage-class", "content-encoding"),
]


def _sendable(value: str) -> bool:
    return value.isascii() and value.isprintable() and len(value) < 4000


def _body(protocol: str, operation: Operation, params: Any) -> bytes:
    if protocol == "query":
        flat = params if isinstance(params, dict) else {"x": params}
        pairs = {"Action": operation.name, "Version": "2010-05-08"} | {key: str(value) for key, value in flat.items()}
        return "&".join(f"{quote(key)}={quote(value)}" for key, value in pairs.items()).encode()
    if protocol == "rest-xml":
        return f"<{operation.name}>{params}</{operation.name}>".encode(errors="replace")
    return json.dumps(params, default=repr).encode()


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("siege") / "home", "--ephemeral", warm_interpreters=False) as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="x" * 10)
        yield server


def send(server: Server, request: tuple[str, str, str, dict[str, str], bytes]) -> tuple[int, bytes]:
    signing_name, method, path, headers, body = request
    where = urlsplit(server.endpoint)
    signed = AWSRequest(method, f"{server.endpoint}{path}", headers=headers, data=body)
    signer = S3SigV4Auth if signing_name == "s3" else SigV4Auth
    signer(Credentials(server.access_key, server.secret), signing_name, "us-east-1").add_auth(signed)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, path, body, dict(signed.headers.items()))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _files(folder: Path) -> set[str]:
    """What a folder holds but for what the tools and environments of other tests keep in it."""
    return {entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")}


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVICES)
def test_hostile_requests(besieged: Server, name: str) -> None:
    around = besieged.home.parent
    before = {folder: _files(folder) for folder in (around, around.parent, Path("/"), Path.cwd())}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(name))
    def siege(request: tuple[str, str, str, dict[str, str], bytes]) -> None:
        status, answer = send(besieged, request)
        assert status != 500, (request, answer)

    siege()
    assert before == {folder: _files(folder) for folder in before}
    assert besieged.client("s3").list_buckets()["Buckets"], "the server lost its state or stopped answering"


def test_a_body_that_never_comes_is_not_waited_for_forever(besieged: Server) -> None:
    """The head alone must not occupy the server: others are answered meanwhile."""
    where = urlsplit(besieged.endpoint)
    idle = [http.client.HTTPConnection(where.hostname or "", where.port, timeout=ANSWER_SECONDS) for _ in range(50)]
    for connection in idle:
        connection.putrequest("POST", "/")
        connection.putheader("content-length", "1000000")
        connection.endheaders(b"x")
    assert besieged.client("sts").get_caller_identity()["Account"]
    for connection in idle:
        connection.close()
