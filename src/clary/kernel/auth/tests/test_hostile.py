"""Whatever a client sends, the verifier answers with AwsError and nothing else."""

import contextlib
import json

from hypothesis import example, given
from hypothesis import strategies as st

from clary.kernel.auth.payload import BUILT_IN_CHECKSUMS, Decoder, decoded_length
from clary.kernel.auth.policies import Permissions, compile_document, decide, trusts
from clary.kernel.auth.principals import Principal
from clary.kernel.auth.signatures import SignedBody, peek_scope, verify
from clary.kernel.auth.tests.signing import CREDENTIALS, KEY, Sent
from clary.kernel.core.errors import AwsError

LATIN = st.text(st.characters(max_codepoint=255), max_size=40)
CREDENTIAL = st.sampled_from(
    [f"{KEY}/20260101/us-east-1/s3/aws4_request", f"{KEY}/20260101/x/kinesis/aws4_request", "a/b"]
)
AUTHORIZATION = st.one_of(
    LATIN,
    st.builds(
        "AWS4-HMAC-SHA256 Credential={}, SignedHeaders={}, Signature={}".format,
        CREDENTIAL | LATIN,
        st.just("host;x-amz-date") | LATIN,
        st.just("0" * 64) | LATIN,
    ),
    st.builds("AWS {}:{}".format, st.just(KEY) | LATIN, LATIN),
)
QUERY = st.one_of(
    LATIN,
    st.builds(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires={}"
        "&X-Amz-SignedHeaders={}&X-Amz-Signature={}".format,
        CREDENTIAL | LATIN,
        st.just("20260101T000000Z") | LATIN,
        st.just("60") | LATIN,
        st.just("host") | LATIN,
        st.just("0" * 64) | LATIN,
    ),
    st.builds(
        "AWSAccessKeyId={}&Signature={}&Expires={}".format, st.just(KEY) | LATIN, LATIN, st.just("9" * 11) | LATIN
    ),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "authorization": AUTHORIZATION,
        "host": LATIN,
        "x-amz-date": st.just("20260101T000000Z") | LATIN,
        "date": LATIN,
        "x-amz-content-sha256": st.sampled_from(["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"]) | LATIN,
        "x-amz-decoded-content-length": LATIN,
        "content-length": LATIN,
        "x-amz-security-token": LATIN,
        "content-type": LATIN,
    },
)


@given(st.sampled_from(["GET", "PUT"]), LATIN, QUERY, HEADERS, st.booleans())
def test_verify(method: str, path: str, query: str, headers: dict[str, str], with_body: bool) -> None:
    request = Sent(method, "/" + path, query, headers)
    with contextlib.suppress(AwsError):
        decoded_length(request)
    with contextlib.suppress(AwsError):
        scope = peek_scope(request)
        if scope is not None:
            body = b"x" if with_body or scope.service != "s3" else None
            verify(request, scope, CREDENTIALS.get, now=1767225600.0, body=body)
            raise AssertionError("a made-up signature was accepted")


@given(
    st.lists(
        st.binary(max_size=30) | st.sampled_from([b"0\r\n", b"3\r\nabc\r\n", b"\r\n", b"x-amz-checksum-crc32:a\r\n"])
    )
)
@example([b"0\r\n", b"x-amz-checksum-crc32:\xff\r\n\r\n"])
def test_decoder(chunks: list[bytes]) -> None:
    for content in ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"):
        body = SignedBody(content, "s3", "0" * 64, b"key", "20260101T000000Z", "scope")
        decoder = Decoder(body, {"x-amz-trailer": "x-amz-checksum-crc32"}, None, BUILT_IN_CHECKSUMS)
        with contextlib.suppress(AwsError):
            for chunk in chunks:
                list(decoder.feed(chunk))
            decoder.finish()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["Allow", "*", "s3:*", "2012-10-17", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Version", "Statement", "Effect", "Action", "Resource", "Condition", "Principal", "StringLike"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON | LATIN)
def test_policies(document: object) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with contextlib.suppress(ValueError):
        policy = compile_document(text, "p")
        decide(Permissions((policy,), policy, (policy,)), "s3:get", "arn:aws:s3:::x", {"x": "*", "aws:a": ["b"]})
        trusts(text, Principal("user", "111122223333", name="x"), "sts:AssumeRole")


STATEMENT = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"])},
    optional={
        "Action": st.sampled_from(["*", "s3:*", ["s3:get", "x:?"]]),
        "NotAction": st.sampled_from(["s3:*"]),
        "Resource": st.sampled_from(["*", "${x}", "${*}[", "arn:aws:s3:::[x*", "${aws:a, 'b'}", "${"]) | LATIN,
        "Principal": JSON,
        "Condition": st.dictionaries(
            st.sampled_from(
                [
                    "StringLike",
                    "NumericLessThan",
                    "DateEquals",
                    "IpAddress",
                    "ArnLike",
                    "Null",
                    "BoolIfExists",
                    "ForAnyValue:StringEquals",
                ]
            ),
            st.dictionaries(st.sampled_from(["x", "aws:a", "missing"]), JSON | LATIN, max_size=2),
            max_size=2,
        ),
    },
)


@given(st.lists(STATEMENT, max_size=3))
def test_statements(statements: list[object]) -> None:
    test_policies.hypothesis.inner_test({"Version": "2012-10-17", "Statement": statements})
