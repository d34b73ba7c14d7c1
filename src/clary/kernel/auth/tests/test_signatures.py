"""The verifier against botocore's own signers, and against everything that must be refused."""

import time
from urllib.parse import quote

import pytest
from botocore.auth import (
    HmacV1Auth,
    HmacV1QueryAuth,
    S3SigV4Auth,
    S3SigV4QueryAuth,
    SigV4Auth,
    SigV4QueryAuth,
)

from clary.kernel.auth import signatures
from clary.kernel.auth.principals import Credential
from clary.kernel.auth.signatures import Identity, peek_scope, verify
from clary.kernel.auth.tests.signing import CREDENTIALS, KEY, ROOT, SECRET, Sent, credentials, send
from clary.kernel.core.clock import SystemClock
from clary.kernel.core.errors import AwsError


def at(offset_seconds: float = 0) -> float:
    """A moment from now: the signers below take the real time."""
    return SystemClock().now() + offset_seconds


def check(request: Sent, **options: object) -> Identity:
    scope = peek_scope(request)
    assert scope is not None
    options = {"now": at(), "find_credential": CREDENTIALS.get, **options}
    return verify(request, scope, **options)  # type: ignore[arg-type]


def refused(request: Sent, **options: object) -> AwsError:
    with pytest.raises(AwsError) as caught:
        check(request, **options)
    return caught.value


def s3(region: str = "eu-west-1") -> S3SigV4Auth:
    return S3SigV4Auth(credentials(), "s3", region)


TARGETS = [
    "/",
    "/bucket",
    "/bucket/key",
    "/bucket/a%20b/%C3%A9t%C3%A9%2B%3D.csv",
    "/bucket/../up/./x//y/",
    "/bucket/~tilde-._",
    "/bucket?list-type=2&prefix=a%2Fb%20c&delimiter=%2F&max-keys=1000",
    "/bucket?uploads",
    "/bucket/key?uploadId=abc%2B%2F%3D&partNumber=10",
]


@pytest.mark.parametrize("target", TARGETS)
def test_s3_header_signature(target: str) -> None:
    identity = check(send(s3(), "GET", target))
    assert identity.credential.principal == ROOT
    assert identity.scope.region == "eu-west-1"
    assert identity.scope.service == "s3"


