"""Tags, refused as Athena refuses them."""

from collections.abc import Mapping, Sequence

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.tags import read_tags
from clary.systems.athena.refusals import invalid


def check_tags(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Tags to store. Raises InvalidRequestException for those that a resource cannot have."""
    try:
        return read_tags(given)
    except AwsError as error:
        raise invalid(error.message) from None
