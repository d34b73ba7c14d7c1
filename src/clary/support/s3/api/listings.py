"""Listings: of objects (both versions of the API), of versions, of buckets."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from clary.kernel.objects.listing import ListedVersion, Page, listed, words
from clary.kernel.rooms import Context, operation
from clary.kernel.wire.xml_write import Written
from clary.support.s3 import answers, requests

_BUCKET = "arn:aws:s3:::{Bucket}"
_MOST = 1000
_MOST_BUCKETS = 10_000


@operation("s3", "ListObjectsV2", resource=_BUCKET)
async def list_objects_v2(
    ctx: Context,
    Bucket: str,
    Delimiter: str | None = None,
    EncodingType: str | None = None,
    MaxKeys: int | None = None,
    Prefix: str | None = None,
    ContinuationToken: str | None = None,
    FetchOwner: bool | None = None,
    StartAfter: str | None = None,
    RequestPayer: str | None = None,
    ExpectedBucketOwner: str | None = None,
    OptionalObjectAttributes: list[str] | None = None,
) -> dict[str, Any]:
    """List objects in byte order, a page at a time."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    encode = wants_encoding(EncodingType)
    limit = checked_limit("max-keys", MaxKeys)
    after = _read_token(ContinuationToken) if ContinuationToken is not None else StartAfter or ""
    owner = answers.owner(ctx.account) if FetchOwner else None
    page = _page(ctx, Bucket, Prefix, Delimiter, after, limit)
    output = _echo(encode, Prefix=Prefix or "", Delimiter=Delimiter, StartAfter=StartAfter) | {
        "Name": Bucket,
        "MaxKeys": limit,
        "KeyCount": len(page.entries) + len(page.prefixes),
        "IsTruncated": page.truncated,
        "EncodingType": EncodingType,
        "ContinuationToken": ContinuationToken,
        "Contents": _contents(ctx, page, encode, owner),
        "CommonPrefixes": prefixes(page.prefixes, encode),
    }
    if page.truncated:
        output["NextContinuationToken"] = _token(page.last)
    return output


@operation("s3", "ListObjects", resource=_BUCKET)
async def list_objects(
    ctx: Context,
    Bucket: str,
    Delimiter: str | None = None,
    EncodingType: str | None = None,
    Marker: str | None = None,
    MaxKeys: int | None = None,
    Prefix: str | None = None,
    RequestPayer: str | None = None,
    ExpectedBucketOwner: str | None = None,
    OptionalObjectAttributes: list[str] | None = None,
) -> dict[str, Any]:
    """List objects as the first version of the API does: the next page follows the last key."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    encode = wants_encoding(EncodingType)
    limit = checked_limit("max-keys", MaxKeys)
    owner = answers.owner(ctx.account)
    page = _page(ctx, Bucket, Prefix, Delimiter, Marker or "", limit)
    output = _echo(encode, Prefix=Prefix or "", Delimiter=Delimiter, Marker=Marker or "") | {
        "Name": Bucket,
        "MaxKeys": limit,
        "IsTruncated": page.truncated,
        "EncodingType": EncodingType,
        "Contents": _contents(ctx, page, encode, owner),
        "CommonPrefixes": prefixes(page.prefixes, encode),
    }
    if page.truncated and Delimiter:
        output |= _echo(encode, NextMarker=page.last)
    return output


@operation("s3", "ListObjectVersions", resource=_BUCKET)
def list_object_versions(
    ctx: Context,
    Bucket: str,
    Delimiter: str | None = None,
    EncodingType: str | None = None,
    KeyMarker: str | None = None,
    MaxKeys: int | None = None,
    Prefix: str | None = None,
    VersionIdMarker: str | None = None,
    RequestPayer: str | None = None,
    ExpectedBucketOwner: str | None = None,
    OptionalObjectAttributes: list[str] | None = None,
) -> dict[str, Any]:
    """List versions and delete markers, newest first within each key."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    encode = wants_encoding(EncodingType)
    limit = checked_limit("max-keys", MaxKeys)
    if VersionIdMarker and not KeyMarker:
        raise requests.invalid_argument(
            "version-id-marker", VersionIdMarker, "A version-id marker cannot be specified without a key marker."
        )
    page = ctx.platform.objects.page_of_versions(
        Bucket,
        prefix=Prefix or "",
        delimiter=Delimiter or "",
        after=KeyMarker or "",
        after_version=VersionIdMarker or "",
        limit=limit,
        account=ctx.account,
    )
    owner = answers.owner(ctx.account)
    output = _echo(encode, Prefix=Prefix or "", Delimiter=Delimiter, KeyMarker=KeyMarker or "") | {
        "Name": Bucket,
        "MaxKeys": limit,
        "IsTruncated": page.truncated,
        "EncodingType": EncodingType,
        "VersionIdMarker": VersionIdMarker or "",
        "Versions": [_version(entry, encode, owner) for entry in page.entries if not entry.version.marker],
        "DeleteMarkers": [_marker(entry, encode, owner) for entry in page.entries if entry.version.marker],
        "CommonPrefixes": prefixes(page.prefixes, encode),
    }
    if page.truncated:
        output |= _echo(encode, NextKeyMarker=page.last)
        if page.last_id:
            output["NextVersionIdMarker"] = page.last_id
    return output


