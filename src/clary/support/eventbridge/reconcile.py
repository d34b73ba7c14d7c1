"""Deliver what rules have matched, from what is stored: at once, again when it failed, at least once."""

from clary.kernel.rooms import Platform, observer, reconciler
from clary.kernel.store import Change
from clary.support.eventbridge import sagemaker
from clary.support.eventbridge.courier import carry
from clary.support.eventbridge.measures import measures_of
from clary.support.eventbridge.outbox import Outbox
from clary.support.eventbridge.publishing import TOPIC, publish

_EVERY_SECONDS = 5.0


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def deliver(platform: Platform, key: str | None) -> float | None:
    """Deliver what is due in one lane, or wake the delivery of each; return when the next delivery is due."""
    if key is not None:
        return carry(platform, key)
    measures_of(platform).flush()
    for lane in Outbox(platform).waiting():
        platform.wake(TOPIC, lane)
    return None


@observer
def tell(platform: Platform, changes: list[Change]) -> None:
    """Turn changes of SageMaker's resources into the events that AWS documents, where a rule may ask for them."""
    for bus, events in sagemaker.events_of(platform, changes).items():
        publish(platform, bus, events)
