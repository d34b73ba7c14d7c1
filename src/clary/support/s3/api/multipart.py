"""Multipart uploads: begin, upload or copy parts, complete, abort, list."""

from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.objects.checksums import ALGORITHMS
from clary.kernel.objects.records import STANDARD, Claim, Part
from clary.kernel.objects.uploads import NamedPart
from clary.kernel.rooms import Context, operation
from clary.support.s3 import answers, requests
from clary.support.s3.api.listings import checked_limit, prefixes, wants_encoding
from clary.support.s3.api.objects import checked_source, copied
from clary.support.s3.reads import span_of

_OBJECT = "arn:aws:s3:::{Bucket}/{Key}"


@operation("s3", "CreateMultipartUpload", resource=_OBJECT)
def create_multipart_upload(
    ctx: Context,
    Bucket: str,
    Key: str,
    ChecksumAlgorithm: str | None = None,
    ChecksumType: str | None = None,
    ExpectedBucketOwner: str | None = None,
    **request: Any,
) -> dict[str, Any]:
    """Begin an upload in parts."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    requests.check_honoured("CreateMultipartUpload", request)
    upload = ctx.platform.objects.uploads.begin(
        Bucket,
        Key,
        content=requests.content(request),
        algorithm=requests.checked_algorithm(ChecksumAlgorithm) if ChecksumAlgorithm else "",
        checksum_type=ChecksumType or "",
        initiator=ctx.account,
        account=ctx.account,
    )
    output = {"Bucket": Bucket, "Key": Key, "UploadId": upload.id, **upload.encryption}
    if ChecksumAlgorithm:
        output |= {"ChecksumAlgorithm": upload.algorithm, "ChecksumType": upload.checksum_type}
    return output


@operation("s3", "UploadPart", resource=_OBJECT)
async def upload_part(
    ctx: Context,
    Bucket: str,
    Key: str,
    PartNumber: int,
    UploadId: str,
    Body: Any = None,
    ContentLength: int | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
    **request: Any,
) -> dict[str, Any]:
    """Store a part; durable when answered."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    body = requests.as_stream(Body)
    claim = requests.claim(ctx, request, body.content_length)
    requests.check_honoured("UploadPart", request)
    part = await ctx.platform.objects.uploads.put_part(
        Bucket, Key, UploadId, PartNumber, aiter(body), claim=claim, account=ctx.account
    )
    return {"ETag": requests.quoted(part.etag), **_told(part, claim.checksums)}


