"""The errors that the room answers with."""

from clary.kernel.core.errors import AwsError


def invalid(message: str) -> AwsError:
    return AwsError("InvalidArgumentException", message)


def in_use(message: str) -> AwsError:
    return AwsError("ResourceInUseException", message)


def missing(name: str, account: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"Firehose {name} under account {account} not found.")
