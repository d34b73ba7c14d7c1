"""Requests signed by botocore's own signers, in the form the verifier takes."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clary.kernel.auth.principals import Credential, Principal

ENDPOINT = "http://127.0.0.1:4777"
KEY = "AKIAEXAMPLEEXAMPLE00"
SECRET = "a secret/with+signs"
ROOT = Principal("root", "000000000000")
CREDENTIALS = {KEY: Credential(KEY, SECRET, ROOT)}


@dataclass(frozen=True)
class Sent:
    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def replace(self, **changes: Any) -> "Sent":
        return Sent(**{**self.__dict__, **changes})

    def header(self, **changes: str) -> "Sent":
        named = {name.replace("_", "-"): value for name, value in changes.items()}
        return self.replace(headers={**self.headers, **named})


def credentials(token: str | None = None, secret: str = SECRET) -> Credentials:
    return Credentials(KEY, secret, token)


def send(
    signer: Any, method: str, target: str, *, headers: dict[str, str] | None = None, body: bytes = b"", **context: Any
) -> Sent:
    """What a server receives when botocore signs and sends this."""
    request = AWSRequest(method, ENDPOINT + target, headers=headers or {}, data=body)
    request.context.update(context)
    signer.add_auth(request)
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    received = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in prepared.headers.items()
    }
    received.setdefault("host", parts.netloc)
    return Sent(method, parts.path, parts.query, received)
