"""The zips of functions and layers: taken in, looked through, kept, and handed out again.

They are objects of a bucket of Lambda's own, as on AWS, which no account can list or read; a function's Location is a
presigned URL that is good for ten minutes.
"""

import base64
import hashlib
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_uuid
from clary.kernel.jobs.services import split_uri
from clary.kernel.jobs.zips import UnusableZip, look_through
from clary.kernel.rooms import Context, Platform
from clary.support.lambda_.names import invalid

MOST_ZIPPED_BYTES = 50 * 1024**2
MOST_UNZIPPED_BYTES = 250 * 1024**2

_OWNER = "lambda"  # no account has this name: nobody can sign as it
_LOCATION_SECONDS = 600


def take_code(ctx: Context, given: Mapping[str, Any], kind: str, name: str) -> tuple[dict[str, Any], int]:
    """Keep the zip that `given` holds or names, durably. Return where it is, and how large it is unpacked.

    Raises InvalidParameterValueException for what is no usable zip, or names none.
    """
    data, unzipped = offered(ctx, given)
    return keep(ctx, data, kind, name), unzipped


def offered(ctx: Context, given: Mapping[str, Any]) -> tuple[bytes, int]:
    """The zip that `given` holds or names, and how large it is unpacked. Raises InvalidParameterValueException."""
    data = _bytes(ctx, given)
    return data, checked(data)


def checked(data: bytes) -> int:
    """How large a zip is unpacked. Raises InvalidParameterValueException when nobody could use it."""
    try:
        unzipped = look_through(io.BytesIO(data))
    except UnusableZip as error:
        raise invalid(
            f"Could not unzip uploaded file. Please check your file, then try to upload again. ({error})"
        ) from None
    if unzipped > MOST_UNZIPPED_BYTES:
        raise invalid(f"Unzipped size must be smaller than {MOST_UNZIPPED_BYTES} bytes")
    return unzipped


def keep(ctx: Context, data: bytes, kind: str, name: str) -> dict[str, Any]:
    """Store a zip; where it is, and what it is."""
    bucket = f"awslambda-{ctx.region}-{kind}"
    objects = ctx.platform.objects
    objects.buckets.ensure(bucket, _OWNER, ctx.region)
    key = f"snapshots/{ctx.account}/{name}-{new_uuid()}"
    objects.put_bytes(bucket, key, data)
    return {"uri": f"s3://{bucket}/{key}", **digest(data)}


def digest(data: bytes) -> dict[str, Any]:
    """What AWS tells of a zip: its SHA-256 in base64, and its size."""
    return {"sha256": base64.b64encode(hashlib.sha256(data).digest()).decode(), "size": len(data)}


def drop(platform: Platform, code: Mapping[str, Any]) -> None:
    """Remove a zip that nothing names any more."""
    platform.objects.delete(*split_uri(code["uri"]))


def location(ctx: Context, code: Mapping[str, Any]) -> str:
    """A URL where whoever has it may fetch the zip, for ten minutes."""
    bucket, key = split_uri(code["uri"])
    key_id, pair = ctx.platform.keys.issue(Principal("root", _OWNER), _LOCATION_SECONDS)
    request = AWSRequest("GET", f"{ctx.endpoint or ctx.platform.endpoint}/{bucket}/{quote(key)}")
    credentials = Credentials(key_id, pair.secret, pair.session_token)
    S3SigV4QueryAuth(credentials, "s3", ctx.region, expires=_LOCATION_SECONDS).add_auth(request)
    return str(request.url)


def _bytes(ctx: Context, given: Mapping[str, Any]) -> bytes:
    if given.get("ImageUri"):
        raise invalid("Container images are not supported by Clary: give the code as ZipFile or in S3.")
    for member in ("S3ObjectStorageMode", "SourceKMSKeyArn"):
        if given.get(member):
            raise invalid(f"{member} is not supported by Clary: leave it out; the zip is copied, and not encrypted.")
    data = given.get("ZipFile")
    if data is not None and (given.get("S3Bucket") or given.get("S3Key")):
        raise invalid("Please provide either the code's ZipFile or its S3 location, not both.")
    if data is None:
        data = _from_bucket(ctx, given)
    elif len(data) > MOST_ZIPPED_BYTES:
        raise AwsError(
            "RequestEntityTooLargeException",
            f"Zip files of a request are at most {MOST_ZIPPED_BYTES} bytes: put larger ones into S3.",
            status=413,
        )
    if not data:
        raise invalid("Uploaded file must be a non-empty zip")
    return bytes(data)


def _from_bucket(ctx: Context, given: Mapping[str, Any]) -> bytes:
    if not given.get("S3Bucket") or not given.get("S3Key"):
        raise invalid("Please provide a source for function code: ZipFile, or S3Bucket and S3Key.")
    where = {"Bucket": given["S3Bucket"], "Key": given["S3Key"]}
    if given.get("S3ObjectVersion"):
        where["VersionId"] = given["S3ObjectVersion"]
    try:
        head: Any = ctx.call("s3", "HeadObject", where)
        if head["ContentLength"] > MOST_UNZIPPED_BYTES:
            raise invalid(f"Unzipped size must be smaller than {MOST_UNZIPPED_BYTES} bytes")
        return ctx.platform.objects.get_bytes(
            where["Bucket"], where["Key"], where.get("VersionId"), account=ctx.account
        )
    except AwsError as error:
        if error.code == "InvalidParameterValueException":
            raise
        raise invalid(
            f"Error occurred while GetObject. S3 Error Code: {error.code}. S3 Error Message: {error.message}"
        ) from None
