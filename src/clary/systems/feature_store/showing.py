"""Stored records as answers show them. A whole record is stored as it is shown, and passed on unread."""

from collections.abc import Sequence

import orjson

from clary.kernel.online import Item
from clary.kernel.wire import Encoded
from clary.systems.feature_store.lookup import invalid
from clary.systems.feature_store.views import View


def shown(view: View, item: Item, names: Sequence[str] | None) -> Encoded | None:
    """The values of a record, or those of the features that are asked for; None where it has none of them.

    Raises ValidationError for features that the group does not have.
    """
    json = item.data if names is None else shown_of(view, item, names)
    return None if json is None else Encoded(json)


def shown_of(view: View, item: Item, names: Sequence[str]) -> bytes | None:
    """`shown` for the features that are asked for, as JSON."""
    check_names(view, names)
    wanted = frozenset(names)
    kept = [value for value in orjson.loads(item.data) if value["FeatureName"] in wanted]
    return orjson.dumps(kept) if kept else None


def check_names(view: View, names: Sequence[str]) -> None:
    """Raise ValidationError unless the group has all these features."""
    unknown = [name for name in names if name not in view.features]
    if unknown:
        raise invalid(f"FeatureNames are not defined in FeatureGroup {view.place.name}: {', '.join(unknown)}.")
