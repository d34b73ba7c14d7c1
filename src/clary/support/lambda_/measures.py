"""CloudWatch metrics of functions: counted in memory, written about once a second.

What a process counted in its last second is lost when it is killed, and written when it ends in order.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping

from clary.kernel.rooms import Platform
from clary.kernel.telemetry.metrics import Datum
from clary.support.lambda_.names import Named

NAMESPACE = "AWS/Lambda"

_FLUSH_SECONDS = 1.0
_UNITS = {
    "Duration": "Milliseconds",
    "AsyncEventAge": "Milliseconds",
    "IteratorAge": "Milliseconds",
}
_log = logging.getLogger("clary.lambda")

_Samples = dict[str, Counter[float]]


class Measures:
    """What this process has counted and not written yet. For one event loop."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop) -> None:
        self._metrics = platform.metrics
        self._loop = loop
        self._counted: dict[Named, _Samples] = {}
        self._flushing = False
        platform.at_close(self.close)

    def count(self, named: Named, **samples: float) -> None:
        """Add one sample to each of these metrics of a function, and of its qualifier when it was called by one."""
        of_function = self._counted.setdefault(named, {})
        for name, value in samples.items():
            of_function.setdefault(name, Counter())[value] += 1
        if not self._flushing:
            self._flushing = True
            self._loop.call_later(_FLUSH_SECONDS, self._flush)

    def close(self) -> None:
        """Write what was counted."""
        self._write(self._counted)
        self._counted = {}

    def _flush(self) -> None:
        counted, self._counted = self._counted, {}
        self._flushing = False
        self._loop.run_in_executor(None, self._write, counted)

    def _write(self, counted: Mapping[Named, _Samples]) -> None:
        for named, samples in counted.items():
            resource = f"{named.function}:{named.qualifier}" if named.qualifier else named.function
            data = [
                Datum(
                    name,
                    dimensions,
                    values=list(counts),
                    counts=[float(count) for count in counts.values()],
                    unit=_UNITS.get(name, "Count"),
                )
                for name, counts in samples.items()
                for dimensions in (
                    {},
                    {"FunctionName": named.function},
                    {"FunctionName": named.function, "Resource": resource},
                )
            ]
            try:
                self._metrics.put(named.account, named.region, NAMESPACE, data)
            except Exception:  # noqa: BLE001 - metrics that cannot be kept must not end what invokes functions
                _log.exception("metrics of function %s were lost", named.function)
