"""CloudWatch metrics of rules and schedules: counted in memory by who delivers, written about once a second.

What was counted in the last second is lost when that process is killed, and written when it ends in order.
"""

import threading
from collections import Counter
from collections.abc import Mapping

from clary.kernel.core.arns import parse_arn
from clary.kernel.rooms import OnePerPlatform, Platform
from clary.kernel.telemetry.metrics import Datum
from clary.support.eventbridge.records import Delivery

NAMESPACE, SCHEDULER = "AWS/Events", "AWS/Scheduler"
_OF_SCHEDULES = {
    "Invocations": "InvocationAttemptCount",
    "FailedInvocations": "InvocationDroppedCount",
    "InvocationsSentToDlq": "InvocationsSentToDeadLetterCount",
    "InvocationsFailedToBeSentToDlq": "InvocationsFailedToBeSentToDeadLetterCount",
}
_FLUSH_SECONDS = 1.0


class Measures:
    """What was counted and is not written yet. Threads may share it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._counted: dict[str, Counter[str]] = {}
        self._written_at = platform.clock.monotonic()

    def count(self, delivery: Delivery, counts: Mapping[str, float]) -> None:
        """Add to metrics of a delivery's rule."""
        with self._lock:
            self._counted.setdefault(delivery.source, Counter()).update({name: int(n) for name, n in counts.items()})
            due = self._platform.clock.monotonic() - self._written_at >= _FLUSH_SECONDS
        if due:
            self.flush()

    def flush(self) -> None:
        """Write what was counted."""
        with self._lock:
            counted, self._counted = self._counted, {}
            self._written_at = self._platform.clock.monotonic()
        for source, counts in counted.items():
            arn = parse_arn(source)
            where, _, name = arn.resource_name.rpartition("/")
            if arn.service == "scheduler":
                namespace, names, own = SCHEDULER, _OF_SCHEDULES, {"ScheduleGroup": where}
            else:
                namespace, names, own = NAMESPACE, {}, {"RuleName": name, **({"EventBusName": where} if where else {})}
            data = [
                Datum(names.get(metric, metric), dimensions, value=float(count), unit="Count")
                for metric, count in counts.items()
                for dimensions in ({}, own)
            ]
            self._platform.metrics.put(arn.account, arn.region, namespace, data)


measures_of: OnePerPlatform[Measures] = OnePerPlatform(Measures, Measures.flush)
