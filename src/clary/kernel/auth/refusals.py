"""How a failed signature is told: the same fault has another code and status in S3, query, JSON and REST services."""

from collections.abc import Mapping
from enum import Enum
from typing import Literal

from clary.kernel.core.errors import AwsError

Style = Literal["s3", "query", "json", "rest"]

S3_SCOPES = frozenset({"s3", "s3express"})
_STYLES: dict[str, Style] = {
    **dict.fromkeys(S3_SCOPES, "s3"),
    **dict.fromkeys(("iam", "sts", "sns", "sqs", "autoscaling", "rds", "ec2"), "query"),
    **dict.fromkeys(("lambda", "execute-api", "sagemaker-geospatial", "emr-serverless"), "rest"),
}


class Fault(Enum):
    """What can be wrong with a signature; the value is (S3, query, JSON, REST), each as code and status."""

    UNSIGNED = (
        ("AccessDenied", 403),
        ("MissingAuthenticationToken", 403),
        ("MissingAuthenticationTokenException", 400),
        ("MissingAuthenticationTokenException", 403),
    )
    MALFORMED_HEADER = (
        ("AuthorizationHeaderMalformed", 400),
        ("IncompleteSignature", 400),
        ("IncompleteSignatureException", 400),
        ("IncompleteSignatureException", 403),
    )
    MALFORMED_QUERY = (
        ("AuthorizationQueryParametersError", 400),
        ("IncompleteSignature", 400),
        ("IncompleteSignatureException", 400),
        ("IncompleteSignatureException", 403),
    )
    ALGORITHM = (
        ("InvalidRequest", 400),
        ("IncompleteSignature", 400),
        ("IncompleteSignatureException", 400),
        ("IncompleteSignatureException", 403),
    )
    UNKNOWN_KEY = (
        ("InvalidAccessKeyId", 403),
        ("InvalidClientTokenId", 403),
        ("UnrecognizedClientException", 400),
        ("UnrecognizedClientException", 403),
    )
    BAD_TOKEN = (
        ("InvalidToken", 400),
        ("InvalidClientTokenId", 403),
        ("UnrecognizedClientException", 400),
        ("UnrecognizedClientException", 403),
    )
    EXPIRED_TOKEN = (
        ("ExpiredToken", 400),
        ("ExpiredToken", 403),
        ("ExpiredTokenException", 400),
        ("ExpiredTokenException", 403),
    )
    SKEWED = (
        ("RequestTimeTooSkewed", 403),
        ("SignatureDoesNotMatch", 403),
        ("InvalidSignatureException", 400),
        ("InvalidSignatureException", 403),
    )
    EXPIRED = (
        ("AccessDenied", 403),
        ("SignatureDoesNotMatch", 403),
        ("InvalidSignatureException", 400),
        ("InvalidSignatureException", 403),
    )
    HEADERS_NOT_SIGNED = (
        ("AccessDenied", 403),
        ("SignatureDoesNotMatch", 403),
        ("InvalidSignatureException", 400),
        ("InvalidSignatureException", 403),
    )
    MISMATCH = (
        ("SignatureDoesNotMatch", 403),
        ("SignatureDoesNotMatch", 403),
        ("InvalidSignatureException", 400),
        ("InvalidSignatureException", 403),
    )
    BODY_HASH = (
        ("XAmzContentSHA256Mismatch", 400),
        ("SignatureDoesNotMatch", 403),
        ("InvalidSignatureException", 400),
        ("InvalidSignatureException", 403),
    )


_COLUMN: dict[Style, int] = {"s3": 0, "query": 1, "json": 2, "rest": 3}


def refuse(fault: Fault, style: Style, message: str) -> AwsError:
    """The error to raise for `fault`, spelled as services of that style spell it."""
    code, status = fault.value[_COLUMN[style]]
    return AwsError(code, message, status=status)


def style_of(service: str) -> Style:
    """The style that the service named in a credential scope uses, before the operation is known."""
    return _STYLES.get(service, "json")


def guess_style(headers: Mapping[str, str]) -> Style:
    """The style of a request whose signature is missing or cannot be read."""
    content_type = headers.get("content-type", "")
    if "x-amz-target" in headers or content_type.startswith(("application/x-amz-json", "application/x-amz-cbor")):
        return "json"
    return "query" if content_type.startswith("application/x-www-form-urlencoded") else "s3"
