"""Signature version 2 as S3 still accepts it: what presigned URLs of most SDKs carry by default.

Source: "Signing and authenticating REST requests" of the S3 user guide.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from urllib.parse import unquote

# Arguments that name a part of the object or the bucket, and those that override response headers, are signed.
_SIGNED_ARGUMENTS = re.compile(
    "accelerate|acl|analytics|cors|delete|encryption|intelligent-tiering|inventory|legal-hold|lifecycle|location|"
    "logging|metrics|notification|object-lock|ownershipControls|partNumber|policy|policyStatus|publicAccessBlock|"
    "replication|requestPayment|response-[a-z-]+|restore|retention|select|select-type|tagging|torrent|uploadId|"
    "uploads|versionId|versioning|versions|website"
).fullmatch


def query_claim(query: str) -> tuple[str, str]:
    """The access key and the signature that a presigned URL names."""
    claims = {"AWSAccessKeyId": "", "Signature": ""}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name in claims:
            claims[name] = unquote(value)
    return claims["AWSAccessKeyId"], claims["Signature"]


def signature(secret: str, method: str, path: str, query: str, headers: Mapping[str, str], *, presigned: bool) -> str:
    """The signature this request must have: of its query when `presigned`, else of its headers."""
    text = _string_to_sign(method, path, query, headers, presigned)
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()


def _string_to_sign(method: str, path: str, query: str, headers: Mapping[str, str], presigned: bool) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    values = {name: value for name, _, value in pairs}
    amz = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
    content_md5 = headers.get("content-md5", "")
    content_type = headers.get("content-type", "")
    if presigned:
        # Headers of the signer travel as arguments; the client that opens the URL does not send them again.
        amz.update({name: unquote(value) for name, value in values.items() if name.startswith("x-amz-")})
        content_md5 = unquote(values["content-md5"]) if "content-md5" in values else content_md5
        content_type = unquote(values["content-type"]) if "content-type" in values else content_type
        date = unquote(values.get("Expires", ""))
    else:
        date = "" if "x-amz-date" in headers else headers.get("date", "")
    lines = [method, content_md5, content_type, date]
    lines += [f"{name}:{' '.join(amz[name].split())}" for name in sorted(amz)]
    signed = sorted((name, equals, value) for name, equals, value in pairs if _SIGNED_ARGUMENTS(name))
    resource = path or "/"
    if signed:
        resource += "?" + "&".join(name + equals + unquote(value) for name, equals, value in signed)
    return "\n".join([*lines, resource])
