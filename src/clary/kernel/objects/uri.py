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


def normal_s3_uri(text: str, member: str) -> str:
    """`s3://bucket/key` of an S3 URI or an S3 URL. Raises ValidationException naming the member."""
    scheme, _, rest = text.partition("://")
    host, _, path = rest.partition("/")
    if scheme == "s3" and host:
        return text
    if scheme == "https" and ".amazonaws.com" in host:
        first = host.partition(".")[0]
        if first == "s3" or first.startswith("s3-"):
            bucket, _, key = path.partition("/")
        else:
            bucket, key = host.partition(".s3")[0], path
        if bucket:
            return f"s3://{bucket}/{key}"
    raise validation(f"{member}: {text!r} does not name a place in S3; write s3://bucket/prefix.")
