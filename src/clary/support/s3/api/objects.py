"""Objects: put, get, head, delete, copy. What moves data runs on the event loop and never blocks it for long."""

from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.objects.records import Condition, Content, ObjectVersion
from clary.kernel.rooms import Context, FileBody, Reply, operation
from clary.support.s3 import answers, permissions, requests
from clary.support.s3.reads import Span, is_unmodified, span_of

_OBJECT = "arn:aws:s3:::{Bucket}/{Key}"
_MOST_DELETES = 1000
_LARGEST_COPY = 5 * 1024**3
_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}


@operation("s3", "PutObject", resource=_OBJECT)
async def put_object(
    ctx: Context,
    Bucket: str,
    Key: str,
    Body: Any = None,
    ContentLength: int | None = None,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    ExpectedBucketOwner: str | None = None,
    **request: Any,
) -> dict[str, Any]:
    """Store an object; durable when answered."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    body = requests.as_stream(Body)
    claim = requests.claim(ctx, request, body.content_length)
    requests.check_honoured("PutObject", request)
    version = await ctx.platform.objects.put(
        Bucket,
        Key,
        aiter(body),
        content=requests.content(request),
        claim=claim,
        condition=requests.condition(IfMatch, IfNoneMatch),
        account=ctx.account,
    )
    return answers.stored(version) | version.encryption


@operation("s3", "GetObject", resource=_OBJECT)
async def get_object(
    ctx: Context,
    Bucket: str,
    Key: str,
    VersionId: str | None = None,
    Range: str | None = None,
    PartNumber: int | None = None,
    ChecksumMode: str | None = None,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    IfModifiedSince: float | None = None,
    IfUnmodifiedSince: float | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
    **overrides: Any,
) -> Reply:
    """Answer with an object, or a part of it."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    permissions.require_version(ctx, "s3:GetObject", Bucket, Key, VersionId)
    found = ctx.platform.objects.read(Bucket, Key, VersionId, account=ctx.account)
    version = found.version
    _refuse_marker(version, "GET")
    if is_unmodified(version, IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince):
        return _not_modified(version)
    span = span_of(version, Range, PartNumber)
    output = _described(version, span, ChecksumMode, PartNumber) | _overridden("GetObject", overrides)
    if found.path is not None:
        output["Body"] = FileBody(found.path, span.offset, span.length)
    else:
        assert found.data is not None
        output["Body"] = found.data[span.offset : span.offset + span.length] if span.partial else found.data
    return Reply(output, status=206 if span.partial else None)


@operation("s3", "HeadObject", resource=_OBJECT)
async def head_object(
    ctx: Context,
    Bucket: str,
    Key: str,
    VersionId: str | None = None,
    Range: str | None = None,
    PartNumber: int | None = None,
    ChecksumMode: str | None = None,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    IfModifiedSince: float | None = None,
    IfUnmodifiedSince: float | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
    **overrides: Any,
) -> Reply:
    """Answer with what GetObject would say, without the bytes."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    permissions.require_version(ctx, "s3:GetObject", Bucket, Key, VersionId)
    version = ctx.platform.objects.find(Bucket, Key, VersionId, account=ctx.account)
    _refuse_marker(version, "HEAD")
    if is_unmodified(version, IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince):
        return _not_modified(version)
    span = span_of(version, Range, PartNumber)
    output = _described(version, span, ChecksumMode, PartNumber) | _overridden("HeadObject", overrides)
    return Reply(output, status=206 if span.partial else None)


@operation("s3", "DeleteObject", resource=_OBJECT)
async def delete_object(
    ctx: Context,
    Bucket: str,
    Key: str,
    VersionId: str | None = None,
    IfMatch: str | None = None,
    IfMatchLastModifiedTime: float | None = None,
    IfMatchSize: int | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> dict[str, Any]:
    """Delete an object or a version; in a versioned bucket, an object is only marked."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    permissions.require_version(ctx, "s3:DeleteObject", Bucket, Key, VersionId)
    condition = Condition(
        if_match=None if IfMatch is None else requests.unquoted(IfMatch),
        if_modified=IfMatchLastModifiedTime,
        if_size=IfMatchSize,
    )
    removal = await ctx.platform.objects.delete_async(Bucket, Key, VersionId, condition=condition, account=ctx.account)
    if removal.marker is not None:
        return {"DeleteMarker": True, "VersionId": removal.marker.version_id}
    if VersionId is None or removal.gone is None:
        return {} if VersionId is None else {"VersionId": VersionId}
    return {"VersionId": VersionId} | ({"DeleteMarker": True} if removal.gone.marker else {})


