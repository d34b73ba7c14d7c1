"""Tags, attributes and access control lists of objects."""

from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.objects.checksums import COMPOSITE
from clary.kernel.objects.records import ObjectVersion
from clary.kernel.rooms import Context, operation
from clary.support.s3 import answers, requests
from clary.support.s3.api.listings import checked_limit

_OBJECT = "arn:aws:s3:::{Bucket}/{Key}"
_ATTRIBUTES = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})


@operation("s3", "GetObjectTagging", resource=_OBJECT)
def get_object_tagging(
    ctx: Context,
    Bucket: str,
    Key: str,
    VersionId: str | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> dict[str, Any]:
    """Tell the tags of a version."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    version = ctx.platform.objects.find(Bucket, Key, VersionId, account=ctx.account)
    return _of_version(version) | {"TagSet": answers.tag_set(version.tags)}


@operation("s3", "PutObjectTagging", resource=_OBJECT)
def put_object_tagging(
    ctx: Context,
    Bucket: str,
    Key: str,
    Tagging: dict[str, Any],
    VersionId: str | None = None,
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> dict[str, Any]:
    """Replace the tags of a version."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    return _retag(ctx, Bucket, Key, VersionId, requests.checked_tags(Tagging["TagSet"], requests.MOST_TAGS))


@operation("s3", "DeleteObjectTagging", resource=_OBJECT)
def delete_object_tagging(
    ctx: Context, Bucket: str, Key: str, VersionId: str | None = None, ExpectedBucketOwner: str | None = None
) -> dict[str, Any]:
    """Remove the tags of a version."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    return _retag(ctx, Bucket, Key, VersionId, {})


@operation("s3", "GetObjectAttributes", resource=_OBJECT)
def get_object_attributes(
    ctx: Context,
    Bucket: str,
    Key: str,
    ObjectAttributes: list[str],
    VersionId: str | None = None,
    MaxParts: int | None = None,
    PartNumberMarker: str | int | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> dict[str, Any]:
    """Tell the attributes asked for."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    unknown = set(ObjectAttributes) - _ATTRIBUTES
    if unknown:
        raise requests.invalid_argument(
            "x-amz-object-attributes", ",".join(unknown), "Invalid attribute name specified"
        )
    version = ctx.platform.objects.find(Bucket, Key, VersionId, account=ctx.account)
    output = _of_version(version) | {"LastModified": version.modified}
    if "ETag" in ObjectAttributes:
        output["ETag"] = version.etag
    if "Checksum" in ObjectAttributes and version.checksums:
        output["Checksum"] = {name: value.partition("-")[0] for name, value in answers.checksums(version).items()}
    if "ObjectParts" in ObjectAttributes and version.parts:
        output["ObjectParts"] = _parts(version, checked_limit("max-parts", MaxParts), str(PartNumberMarker or 0))
    if "StorageClass" in ObjectAttributes:
        output["StorageClass"] = answers.storage_class(version)
    if "ObjectSize" in ObjectAttributes:
        output["ObjectSize"] = version.size
    return output


@operation("s3", "GetObjectAcl", resource=_OBJECT)
def get_object_acl(
    ctx: Context,
    Bucket: str,
    Key: str,
    VersionId: str | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
) -> dict[str, Any]:
    """Tell that the object is its owner's alone."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    ctx.platform.objects.find(Bucket, Key, VersionId, account=ctx.account)
    return private_acl(ctx.account)


@operation("s3", "PutObjectAcl", resource=_OBJECT)
def put_object_acl(
    ctx: Context,
    Bucket: str,
    Key: str,
    ACL: str | None = None,
    VersionId: str | None = None,
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
    RequestPayer: str | None = None,
    **grants: Any,
) -> None:
    """Accept that an object stays private; refuse everything else."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    require_private(ACL, grants)
    ctx.platform.objects.find(Bucket, Key, VersionId, account=ctx.account)


def private_acl(account: str) -> dict[str, Any]:
    """Return the access control list of everything here."""
    owner = answers.owner(account)
    return {"Owner": owner, "Grants": [{"Grantee": {"Type": "CanonicalUser", **owner}, "Permission": "FULL_CONTROL"}]}


def require_private(acl: str | None, grants: dict[str, Any]) -> None:
    """Refuse an access control list that would change something."""
    if grants or acl is None:
        raise requests.acl_refused()
    requests.check_acl(acl)


def _retag(ctx: Context, bucket: str, key: str, version_id: str | None, tags: dict[str, str]) -> dict[str, Any]:
    def change(version: ObjectVersion) -> None:
        if version.marker:
            raise AwsError("MethodNotAllowed", "A delete marker cannot have tags.", status=405)
        version.tags = tags

    return _of_version(ctx.platform.objects.restate(bucket, key, version_id, change, account=ctx.account))


def _of_version(version: ObjectVersion) -> dict[str, Any]:
    return {"VersionId": version.version_id} if version.versioned else {}


def _parts(version: ObjectVersion, limit: int, marker: str) -> dict[str, Any]:
    if not marker.isdigit():
        raise requests.invalid_argument("part-number-marker", marker, "Argument must be an integer")
    output: dict[str, Any] = {"TotalPartsCount": len(version.parts)}
    if version.checksum_type != COMPOSITE:
        # The parts of an object with one checksum over all are not told apart.
        return output
    algorithm = next(iter(version.checksums))
    following = [part for part in version.parts if part[0] > int(marker)]
    output |= {
        "PartNumberMarker": int(marker),
        "MaxParts": limit,
        "IsTruncated": len(following) > limit,
        "Parts": [
            {"PartNumber": number, "Size": size, f"Checksum{algorithm}": checksum}
            for number, size, checksum in following[:limit]
        ],
    }
    if following[:limit]:
        output["NextPartNumberMarker"] = following[:limit][-1][0]
    return output
