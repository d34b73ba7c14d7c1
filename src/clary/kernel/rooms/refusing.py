"""Members of a request that a room refuses by name, instead of ignoring what they ask for."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.core.errors import not_supported


def refuse_members(request: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Raise ValidationException when the request has one of these members, given by path, each with what to do instead.

    Lists are searched through. A member whose value is false is as good as absent.
    """
    for path, why in refused.items():
        if _present(request, path.split(".")):
            raise not_supported(path, why)


def _present(value: Any, path: list[str]) -> bool:
    if not path:
        return bool(value)
    if isinstance(value, list):
        return any(_present(item, path) for item in value)
    return isinstance(value, Mapping) and path[0] in value and _present(value[path[0]], path[1:])
