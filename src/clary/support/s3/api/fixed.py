"""Configuration that has one answer here: what is never on is told as off, and cannot be switched on."""

from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, operation
from clary.support.s3 import requests
from clary.support.s3.api.tagging import private_acl, require_private

_BUCKET = "arn:aws:s3:::{Bucket}"


def _check(ctx: Context, bucket: str, expected_owner: str | None) -> None:
    requests.check_owner(ctx, expected_owner)
    ctx.platform.objects.buckets.get(bucket, ctx.account)


@operation("s3", "GetBucketAcl", resource=_BUCKET)
def get_bucket_acl(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, Any]:
    """Tell that the bucket is its owner's alone."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    return private_acl(ctx.account)


@operation("s3", "PutBucketAcl", resource=_BUCKET)
def put_bucket_acl(
    ctx: Context,
    Bucket: str,
    ACL: str | None = None,
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
    **grants: Any,
) -> None:
    """Accept that a bucket stays private; refuse everything else."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    require_private(ACL, grants)


@operation("s3", "GetBucketRequestPayment", resource=_BUCKET)
def get_bucket_request_payment(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, str]:
    """Tell that the owner pays."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    return {"Payer": "BucketOwner"}


@operation("s3", "PutBucketRequestPayment", resource=_BUCKET)
def put_bucket_request_payment(
    ctx: Context,
    Bucket: str,
    RequestPaymentConfiguration: dict[str, str],
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Accept that the owner pays; refuse Requester Pays."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    if RequestPaymentConfiguration["Payer"] != "BucketOwner":
        raise requests.not_implemented("Requester Pays", "nobody pays for requests here")


@operation("s3", "GetBucketAccelerateConfiguration", resource=_BUCKET)
def get_bucket_accelerate_configuration(
    ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None, RequestPayer: str | None = None
) -> None:
    """Tell that there is no acceleration."""
    _check(ctx, Bucket, ExpectedBucketOwner)


@operation("s3", "PutBucketAccelerateConfiguration", resource=_BUCKET)
def put_bucket_accelerate_configuration(
    ctx: Context,
    Bucket: str,
    AccelerateConfiguration: dict[str, str],
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Accept that acceleration stays off; refuse it on."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    if AccelerateConfiguration.get("Status") != "Suspended":
        raise requests.not_implemented("Transfer acceleration", "there are no edge locations")


@operation("s3", "GetBucketLogging", resource=_BUCKET)
def get_bucket_logging(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Tell that there is no access logging into buckets."""
    _check(ctx, Bucket, ExpectedBucketOwner)


@operation("s3", "PutBucketLogging", resource=_BUCKET)
def put_bucket_logging(
    ctx: Context,
    Bucket: str,
    BucketLoggingStatus: dict[str, Any],
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Accept that access logging stays off; refuse it on."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    if BucketLoggingStatus.get("LoggingEnabled"):
        raise requests.not_implemented("Server access logging into a bucket", "<home>/log/access.log has every request")


@operation("s3", "GetBucketWebsite", resource=_BUCKET)
def get_bucket_website(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Tell that the bucket is no website."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    raise AwsError(
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
        status=404,
        members={"BucketName": Bucket},
    )


@operation("s3", "PutBucketWebsite", resource=_BUCKET)
def put_bucket_website(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None, **_: Any) -> None:
    """Refuse static websites."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    raise requests.not_implemented("Static website hosting", "every request has to be signed")


@operation("s3", "DeleteBucketWebsite", resource=_BUCKET)
def delete_bucket_website(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Accept that the bucket is no website."""
    _check(ctx, Bucket, ExpectedBucketOwner)


@operation("s3", "GetBucketReplication", resource=_BUCKET)
def get_bucket_replication(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Tell that there is no replication."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    raise AwsError("ReplicationConfigurationNotFoundError", "The replication configuration was not found", status=404)


@operation("s3", "PutBucketReplication", resource=_BUCKET)
def put_bucket_replication(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None, **_: Any) -> None:
    """Refuse replication."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    raise requests.not_implemented("Replication", "there is one copy, on this machine's disk")


@operation("s3", "DeleteBucketReplication", resource=_BUCKET)
def delete_bucket_replication(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Accept that there is no replication."""
    _check(ctx, Bucket, ExpectedBucketOwner)


@operation("s3", "GetObjectLockConfiguration", resource=_BUCKET)
def get_object_lock_configuration(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Tell that there is no Object Lock."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    raise AwsError(
        "ObjectLockConfigurationNotFoundError",
        "Object Lock configuration does not exist for this bucket",
        status=404,
        members={"BucketName": Bucket},
    )


@operation("s3", "PutObjectLockConfiguration", resource=_BUCKET)
def put_object_lock_configuration(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None, **_: Any) -> None:
    """Refuse Object Lock."""
    _check(ctx, Bucket, ExpectedBucketOwner)
    raise requests.not_implemented("Object Lock", "nothing here could keep an operator from deleting files")
