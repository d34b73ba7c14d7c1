"""Have the asynchronous invocations made that wait in the outbox: as they come, and whatever a restart finds there."""

from clary.kernel.rooms import CARRIER, Platform, reconciler
from clary.support.lambda_.couriers import couriers_of
from clary.support.lambda_.outbox import DOMAIN, TOPIC, Outbox


@reconciler(TOPIC, every_seconds=10.0, process=CARRIER)
def deliver(platform: Platform, key: str | None) -> float | None:
    """Wake the courier of a function, `account/region/name`, or of all that something waits for."""
    functions = [key] if key is not None else Outbox(platform.kv(DOMAIN), platform.clock).functions()
    assert platform.loop is not None, "events are carried beside an event loop: in the carrier"
    for function in functions:
        platform.loop.call_soon_threadsafe(_wake, platform, function)
    return None


def _wake(platform: Platform, function: str) -> None:
    couriers_of(platform).wake(function)
