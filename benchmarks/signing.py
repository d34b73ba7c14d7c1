"""Requests as a client would send them, signed by botocore, as bytes that can be replayed."""

from collections.abc import Mapping

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def signed(
    method: str,
    port: int,
    path: str,
    service: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    access_key: str = "test",
    secret: str = "test",
    region: str = "us-east-1",
) -> bytes:
    """One whole HTTP/1.1 request. Servers accept it for as long as their clock skew allows, 15 minutes on AWS."""
    host = f"127.0.0.1:{port}"
    request = AWSRequest(method, f"http://{host}{path}", headers=dict(headers or {}), data=body)
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(Credentials(access_key, secret), service, region).add_auth(request)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [
        f"{name}: {value}" for name, value in request.headers.items() if name.lower() not in {"host", "content-length"}
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def plain(method: str, port: int, path: str, *, body: bytes = b"", content_type: str = "application/json") -> bytes:
    """A request without a signature."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
