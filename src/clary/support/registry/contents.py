"""The content of model cards: JSON after AWS's published schema. Pure."""

from typing import Any

import orjson

_METADATA = (
    ("model_overview", "model_id"),
    ("model_overview", "model_name"),
    ("intended_uses", "risk_rating"),
    ("model_package_details", "model_package_group_name"),
    ("model_package_details", "model_package_arn"),
)


def metadata_only(content: str) -> str:
    """A card's content cut down to what AWS shows to those who may not decrypt it."""
    card = orjson.loads(content)
    kept: dict[str, Any] = {}
    for section, name in _METADATA:
        if name in card.get(section, {}):
            kept.setdefault(section, {})[name] = card[section][name]
    return orjson.dumps(kept).decode()
