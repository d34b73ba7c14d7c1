"""A function's tags: a few, kept with the function."""

from collections.abc import Mapping

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.tags import refuse_tags
from clary.support.lambda_.names import invalid


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that a function is to have. Raises InvalidParameterValueException."""
    try:
        refuse_tags(tags)
    except AwsError as error:
        raise invalid(error.message) from None
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise invalid(f"Tag {key[:128]!r} is invalid: keys have 1 to 128 characters, values up to 256.")
    return dict(tags)
