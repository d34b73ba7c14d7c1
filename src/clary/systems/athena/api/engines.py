"""Which engines there are."""

from typing import Any

from clary.kernel.rooms import Context, operation

ENGINE = "Athena engine version 3"


@operation("athena", "ListEngineVersions")
def list_engine_versions(ctx: Context, NextToken: str | None = None, MaxResults: int | None = None) -> dict[str, Any]:
    """The engine that work groups run: the third, alone. `AUTO` is it."""
    versions = [(ENGINE, ENGINE), ("AUTO", ENGINE)]
    return {
        "EngineVersions": [
            {"SelectedEngineVersion": selected, "EffectiveEngineVersion": effective} for selected, effective in versions
        ]
    }
