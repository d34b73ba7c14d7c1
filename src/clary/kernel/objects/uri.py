"""S3 URIs."""

from clary.kernel.core.errors import validation

_SCHEMES = frozenset({"s3", "s3a", "s3n"})


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """Return (bucket, key or prefix) of `s3://bucket/key`. Raises ValidationException naming the URI."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in _SCHEMES or not bucket:
        raise validation(f"'{uri}' is not an S3 URI: it must look like s3://bucket/key")
    return bucket, key


def s3_uri(bucket: str, key: str) -> str:
    """Return the URI of an object or prefix."""
    return f"s3://{bucket}/{key}"
