"""Buckets: create, delete, head, where they are, versioning."""

from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.support.s3 import answers, requests
from clary.support.s3.documents import OWNERSHIP, PUBLIC_ACCESS, TAGGING, checked_ownership

_BUCKET = "arn:aws:s3:::{Bucket}"
_MOST_BUCKET_TAGS = 50
_CLOSED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


@operation("s3", "CreateBucket", resource=_BUCKET)
def create_bucket(
    ctx: Context,
    Bucket: str,
    ACL: str | None = None,
    CreateBucketConfiguration: dict[str, Any] | None = None,
    ObjectOwnership: str | None = None,
    ObjectLockEnabledForBucket: bool | None = None,
) -> dict[str, str]:
    """Create a bucket in the region of the request, closed to the public like every new one on AWS."""
    requests.check_acl(ACL)
    if ObjectLockEnabledForBucket:
        raise requests.not_implemented("Object Lock", "nothing here could keep an operator from deleting files")
    configuration = dict(CreateBucketConfiguration or {})
    region = _region(ctx, configuration.pop("LocationConstraint", None))
    tags = requests.checked_tags(configuration.pop("Tags", None) or [], _MOST_BUCKET_TAGS)
    if configuration:
        names = ", ".join(sorted(configuration))
        raise requests.not_implemented(f"{names} of CreateBucketConfiguration", "directory buckets are not built")
    documents: dict[str, Any] = {
        OWNERSHIP: {"Rules": [{"ObjectOwnership": checked_ownership(ObjectOwnership or "BucketOwnerEnforced")}]},
        PUBLIC_ACCESS: _CLOSED,
    }
    if tags:
        documents[TAGGING] = {"TagSet": answers.tag_set(tags)}
    ctx.platform.objects.buckets.create(Bucket, ctx.account, region, documents)
    return {"Location": f"/{Bucket}", "BucketArn": f"arn:{ctx.partition}:s3:::{Bucket}"}


@operation("s3", "DeleteBucket", resource=_BUCKET)
def delete_bucket(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Delete an empty bucket."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    ctx.platform.objects.buckets.delete(Bucket, ctx.account)


@operation("s3", "HeadBucket", resource=_BUCKET)
def head_bucket(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, Any]:
    """Say whether a bucket is there and may be used, and where it is."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    bucket = ctx.platform.objects.buckets.get(Bucket, ctx.account)
    return {
        "BucketArn": f"arn:{ctx.partition}:s3:::{Bucket}",
        "BucketRegion": bucket.region,
        "AccessPointAlias": False,
    }


@operation("s3", "GetBucketLocation", resource=_BUCKET)
def get_bucket_location(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, Any]:
    """Name the bucket's region; nothing stands for us-east-1."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    region = ctx.platform.objects.buckets.get(Bucket, ctx.account).region
    return {} if region == "us-east-1" else {"LocationConstraint": region}


@operation("s3", "GetBucketVersioning", resource=_BUCKET)
def get_bucket_versioning(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, str]:
    """Say whether versions are kept; nothing stands for "never"."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    versioning = ctx.platform.objects.buckets.get(Bucket, ctx.account).versioning
    return {"Status": versioning} if versioning else {}


@operation("s3", "PutBucketVersioning", resource=_BUCKET)
def put_bucket_versioning(
    ctx: Context,
    Bucket: str,
    VersioningConfiguration: dict[str, str],
    ChecksumAlgorithm: str | None = None,
    ContentMD5: str | None = None,
    MFA: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Begin or suspend the keeping of versions."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    if VersioningConfiguration.get("MFADelete") == "Enabled" or MFA is not None:
        raise requests.not_implemented("MFA delete", "there are no MFA devices here")
    status = VersioningConfiguration.get("Status")
    if status not in {"Enabled", "Suspended"}:
        raise AwsError(
            "IllegalVersioningConfigurationException",
            f"The Versioning element must specify a Status of Enabled or Suspended, not {status}.",
            status=400,
        )
    ctx.platform.objects.buckets.change(Bucket, ctx.account, lambda bucket: setattr(bucket, "versioning", status))


def _region(ctx: Context, constraint: str | None) -> str:
    """Return where a new bucket is to be. Elsewhere than in us-east-1, S3 wants the region spelled out."""
    if constraint == "EU":
        constraint = "eu-west-1"
    if constraint is None and ctx.region == "us-east-1":
        return "us-east-1"
    if constraint is None:
        raise AwsError(
            "IllegalLocationConstraintException",
            "The unspecified location constraint is incompatible for the region specific endpoint this request was "
            f"sent to: give CreateBucketConfiguration={{'LocationConstraint': '{ctx.region}'}}.",
            status=400,
        )
    if ctx.region not in {constraint, "us-east-1"}:
        raise AwsError(
            "IllegalLocationConstraintException",
            f"The {constraint} location constraint is incompatible for the region specific endpoint this request was "
            f"sent to, which is that of {ctx.region}.",
            status=400,
        )
    return constraint