@pytest.mark.parametrize(
    "target", ["/", "/endpoints/a-b/invocations", "/functions/arn%3Aaws%3Alambda/x", "/a//b/../c/"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_services_normalise_and_encode_twice(target: str, method: str) -> None:
    body = b"" if method == "GET" else b'{"a": 1}'
    request = send(SigV4Auth(credentials(), "lambda", "us-east-1"), method, target, body=body)
    assert check(request, body=body).body.content == ""


def test_key_is_encoded_as_botocore_encodes_it() -> None:
    key = "with space/ünï/+&=?#%25;:@!$'()*,[]"
    check(send(s3(), "PUT", "/bucket/" + quote(key, safe="/~"), body=b"x"))


def test_signed_headers_are_trimmed_and_folded() -> None:
    request = send(s3(), "PUT", "/b/k", headers={"x-amz-meta-note": "a   b", "Content-Type": "text/plain"}, body=b"x")
    check(request)
    assert refused(request.header(**{"x-amz-meta-note": "a c"})).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("expires", [1, 3600, 604800])
def test_presigned_v4(expires: int) -> None:
    signer = S3SigV4QueryAuth(credentials(), "s3", "us-east-1", expires=expires)
    request = send(signer, "GET", "/bucket/a%20key?response-content-type=text%2Fplain")
    assert check(request).body.content == "UNSIGNED-PAYLOAD"
    error = refused(request, now=at(expires + 10))
    assert (error.code, error.status, error.message) == ("AccessDenied", 403, "Request has expired")
    assert refused(request.replace(method="PUT")).code == "SignatureDoesNotMatch"
    assert refused(request.replace(path="/bucket/other")).code == "SignatureDoesNotMatch"


def test_presigned_longer_than_a_week() -> None:
    error = refused(send(S3SigV4QueryAuth(credentials(), "s3", "us-east-1", expires=604801), "GET", "/b/k"))
    assert error.code == "AuthorizationQueryParametersError"
    assert "week" in error.message


def test_presigned_before_its_time() -> None:
    request = send(S3SigV4QueryAuth(credentials(), "s3", "us-east-1"), "GET", "/b/k")
    assert refused(request, now=at(-1000)).message == "Request is not yet valid"


def test_presigned_of_another_service_covers_the_body() -> None:
    signer = SigV4QueryAuth(credentials(), "sts", "us-east-1", expires=60)
    request = send(signer, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15")
    check(request, body=b"")
    assert refused(request, body=b"more").code == "SignatureDoesNotMatch"


def test_presigned_v2() -> None:
    signer = HmacV1QueryAuth(credentials(), expires=60)
    request = send(signer, "GET", "/bucket/a%20key?versionId=3&response-content-disposition=attachment%3B%20x&other=1")
    scope = peek_scope(request)
    assert scope is not None
    assert (scope.kind, scope.access_key) == ("v2-query", KEY)
    check(request)
    assert refused(request, now=at(100)).message == "Request has expired"
    assert refused(request.replace(query=request.query.replace("versionId=3", "versionId=4"))).code == (
        "SignatureDoesNotMatch"
    )
    assert refused(request.replace(query=request.query.replace("attachment", "inline"))).code == "SignatureDoesNotMatch"


def test_presigned_v2_carries_headers_as_arguments() -> None:
    signer = HmacV1QueryAuth(credentials(), expires=60)
    headers = {"x-amz-acl": "private", "Content-Type": "text/csv"}
    request = send(signer, "PUT", "/bucket/key", headers=headers)
    check(request.replace(headers={"host": request.headers["host"]}))


def test_header_v2() -> None:
    request = send(HmacV1Auth(credentials()), "PUT", "/bucket/key?acl", headers={"Content-Type": "text/csv"}, body=b"x")
    check(request)
    assert refused(request.replace(path="/bucket/kez")).code == "SignatureDoesNotMatch"
    assert refused(request, now=at(1000)).code == "RequestTimeTooSkewed"


def test_unsigned_requests_are_seen_as_such() -> None:
    assert peek_scope(Sent("GET", "/bucket/key", "list-type=2", {"host": "x"})) is None
    assert signatures.unsigned({}).code == "AccessDenied"
    error = signatures.unsigned({"x-amz-target": "SageMaker.ListModels"})
    assert (error.code, error.status) == ("MissingAuthenticationTokenException", 400)
    error = signatures.unsigned({"content-type": "application/x-www-form-urlencoded; charset=utf-8"})
    assert (error.code, error.status) == ("MissingAuthenticationToken", 403)


CODES = [
    ("s3", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", 403),
    ("sts", "InvalidClientTokenId", "SignatureDoesNotMatch", "SignatureDoesNotMatch", 403),
    ("sagemaker", "UnrecognizedClientException", "InvalidSignatureException", "InvalidSignatureException", 400),
    ("lambda", "UnrecognizedClientException", "InvalidSignatureException", "InvalidSignatureException", 403),
]


@pytest.mark.parametrize(("service", "unknown", "mismatch", "skewed", "status"), CODES)
def test_refusals_are_spelled_as_the_service_spells_them(
    service: str, unknown: str, mismatch: str, skewed: str, status: int
) -> None:
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    request = send(signer(credentials(), service, "us-east-1"), "POST", "/", body=b"{}")
    check(request, body=b"{}")
    wrong = send(signer(credentials(secret="wrong"), service, "us-east-1"), "POST", "/", body=b"{}")
    inactive = {KEY: Credential(KEY, SECRET, ROOT, active=False)}
    for error, code in [
        (refused(request, body=b"{}", find_credential={}.get), unknown),
        (refused(request, body=b"{}", find_credential=inactive.get), unknown),
        (refused(wrong, body=b"{}"), mismatch),
        (refused(request, body=b"{}", now=at(1000)), skewed),
        (refused(request, body=b"{}", now=at(-1000)), skewed),
    ]:
        assert (error.code, error.status) == (code, status)
    assert SECRET not in str(refused(wrong, body=b"{}"))


def test_tampered_body_is_refused() -> None:
    json = send(SigV4Auth(credentials(), "sagemaker", "us-east-1"), "POST", "/", body=b"{}")
    assert refused(json, body=b"{ }").code == "InvalidSignatureException"
    put = send(s3(), "PUT", "/b/k", body=b"data")
    error = refused(put, body=b"dAta")
    if put.headers["x-amz-content-sha256"] != "UNSIGNED-PAYLOAD":
        assert (error.code, error.status) == ("XAmzContentSHA256Mismatch", 400)


def test_s3_headers_must_be_signed() -> None:
    request = send(s3(), "PUT", "/b/k", body=b"x").header(**{"x-amz-copy-source": "/other/secret"})
    error = refused(request)
    assert error.code == "AccessDenied"
    assert "x-amz-copy-source" in error.message


def test_session_tokens() -> None:
    found = {KEY: Credential(KEY, SECRET, ROOT, session_token="token", expires_at=at(60))}
    good = send(S3SigV4Auth(credentials("token"), "s3", "us-east-1"), "GET", "/b")
    check(good, find_credential=found.get)
    presigned = send(S3SigV4QueryAuth(credentials("token"), "s3", "us-east-1"), "GET", "/b")
    check(presigned, find_credential=found.get)
    presigned_v2 = send(HmacV1QueryAuth(credentials("token")), "GET", "/b/k")
    check(presigned_v2, find_credential=found.get)
    for bad in (credentials("other"), credentials()):
        request = send(S3SigV4Auth(bad, "s3", "us-east-1"), "GET", "/b")
        assert refused(request, find_credential=found.get).code == "InvalidToken"
    assert refused(good, find_credential=found.get, now=at(61)).code == "ExpiredToken"
    assert refused(good).code == "InvalidToken"
    json = send(SigV4Auth(credentials("token"), "sagemaker", "us-east-1"), "POST", "/", body=b"{}")
    assert refused(json, body=b"{}", find_credential=found.get, now=at(61)).code == "ExpiredTokenException"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (
            "AWS4-ECDSA-P256-SHA256 Credential=A/20260101/s3/aws4_request, SignedHeaders=host, Signature=1",
            "InvalidRequest",
        ),
        ("Bearer abc", "InvalidRequest"),
        (
            "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s3, SignedHeaders=host, Signature=1",
            "AuthorizationHeaderMalformed",
        ),
        ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=1", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        ("", "InvalidRequest"),
    ],
)
def test_malformed_authorization(authorization: str, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        peek_scope(Sent("GET", "/", "", {"authorization": authorization}))
    assert caught.value.code == code
    assert caught.value.status == 400


def test_tolerates_the_order_of_authorization_fields() -> None:
    request = send(s3(), "GET", "/b")
    algorithm, _, rest = request.headers["authorization"].partition(" ")
    shuffled = ",".join(reversed([field.strip() for field in rest.split(",")]))
    check(request.header(authorization=f"{algorithm} {shuffled}"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-date", "yesterday"),
        ("x-amz-date", "20261341T999999Z"),
        ("x-amz-date", "20200101T000000Z"),
        ("x-amz-content-sha256", "nonsense"),
        ("x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"),
    ],
)
def test_nonsense_in_signed_headers_is_refused(name: str, value: str) -> None:
    assert refused(send(s3(), "GET", "/b").header(**{name: value})).status in {400, 403}


def test_hostile_bytes_do_not_crash() -> None:
    request = send(s3(), "GET", "/b")
    assert refused(request.replace(path="/b/\xff\x80%ff%zz", query="\xe9=%f0&&=&x")).code == "SignatureDoesNotMatch"
    claim = "AWSAccessKeyId=\xe9&Signature=\xff&Expires=99999999999"
    assert refused(Sent("GET", "/b/k", claim)).code == "InvalidAccessKeyId"
    claim = f"AWSAccessKeyId={KEY}&Signature=%ff&Expires=99999999999"
    assert refused(Sent("GET", "/b/\xff", claim)).code == "SignatureDoesNotMatch"


def test_a_verification_is_cheap() -> None:
    """The budget is 10 us; the bound is loose because tests share the machine."""
    request = send(s3(), "GET", "/bucket/key/with/path.csv")
    best = min(_seconds(request) for _ in range(5))
    assert best < 50e-6


def _seconds(request: Sent) -> float:
    start = time.perf_counter()
    for _ in range(500):
        check(request)
    return (time.perf_counter() - start) / 500
