"""The configuration of buckets: each a document that is checked, stored and told again as it came."""

import json
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.objects.events import NOTIFICATION
from clary.kernel.rooms import Context, operation
from clary.support.s3 import answers, documents, requests
from clary.support.s3.documents import CORS, ENCRYPTION, LIFECYCLE, OWNERSHIP, POLICY, PUBLIC_ACCESS, TAGGING

_BUCKET = "arn:aws:s3:::{Bucket}"

_ABSENT = {
    CORS: ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    ENCRYPTION: (
        "ServerSideEncryptionConfigurationNotFoundError",
        "The server side encryption configuration was not found",
    ),
    LIFECYCLE: ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    OWNERSHIP: ("OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
    POLICY: ("NoSuchBucketPolicy", "The bucket policy does not exist"),
    PUBLIC_ACCESS: (
        "NoSuchPublicAccessBlockConfiguration",
        "The public access block configuration was not found",
    ),
    TAGGING: ("NoSuchTagSet", "The TagSet does not exist"),
}
_LARGEST_POLICY = 20 * 1024
_MOST_BUCKET_TAGS = 50


def _get(ctx: Context, bucket: str, expected_owner: str | None, name: str) -> Any:
    """Return a document. Raises the error S3 has for its absence."""
    requests.check_owner(ctx, expected_owner)
    document = ctx.platform.objects.buckets.document(bucket, name, ctx.account)
    if document is None:
        code, message = _ABSENT[name]
        raise AwsError(code, message, status=404, members={"BucketName": bucket})
    return document


def _put(ctx: Context, bucket: str, expected_owner: str | None, name: str, document: Any) -> None:
    requests.check_owner(ctx, expected_owner)
    ctx.platform.objects.buckets.put_document(bucket, name, document, ctx.account)


@operation("s3", "GetBucketCors", resource=_BUCKET)
def get_bucket_cors(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> Any:
    """Tell the CORS rules."""
    return _get(ctx, Bucket, ExpectedBucketOwner, CORS)


@operation("s3", "PutBucketCors", resource=_BUCKET)
def put_bucket_cors(
    ctx: Context,
    Bucket: str,
    CORSConfiguration: dict[str, Any],
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Store the rules by which the gateway answers browsers of other origins."""
    documents.check_cors(CORSConfiguration)
    _put(ctx, Bucket, ExpectedBucketOwner, CORS, CORSConfiguration)


@operation("s3", "DeleteBucketCors", resource=_BUCKET)
def delete_bucket_cors(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Remove the CORS rules: browsers of other origins are kept out."""
    _put(ctx, Bucket, ExpectedBucketOwner, CORS, None)


@operation("s3", "GetBucketLifecycleConfiguration", resource=_BUCKET)
def get_bucket_lifecycle_configuration(
    ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None
) -> dict[str, Any]:
    """Tell the lifecycle rules."""
    return dict(_get(ctx, Bucket, ExpectedBucketOwner, LIFECYCLE))


@operation("s3", "PutBucketLifecycleConfiguration", resource=_BUCKET)
def put_bucket_lifecycle_configuration(
    ctx: Context,
    Bucket: str,
    LifecycleConfiguration: dict[str, Any] | None = None,
    ChecksumAlgorithm: str | None = None,
    TransitionDefaultMinimumObjectSize: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> dict[str, Any]:
    """Store the rules by which objects expire or change their storage class."""
    rules = documents.checked_lifecycle(LifecycleConfiguration or {})
    smallest = TransitionDefaultMinimumObjectSize or "all_storage_classes_128K"
    document = {"Rules": rules, "TransitionDefaultMinimumObjectSize": smallest}
    _put(ctx, Bucket, ExpectedBucketOwner, LIFECYCLE, document)
    ctx.platform.wake("s3-lifecycle", Bucket)
    return {"TransitionDefaultMinimumObjectSize": smallest}


@operation("s3", "DeleteBucketLifecycle", resource=_BUCKET)
def delete_bucket_lifecycle(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Remove the lifecycle rules: nothing expires."""
    _put(ctx, Bucket, ExpectedBucketOwner, LIFECYCLE, None)


@operation("s3", "GetBucketNotificationConfiguration", resource=_BUCKET)
def get_bucket_notification_configuration(
    ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None
) -> dict[str, Any]:
    """Tell the notification rules."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    return ctx.platform.objects.buckets.document(Bucket, NOTIFICATION, ctx.account) or {}


@operation("s3", "PutBucketNotificationConfiguration", resource=_BUCKET)
def put_bucket_notification_configuration(
    ctx: Context,
    Bucket: str,
    NotificationConfiguration: dict[str, Any],
    ExpectedBucketOwner: str | None = None,
    SkipDestinationValidation: bool | None = None,
) -> None:
    """Store who wants to hear of which events; from now on these are recorded. Destinations are not tried out."""
    requests.check_owner(ctx, ExpectedBucketOwner)
    document = documents.checked_notification(NotificationConfiguration)
    ctx.platform.objects.buckets.put_document(
        Bucket,
        NOTIFICATION,
        document or None,
        ctx.account,
        change=lambda bucket: setattr(bucket, "notifies", bool(document)),
    )


@operation("s3", "GetBucketTagging", resource=_BUCKET)
def get_bucket_tagging(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> Any:
    """Tell the bucket's tags."""
    return _get(ctx, Bucket, ExpectedBucketOwner, TAGGING)


@operation("s3", "PutBucketTagging", resource=_BUCKET)
def put_bucket_tagging(
    ctx: Context,
    Bucket: str,
    Tagging: dict[str, Any],
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Replace the bucket's tags."""
    tags = requests.checked_tags(Tagging["TagSet"], _MOST_BUCKET_TAGS)
    _put(ctx, Bucket, ExpectedBucketOwner, TAGGING, {"TagSet": answers.tag_set(tags)} if tags else None)


@operation("s3", "DeleteBucketTagging", resource=_BUCKET)
def delete_bucket_tagging(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Remove the bucket's tags."""
    _put(ctx, Bucket, ExpectedBucketOwner, TAGGING, None)


@operation("s3", "GetBucketPolicy", resource=_BUCKET)
def get_bucket_policy(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, str]:
    """Tell the policy as it was put."""
    return {"Policy": _get(ctx, Bucket, ExpectedBucketOwner, POLICY)}


@operation("s3", "GetBucketPolicyStatus", resource=_BUCKET)
def get_bucket_policy_status(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, Any]:
    """Tell that nobody outside the account gets in: policies are kept, and open nothing here."""
    _get(ctx, Bucket, ExpectedBucketOwner, POLICY)
    return {"PolicyStatus": {"IsPublic": False}}


@operation("s3", "PutBucketPolicy", resource=_BUCKET)
def put_bucket_policy(
    ctx: Context,
    Bucket: str,
    Policy: str,
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ConfirmRemoveSelfBucketAccess: bool | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Keep a policy for those who read it back."""
    try:
        document = json.loads(Policy)
    except ValueError as error:
        raise AwsError("MalformedPolicy", f"Policies must be valid JSON: {error}", status=400) from None
    if not isinstance(document, dict) or not isinstance(document.get("Statement"), list | dict):
        raise AwsError("MalformedPolicy", "Missing required field Statement", status=400)
    if len(Policy.encode()) > _LARGEST_POLICY:
        raise AwsError("PolicyTooLarge", f"A bucket policy has at most {_LARGEST_POLICY} bytes.", status=400)
    _put(ctx, Bucket, ExpectedBucketOwner, POLICY, Policy)


@operation("s3", "DeleteBucketPolicy", resource=_BUCKET)
def delete_bucket_policy(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Remove the policy."""
    _put(ctx, Bucket, ExpectedBucketOwner, POLICY, None)


@operation("s3", "GetPublicAccessBlock", resource=_BUCKET)
def get_public_access_block(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, Any]:
    """Tell the choice about public access."""
    return {"PublicAccessBlockConfiguration": _get(ctx, Bucket, ExpectedBucketOwner, PUBLIC_ACCESS)}


@operation("s3", "PutPublicAccessBlock", resource=_BUCKET)
def put_public_access_block(
    ctx: Context,
    Bucket: str,
    PublicAccessBlockConfiguration: dict[str, Any],
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Keep the choice; nothing is public either way."""
    _put(ctx, Bucket, ExpectedBucketOwner, PUBLIC_ACCESS, PublicAccessBlockConfiguration)


@operation("s3", "DeletePublicAccessBlock", resource=_BUCKET)
def delete_public_access_block(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Forget the choice about public access; nothing is public either way."""
    _put(ctx, Bucket, ExpectedBucketOwner, PUBLIC_ACCESS, None)


@operation("s3", "GetBucketOwnershipControls", resource=_BUCKET)
def get_bucket_ownership_controls(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, Any]:
    """Tell the choice about ownership."""
    return {"OwnershipControls": _get(ctx, Bucket, ExpectedBucketOwner, OWNERSHIP)}


@operation("s3", "PutBucketOwnershipControls", resource=_BUCKET)
def put_bucket_ownership_controls(
    ctx: Context,
    Bucket: str,
    OwnershipControls: dict[str, Any],
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Keep the choice; every object is the bucket owner's either way."""
    for rule in OwnershipControls["Rules"]:
        documents.checked_ownership(rule["ObjectOwnership"])
    _put(ctx, Bucket, ExpectedBucketOwner, OWNERSHIP, OwnershipControls)


@operation("s3", "DeleteBucketOwnershipControls", resource=_BUCKET)
def delete_bucket_ownership_controls(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Forget the choice about ownership."""
    _put(ctx, Bucket, ExpectedBucketOwner, OWNERSHIP, None)


@operation("s3", "GetBucketEncryption", resource=_BUCKET)
def get_bucket_encryption(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> dict[str, Any]:
    """Tell the choice about encryption."""
    return {"ServerSideEncryptionConfiguration": _get(ctx, Bucket, ExpectedBucketOwner, ENCRYPTION)}


@operation("s3", "PutBucketEncryption", resource=_BUCKET)
def put_bucket_encryption(
    ctx: Context,
    Bucket: str,
    ServerSideEncryptionConfiguration: dict[str, Any],
    ContentMD5: str | None = None,
    ChecksumAlgorithm: str | None = None,
    ExpectedBucketOwner: str | None = None,
) -> None:
    """Keep the choice; encryption at rest is the disk's business."""
    for rule in ServerSideEncryptionConfiguration["Rules"]:
        default = rule.get("ApplyServerSideEncryptionByDefault") or {}
        requests.encryption({"ServerSideEncryption": default.get("SSEAlgorithm")})
    _put(ctx, Bucket, ExpectedBucketOwner, ENCRYPTION, ServerSideEncryptionConfiguration)


@operation("s3", "DeleteBucketEncryption", resource=_BUCKET)
def delete_bucket_encryption(ctx: Context, Bucket: str, ExpectedBucketOwner: str | None = None) -> None:
    """Forget the choice about encryption."""
    _put(ctx, Bucket, ExpectedBucketOwner, ENCRYPTION, None)