@operation("s3", "DeleteObjects", resource="arn:aws:s3:::{Bucket}/*")
def delete_objects(
    ctx: Context,
    Bucket: str,
    Delete: dict[str, Any],
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> dict[str, Any]:
    """Delete up to a thousand objects in one commit. The gateway has checked the document's digests."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    wanted = Delete["Objects"]
    if not 0 < len(wanted) <= _MOST_DELETES:
        raise AwsError("MalformedXML", f"Name 1 to {_MOST_DELETES} objects to delete, not {len(wanted)}.", status=400)
    deleted: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    entries = []
    for entry in wanted:
        key, version_id = entry["Key"], entry.get("VersionId")
        try:
            permissions.require(ctx, "s3:DeleteObject", Bucket, key, version_id)
        except AwsError as error:
            errors.append(_named(key, version_id) | {"Code": error.code, "Message": error.message})
            continue
        condition = Condition(
            if_match=requests.unquoted(entry["ETag"]) if entry.get("ETag") else None,
            if_modified=entry.get("LastModifiedTime"),
            if_size=entry.get("Size"),
        )
        entries.append((key, version_id, condition))
    for deletion in ctx.platform.objects.delete_many(Bucket, entries, account=ctx.account):
        name = _named(deletion.key, deletion.version_id)
        if deletion.error is not None:
            errors.append(name | {"Code": deletion.error.code, "Message": deletion.error.message})
            continue
        assert deletion.removal is not None
        marker = deletion.removal.marker
        gone = deletion.removal.gone
        if marker is not None:
            name |= {"DeleteMarker": True, "DeleteMarkerVersionId": marker.version_id}
        elif gone is not None and gone.marker:
            name |= {"DeleteMarker": True, "DeleteMarkerVersionId": gone.version_id}
        deleted.append(name)
    return ({} if Delete.get("Quiet") else {"Deleted": deleted}) | {"Errors": errors}


@operation("s3", "CopyObject", resource=_OBJECT)
def copy_object(
    ctx: Context,
    Bucket: str,
    Key: str,
    CopySource: str,
    MetadataDirective: str = "COPY",
    TaggingDirective: str = "COPY",
    ChecksumAlgorithm: str | None = None,
    CopySourceIfMatch: str | None = None,
    CopySourceIfNoneMatch: str | None = None,
    CopySourceIfModifiedSince: float | None = None,
    CopySourceIfUnmodifiedSince: float | None = None,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    ExpectedBucketOwner: str | None = None,
    ExpectedSourceBucketOwner: str | None = None,
    **request: Any,
) -> dict[str, Any]:
    """Copy an object without moving its bytes; they are shared on disk."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    requests.check_owner(ctx, ExpectedSourceBucketOwner)
    requests.check_honoured("CopyObject", request)
    for name, value in (("x-amz-metadata-directive", MetadataDirective), ("x-amz-tagging-directive", TaggingDirective)):
        if value not in {"COPY", "REPLACE"}:
            raise requests.invalid_argument(name, value, "Unknown directive")
    bucket, key, version_id = source = requests.copy_source(CopySource)
    origin = checked_source(
        ctx,
        source,
        CopySourceIfMatch,
        CopySourceIfNoneMatch,
        CopySourceIfModifiedSince,
        CopySourceIfUnmodifiedSince,
    )
    given = requests.content(request)
    same = (bucket, key) == (Bucket, Key) and version_id is None
    if same and MetadataDirective == "COPY" and not (given.storage_class or given.encryption or given.headers):
        raise AwsError(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
            status=400,
        )

    def describe(version: ObjectVersion) -> Content:
        replaces = MetadataDirective == "REPLACE"
        return Content(
            headers=given.headers if replaces else version.headers,
            metadata=given.metadata if replaces else version.metadata,
            tags=given.tags if TaggingDirective == "REPLACE" else version.tags,
            storage_class=given.storage_class,
            encryption=given.encryption,
        )

    version = ctx.platform.objects.copy(
        source,
        (Bucket, Key),
        describe=describe,
        algorithm=requests.checked_algorithm(ChecksumAlgorithm) if ChecksumAlgorithm else "",
        condition=requests.condition(IfMatch, IfNoneMatch),
        account=ctx.account,
    )
    output: dict[str, Any] = {"CopyObjectResult": copied(version.etag, version.modified, answers.checksums(version))}
    output |= version.encryption
    if version.versioned:
        output["VersionId"] = version.version_id
    if origin.versioned:
        output["CopySourceVersionId"] = origin.version_id
    return output


def checked_source(
    ctx: Context,
    source: tuple[str, str, str | None],
    if_match: str | None,
    if_none_match: str | None,
    if_modified_since: float | None,
    if_unmodified_since: float | None,
) -> ObjectVersion:
    """Return the version to copy from, where the caller may read it. Raises PreconditionFailed where it is not as the
    client wants it."""
    permissions.require(ctx, "s3:GetObject", *source)
    version = ctx.platform.objects.find(*source, account=ctx.account)
    if version.marker:
        raise AwsError(
            "InvalidRequest", "The source of a copy request may not specifically refer to a delete marker.", status=400
        )
    if version.size > _LARGEST_COPY:
        raise AwsError(
            "InvalidRequest",
            f"The specified copy source is larger than the maximum allowable size for a copy source: {_LARGEST_COPY}",
            status=400,
        )
    if is_unmodified(version, if_match, if_none_match, if_modified_since, if_unmodified_since):
        raise AwsError(
            "PreconditionFailed", "At least one of the preconditions of the copy source did not hold.", status=412
        )
    return version


def copied(etag: str, modified: float, checksums: dict[str, str]) -> dict[str, Any]:
    """Return the result of a copy."""
    return {"ETag": requests.quoted(etag), "LastModified": modified, **checksums}


def _described(
    version: ObjectVersion, span: Span, checksum_mode: str | None, part_number: int | None
) -> dict[str, Any]:
    output = answers.described(version) | {"ContentLength": span.length}
    if span.partial:
        output["ContentRange"] = span.content_range
    elif checksum_mode == "ENABLED":
        output |= answers.checksums(version)
    if part_number is not None and version.parts:
        output["PartsCount"] = len(version.parts)
    return output


def _overridden(name: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the headers a client wants to be told instead of the stored ones."""
    for member, value in overrides.items():
        if member not in _OVERRIDES:
            requests.check_honoured(name, {member: value})
            raise requests.not_implemented(f"{member} of {name}", "leave it out")
    return {_OVERRIDES[member]: value for member, value in overrides.items()}


def _named(key: str, version_id: str | None) -> dict[str, Any]:
    return {"Key": key} | ({"VersionId": version_id} if version_id else {})


def _not_modified(version: ObjectVersion) -> Reply:
    told = answers.described(version)
    kept = ("ETag", "LastModified", "CacheControl", "Expires", "VersionId")
    return Reply({name: told[name] for name in kept if name in told}, status=304)


def _refuse_marker(version: ObjectVersion, method: str) -> None:
    if version.marker:
        raise AwsError(
            "MethodNotAllowed",
            "The specified method is not allowed against this resource: the version is a delete marker.",
            status=405,
            members={"Method": method, "ResourceType": "DeleteMarker"},
        )
