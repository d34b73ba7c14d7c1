"""The errors that the room answers with."""

from clary.kernel.core.errors import AwsError


def invalid(message: str, code: str = "INVALID_INPUT") -> AwsError:
    """What is wrong with a request; `code` is the AthenaErrorCode."""
    return AwsError("InvalidRequestException", message, members={"AthenaErrorCode": code})


def missing(message: str, arn: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, members={"ResourceName": arn})


def metadata(message: str) -> AwsError:
    return AwsError("MetadataException", message)
