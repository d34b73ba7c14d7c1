"""Feed functions from the sources that they are mapped to: as records say, whatever a restart finds."""

import asyncio

from clary.kernel.rooms import CARRIER, Platform, reconciler
from clary.support.lambda_.feeders import feeders_of
from clary.support.lambda_.mappings import TOPIC


@reconciler(TOPIC, every_seconds=5.0, process=CARRIER)
def feed(platform: Platform, key: str | None) -> float | None:
    """Bring the feeds of all mappings to where their records want them."""
    assert platform.loop is not None, "functions are fed beside an event loop: in the carrier"
    asyncio.run_coroutine_threadsafe(_look(platform), platform.loop).result()
    return None


async def _look(platform: Platform) -> None:
    await feeders_of(platform).look()
