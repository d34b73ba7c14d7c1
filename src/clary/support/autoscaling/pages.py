"""The members by which lists of this service are paged."""

from typing import Any

from clary.kernel.core.errors import validation

_MOST_RESULTS = 50


def page_members(max_results: int | None, next_token: str | None) -> dict[str, Any]:
    """MaxResults and NextToken with the service's default. Raises ValidationException beyond its limits."""
    if max_results is not None and not 1 <= max_results <= _MOST_RESULTS:
        raise validation(f"MaxResults must be between 1 and {_MOST_RESULTS}; got {max_results}.")
    return {"MaxResults": max_results or _MOST_RESULTS, "NextToken": next_token}
