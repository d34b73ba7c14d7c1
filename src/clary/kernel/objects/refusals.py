"""S3's errors about buckets, objects and uploads, each with the value that caused it."""

from clary.kernel.core.errors import AwsError


def no_such_bucket(bucket: str) -> AwsError:
    return AwsError(
        "NoSuchBucket", f"The bucket '{bucket}' does not exist.", status=404, members={"BucketName": bucket}
    )


def no_such_key(key: str) -> AwsError:
    return AwsError("NoSuchKey", f"The key '{key}' does not exist.", status=404, members={"Key": key})


def no_such_version(key: str, version_id: str) -> AwsError:
    return AwsError(
        "NoSuchVersion",
        f"The key '{key}' has no version '{version_id}'.",
        status=404,
        members={"Key": key, "VersionId": version_id},
    )


def no_such_upload(upload_id: str) -> AwsError:
    return AwsError(
        "NoSuchUpload",
        f"The upload '{upload_id}' does not exist: the id is wrong, or it was completed or aborted.",
        status=404,
        members={"UploadId": upload_id},
    )


def not_yours(bucket: str) -> AwsError:
    return AwsError("AccessDenied", f"The bucket '{bucket}' belongs to another account.", status=403)


def precondition_failed(condition: str) -> AwsError:
    return AwsError(
        "PreconditionFailed",
        f"At least one of the preconditions you specified did not hold: {condition}.",
        status=412,
        members={"Condition": condition},
    )


def bad_digest(name: str, claimed: str, computed: str) -> AwsError:
    return AwsError(
        "BadDigest", f"The {name} you specified, {claimed}, did not match what we received: {computed}.", status=400
    )


def invalid_part(number: int, why: str) -> AwsError:
    return AwsError("InvalidPart", f"Part {number} cannot be used: {why}.", status=400)