@operation("s3", "ListBuckets")
def list_buckets(
    ctx: Context,
    MaxBuckets: int | None = None,
    ContinuationToken: str | None = None,
    Prefix: str | None = None,
    BucketRegion: str | None = None,
) -> dict[str, Any]:
    """List the caller's buckets."""
    if MaxBuckets is not None and not 1 <= MaxBuckets <= _MOST_BUCKETS:
        raise requests.invalid_argument("max-buckets", MaxBuckets, f"Argument must be between 1 and {_MOST_BUCKETS}")
    limit = MaxBuckets or _MOST_BUCKETS
    after = _read_token(ContinuationToken) if ContinuationToken else ""
    found = [
        bucket
        for bucket in ctx.platform.objects.buckets.all(ctx.account)
        if bucket.name > after
        and bucket.name.startswith(Prefix or "")
        and (BucketRegion is None or bucket.region == BucketRegion)
    ]
    output: dict[str, Any] = {
        "Buckets": [
            {"Name": bucket.name, "CreationDate": bucket.created, "BucketRegion": bucket.region}
            for bucket in found[:limit]
        ],
        "Owner": answers.owner(ctx.account),
        "Prefix": Prefix,
    }
    if len(found) > limit:
        output["ContinuationToken"] = _token(found[limit - 1].name)
    return output


def _page(ctx: Context, bucket: str, prefix: str | None, delimiter: str | None, after: str, limit: int) -> Page[Any]:
    """Return a page; of ready-made words when it goes to the wire, for a thousand entries are most of the work."""
    return ctx.platform.objects.page_of(
        words if ctx.headers is not None else listed,
        bucket,
        prefix=prefix or "",
        delimiter=delimiter or "",
        after=after,
        limit=limit,
        account=ctx.account,
    )


def _contents(ctx: Context, page: Page[Any], encode: bool, owner: dict[str, str] | None) -> Any:
    if ctx.headers is not None:
        return Written(answers.written(page.entries, encode, owner))
    return [answers.listed(entry, encode, owner) for entry in page.entries]


def wants_encoding(encoding_type: str | None) -> bool:
    """Say whether names are to be URL-encoded. Raises InvalidArgument."""
    if encoding_type not in {None, "url"}:
        raise requests.invalid_argument("encoding-type", encoding_type, "Invalid Encoding Method specified in Request")
    return encoding_type == "url"


def checked_limit(name: str, limit: int | None) -> int:
    """Return the page size. Raises InvalidArgument."""
    if limit is not None and not 0 <= limit < 2**31:
        raise requests.invalid_argument(name, limit, f"Argument {name} must be an integer between 0 and 2147483647")
    return _MOST if limit is None else min(limit, _MOST)


def prefixes(found: list[str], encode: bool) -> list[dict[str, str]]:
    """Return common prefixes as the wire has them."""
    return [{"Prefix": answers.encoded(prefix) if encode else prefix} for prefix in found]


def _echo(encode: bool, **names: str | None) -> dict[str, Any]:
    return {member: answers.encoded(name) if encode else name for member, name in names.items() if name is not None}


def _version(entry: ListedVersion, encode: bool, owner: dict[str, str]) -> dict[str, Any]:
    version = entry.version
    return _marker(entry, encode, owner) | {
        "ETag": requests.quoted(version.etag),
        "Size": version.size,
        "StorageClass": answers.storage_class(version),
        "ChecksumAlgorithm": list(version.checksums),
        "ChecksumType": version.checksum_type or None,
    }


def _marker(entry: ListedVersion, encode: bool, owner: dict[str, str]) -> dict[str, Any]:
    return {
        "Key": answers.encoded(entry.key) if encode else entry.key,
        "VersionId": entry.version.version_id,
        "IsLatest": entry.latest,
        "LastModified": entry.version.modified,
        "Owner": owner,
    }


def _token(name: str) -> str:
    return urlsafe_b64encode(b"1" + name.encode()).decode()


def _read_token(token: str) -> str:
    try:
        data = urlsafe_b64decode(token.encode())
        if data[:1] == b"1":
            return data[1:].decode()
    except (binascii.Error, UnicodeError):
        pass
    raise requests.invalid_argument("continuation-token", token, "The continuation token provided is incorrect")
