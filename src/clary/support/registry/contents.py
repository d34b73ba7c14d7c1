"""The content of model cards: JSON after AWS's published schema. Pure."""

from typing import Any

import orjson

from clary.kernel.core.errors import validation
from clary.support.registry.schema import CARD, Schema, problem

_METADATA = (
    ("model_overview", "model_id"),
    ("model_overview", "model_name"),
    ("intended_uses", "risk_rating"),
    ("model_package_details", "model_package_group_name"),
    ("model_package_details", "model_package_arn"),
)


def check_content(content: str, schema: Schema = CARD, what: str = "Content") -> None:
    """Raise ValidationException, which says where, unless a card's content follows the schema."""
    try:
        card = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise validation(f"{what} of the model card is not JSON: {error}") from None
    wrong = problem(card, schema)
    if wrong:
        raise validation(f"{what} does not follow the model card schema: {wrong}.")


def metadata_only(content: str) -> str:
    """A card's content cut down to what AWS shows to those who may not decrypt it."""
    card = orjson.loads(content)
    kept: dict[str, Any] = {}
    for section, name in _METADATA:
        if (card.get(section) or {}).get(name) is not None:
            kept.setdefault(section, {})[name] = card[section][name]
    return orjson.dumps(kept).decode()


def searched(content: str) -> dict[str, Any]:
    """What Search finds cards by besides their members."""
    card = orjson.loads(content)
    return {
        "ModelId": (card.get("model_overview") or {}).get("model_id"),
        "RiskRating": (card.get("intended_uses") or {}).get("risk_rating"),
        "ModelPackageGroupName": (card.get("model_package_details") or {}).get("model_package_group_name"),
    }