@operation("s3", "UploadPartCopy", resource=_OBJECT)
def upload_part_copy(
    ctx: Context,
    Bucket: str,
    Key: str,
    PartNumber: int,
    UploadId: str,
    CopySource: str,
    CopySourceRange: str | None = None,
    CopySourceIfMatch: str | None = None,
    CopySourceIfNoneMatch: str | None = None,
    CopySourceIfModifiedSince: float | None = None,
    CopySourceIfUnmodifiedSince: float | None = None,
    ExpectedBucketOwner: str | None = None,
    ExpectedSourceBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> dict[str, Any]:
    """Take a part from an object that is here already."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    requests.check_owner(ctx, ExpectedSourceBucketOwner)
    source = requests.copy_source(CopySource)
    origin = checked_source(
        ctx,
        source,
        CopySourceIfMatch,
        CopySourceIfNoneMatch,
        CopySourceIfModifiedSince,
        CopySourceIfUnmodifiedSince,
    )
    span = span_of(origin, CopySourceRange, None)
    end = CopySourceRange.rpartition("-")[2] if CopySourceRange is not None else ""
    if CopySourceRange is not None and (not span.partial or not end.isdigit() or int(end) >= origin.size):
        raise requests.invalid_argument(
            "x-amz-copy-source-range",
            CopySourceRange,
            "The x-amz-copy-source-range value must be of the form bytes=first-last, within the source object",
        )
    found = ctx.platform.objects.read(source[0], source[1], source[2], account=ctx.account)
    part = ctx.platform.objects.uploads.copy_part(
        Bucket,
        Key,
        UploadId,
        PartNumber,
        found.data if found.data is not None else str(found.path),
        (span.offset, span.length),
        account=ctx.account,
    )
    output: dict[str, Any] = {"CopyPartResult": copied(part.etag, part.modified, _told(part, part.checksums))}
    if origin.versioned:
        output["CopySourceVersionId"] = origin.version_id
    return output


@operation("s3", "CompleteMultipartUpload", resource=_OBJECT)
def complete_multipart_upload(
    ctx: Context,
    Bucket: str,
    Key: str,
    UploadId: str,
    MultipartUpload: dict[str, Any] | None = None,
    ChecksumType: str | None = None,
    MpuObjectSize: int | None = None,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
    **request: Any,
) -> dict[str, Any]:
    """Make one object of the parts named."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    claimed = {name: request.pop(f"Checksum{name}") for name in ALGORITHMS if request.get(f"Checksum{name}")}
    requests.check_honoured("CompleteMultipartUpload", request)
    uploads = ctx.platform.objects.uploads
    if ChecksumType is not None:
        begun = uploads.get(Bucket, Key, UploadId, account=ctx.account)
        if begun.checksum_type != ChecksumType:
            raise AwsError(
                "InvalidRequest",
                f"The upload was created using the {begun.checksum_type} checksum mode. The complete request must use "
                "the same checksum mode.",
                status=400,
            )
    version = uploads.complete(
        Bucket,
        Key,
        UploadId,
        [_named(part) for part in (MultipartUpload or {}).get("Parts") or []],
        claim=Claim(checksums=claimed, size=MpuObjectSize),
        condition=requests.condition(IfMatch, IfNoneMatch),
        account=ctx.account,
    )
    location = f"{ctx.endpoint}/{Bucket}/{answers.encoded(Key)}"
    return answers.stored(version) | {"Location": location, "Bucket": Bucket, "Key": Key}


@operation("s3", "AbortMultipartUpload", resource=_OBJECT)
def abort_multipart_upload(
    ctx: Context,
    Bucket: str,
    Key: str,
    UploadId: str,
    IfMatchInitiatedTime: float | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> None:
    """Drop an upload and its parts."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    uploads = ctx.platform.objects.uploads
    if IfMatchInitiatedTime is not None:
        begun = uploads.get(Bucket, Key, UploadId, account=ctx.account)
        if int(begun.initiated) != int(IfMatchInitiatedTime):
            raise AwsError("PreconditionFailed", "The upload was initiated at another time.", status=412)
    uploads.abort(Bucket, Key, UploadId, account=ctx.account)


@operation("s3", "ListParts", resource=_OBJECT)
def list_parts(
    ctx: Context,
    Bucket: str,
    Key: str,
    UploadId: str,
    MaxParts: int | None = None,
    PartNumberMarker: str | int | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> dict[str, Any]:
    """List the parts that have arrived."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    limit = checked_limit("max-parts", MaxParts)
    marker = str(PartNumberMarker or 0)
    if not marker.isdigit() or int(marker) > 65_534:
        raise requests.invalid_argument("part-number-marker", marker, "Argument must be an integer")
    upload, parts, more = ctx.platform.objects.uploads.parts(
        Bucket, Key, UploadId, after=int(marker), limit=limit, account=ctx.account
    )
    output: dict[str, Any] = {
        "Bucket": Bucket,
        "Key": Key,
        "UploadId": UploadId,
        "PartNumberMarker": int(marker),
        "MaxParts": limit,
        "IsTruncated": more,
        "Parts": [
            {
                "PartNumber": part.number,
                "LastModified": part.modified,
                "ETag": requests.quoted(part.etag),
                "Size": part.size,
                **_told(part, {upload.algorithm: ""}),
            }
            for part in parts
        ],
        "Initiator": answers.owner(upload.account),
        "Owner": answers.owner(ctx.account),
        "StorageClass": upload.storage_class or STANDARD,
        "ChecksumAlgorithm": upload.algorithm,
        "ChecksumType": upload.checksum_type,
    }
    if parts:
        output["NextPartNumberMarker"] = parts[-1].number
    return output


@operation("s3", "ListMultipartUploads", resource="arn:aws:s3:::{Bucket}")
def list_multipart_uploads(
    ctx: Context,
    Bucket: str,
    Delimiter: str | None = None,
    EncodingType: str | None = None,
    KeyMarker: str | None = None,
    MaxUploads: int | None = None,
    Prefix: str | None = None,
    UploadIdMarker: str | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> dict[str, Any]:
    """List the uploads that are neither complete nor aborted."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    encode = wants_encoding(EncodingType)
    limit = checked_limit("max-uploads", MaxUploads)
    page = ctx.platform.objects.uploads.page(
        Bucket,
        prefix=Prefix or "",
        delimiter=Delimiter or "",
        after=KeyMarker or "",
        after_id=(UploadIdMarker or "") if KeyMarker else "",
        limit=limit,
        account=ctx.account,
    )
    name = answers.encoded if encode else str
    output: dict[str, Any] = {
        "Bucket": Bucket,
        "KeyMarker": name(KeyMarker or ""),
        "UploadIdMarker": UploadIdMarker or "",
        "Prefix": name(Prefix or ""),
        "Delimiter": None if Delimiter is None else name(Delimiter),
        "EncodingType": EncodingType,
        "MaxUploads": limit,
        "IsTruncated": page.truncated,
        "Uploads": [
            {
                "UploadId": upload.id,
                "Key": name(upload.key),
                "Initiated": upload.initiated,
                "StorageClass": upload.storage_class or STANDARD,
                "Owner": answers.owner(ctx.account),
                "Initiator": answers.owner(upload.account),
                "ChecksumAlgorithm": upload.algorithm,
                "ChecksumType": upload.checksum_type,
            }
            for upload in page.entries
        ],
        "CommonPrefixes": prefixes(page.prefixes, encode),
    }
    if page.truncated:
        output |= {"NextKeyMarker": name(page.last), "NextUploadIdMarker": page.last_id}
    return output


def _named(part: dict[str, Any]) -> NamedPart:
    if part.get("PartNumber") is None or not part.get("ETag"):
        raise AwsError("MalformedXML", "Each part needs its PartNumber and its ETag.", status=400)
    checksums = {name: part[f"Checksum{name}"] for name in ALGORITHMS if part.get(f"Checksum{name}")}
    return NamedPart(part["PartNumber"], requests.unquoted(part["ETag"]), checksums)


def _told(part: Part, algorithms: dict[str, str]) -> dict[str, str]:
    """Return the checksums of a part that the client asked for."""
    return {f"Checksum{name}": part.checksums[name] for name in algorithms if name in part.checksums}
