"""Which engines there are."""

from typing import Any

from clary.kernel.rooms import Context, operation
from clary.systems.athena.work_groups import ENGINES, engine_version


@operation("athena", "ListEngineVersions")
def list_engine_versions(ctx: Context, NextToken: str | None = None, MaxResults: int | None = None) -> dict[str, Any]:
    """The engine that work groups run: the third, alone. `AUTO` is it."""
    return {"EngineVersions": [engine_version(selected) for selected in reversed(ENGINES)]}
