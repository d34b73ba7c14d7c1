"""A queue's tags: a few, kept with the queue."""

from collections.abc import Mapping

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.tags import refuse_tags
from clary.support.sqs.lookup import invalid_value


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that a queue is to have. Raises InvalidParameterValue."""
    try:
        refuse_tags(tags)
    except AwsError as error:
        raise invalid_value(error.message) from None
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise invalid_value(f"Tag {key[:128]!r} is invalid: keys have 1 to 128 characters, values up to 256.")
    return dict(tags)
