"""Who gets in: signatures that are wrong, late, tampered with or missing are refused by a real server."""

import http.client
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from clary.testing import Server

Unique = Callable[[str], str]


def code_of(call: Callable[[], Any]) -> tuple[str, int]:
    with pytest.raises(ClientError) as raised:
        call()
    answer: Any = raised.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def send(server: Server, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes]:
    where = urlsplit(server.endpoint)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=120)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def signed(server: Server, body: bytes, service: str = "logs") -> dict[str, str]:
    headers = {"x-amz-target": "Logs_20140328.DescribeLogGroups", "content-type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{server.endpoint}/", headers=headers, data=body)
    SigV4Auth(Credentials(server.access_key, server.secret), service, "us-east-1").add_auth(request)
    return dict(request.headers.items())


def test_a_good_signature_gets_in(server: Server) -> None:
    status, _ = send(server, "POST", "/", signed(server, b"{}"), b"{}")
    assert status == 200


def test_what_is_signed_for_s3_express_is_asked_of_s3(server: Server) -> None:
    for auth, expected in ((S3SigV4Auth, 200), (SigV4Auth, 400)):  # the second names no digest of the body
        request = AWSRequest("GET", f"{server.endpoint}/")
        auth(Credentials(server.access_key, server.secret), "s3express", "us-east-1").add_auth(request)
        status, body = send(server, "GET", "/", dict(request.headers.items()))
        assert status == expected, body


def test_a_wrong_secret_is_refused(server: Server) -> None:
    for service, expected in (
        ("s3", ("SignatureDoesNotMatch", 403)),
        ("sts", ("SignatureDoesNotMatch", 403)),
        ("logs", ("InvalidSignatureException", 400)),
    ):
        client = server.client(service, aws_secret_access_key="wrong")
        call = {"s3": "list_buckets", "sts": "get_caller_identity", "logs": "describe_log_groups"}[service]
        assert code_of(getattr(client, call)) == expected


def test_an_unknown_key_is_refused(server: Server) -> None:
    stranger = server.client("s3", aws_access_key_id="AKIAAAAAAAAAAAAAAAAA")
    assert code_of(stranger.list_buckets) == ("InvalidAccessKeyId", 403)
    stranger = server.client("sagemaker", aws_access_key_id="AKIAAAAAAAAAAAAAAAAA")
    assert code_of(stranger.list_models) == ("UnrecognizedClientException", 400)


def test_a_tampered_body_is_refused(server: Server) -> None:
    status, body = send(server, "POST", "/", signed(server, b'{"limit":1}'), b'{"limit":2}')
    assert status == 400
    assert b"InvalidSignatureException" in body


def test_a_signature_from_the_past_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    past = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)  # noqa: TID251 - signs as a client an hour ago
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: past)
    headers = signed(server, b"{}")
    status, body = send(server, "POST", "/", headers, b"{}")
    assert status == 400
    assert b"InvalidSignatureException" in body


def test_no_signature_is_refused(server: Server) -> None:
    headers = {"x-amz-target": "Logs_20140328.DescribeLogGroups", "content-type": "application/x-amz-json-1.1"}
    status, body = send(server, "POST", "/", headers, b"{}")
    assert status == 400
    assert b"MissingAuthenticationTokenException" in body
    assert send(server, "GET", "/some-bucket/key", {})[0] == 403


def test_who_does_not_sign_may_not_fill_the_memory(server: Server) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = b"Action=Publish&Version=2010-03-31&Message=" + b"x" * (300 * 1024)
    assert send(server, "POST", "/", headers, body)[0] == 413
    assert send(server, "POST", "/", headers, body[:1000])[0] == 403


def test_a_presigned_url_ends_when_it_says(server: Server, unique: Unique, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = server.client("s3")
    bucket = unique("presigned")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    where = {"Bucket": bucket, "Key": "k"}
    url = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
    assert send(server, "GET", url.removeprefix(server.endpoint), {}) == (200, b"hello")
    tampered = url.removeprefix(server.endpoint).replace("/k?", "/other?")
    assert send(server, "GET", tampered, {})[0] == 403
    past = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=-5)
    status, body = send(server, "GET", past.removeprefix(server.endpoint), {})
    assert status == 403, body


def test_every_region_is_real(server: Server, unique: Unique) -> None:
    group = unique("/region")
    server.client("logs", region="eu-west-1").create_log_group(logGroupName=group)
    assert server.client("logs", region="us-east-1").describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    (found,) = server.client("logs", region="eu-west-1").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["arn"].startswith("arn:aws:logs:eu-west-1:")
    china = server.client("logs", region="cn-north-1")
    china.create_log_group(logGroupName=group)
    assert china.describe_log_groups()["logGroups"][0]["arn"].startswith("arn:aws-cn:logs:cn-north-1:")


def test_what_is_not_built_says_so_at_once(server: Server) -> None:
    code, status = code_of(server.client("rekognition").list_collections)
    assert (code, status) == ("NotImplementedException", 501)


def test_a_member_that_is_not_honoured_is_refused(server: Server) -> None:
    status, body = send(server, "POST", "/", signed(server, b'{"limit":"many"}'), b'{"limit":"many"}')
    assert status == 400
    assert b"SerializationException" in body


def test_constraints_are_told_as_aws_tells_them(server: Server) -> None:
    with pytest.raises(ClientError, match="1 validation error detected: Value '-bad-' at 'modelName' failed"):
        server.client("sagemaker").describe_model(ModelName="-bad-")


def test_health_needs_no_key_and_reset_needs_an_ephemeral_server(server: Server) -> None:
    assert send(server, "GET", "/_clary/health", {})[0] == 200
    assert send(server, "GET", "/_clary/nothing", {})[0] == 404
    assert send(server, "POST", "/_clary/reset", {"origin": "https://evil.example"})[0] == 403
