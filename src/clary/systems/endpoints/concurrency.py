"""AWS's `ConcurrentRequestsPerModel`: how many requests model servers have at once, looked at every second.

A metric of high resolution, written every ten seconds with the samples of each; of inference components it is
`ConcurrentRequestsPerCopy`. A gateway knows of its own requests alone. While it runs, it tells of every endpoint that
it was once asked for, of idle ones too.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from clary.kernel.serving.routes import COMPONENT
from clary.kernel.telemetry.metrics import Datum, Metrics
from clary.systems.endpoints.measures import NAMESPACE

_LOOK_SECONDS = 1.0
_LOOKS = 10

_log = logging.getLogger("clary.endpoints")

Whose = tuple[str, str, str, str]
"""Account, region, endpoint, variant."""
Look = Callable[[], Mapping[Whose, Sequence[int]]]
"""The requests under way at each server of the variants that are known; empty when none is."""


class Concurrency:
    """The looks of one gateway. For one event loop."""

    def __init__(self, metrics: Metrics, loop: asyncio.AbstractEventLoop, look: Look) -> None:
        self._metrics = metrics
        self._loop = loop
        self._look = look
        self._looks = 0
        self._samples: dict[Whose, Counter[float]] = {}
        self._running = False

    def start(self) -> None:
        """Look from now on, for as long as there is something to look at."""
        if not self._running:
            self._running = True
            self._loop.call_later(_LOOK_SECONDS, self._tick)

    def _tick(self) -> None:
        try:
            seen = self._look()
        except Exception:  # noqa: BLE001 - the next look may do better
            _log.exception("the requests under way could not be counted")
            self._loop.call_later(_LOOK_SECONDS, self._tick)
            return
        for whose, counts in seen.items():
            self._samples.setdefault(whose, Counter()).update(map(float, counts))
        self._looks += 1
        if self._looks >= _LOOKS or not seen:
            samples, self._samples, self._looks = self._samples, {}, 0
            self._loop.run_in_executor(None, self._write, samples)
        self._running = False
        if seen:
            self.start()

    def _write(self, samples: Mapping[Whose, Counter[float]]) -> None:
        for (account, region, endpoint, variant), counts in samples.items():
            if not counts:  # no server of it was there
                continue
            name, dimensions = "ConcurrentRequestsPerModel", {"EndpointName": endpoint, "VariantName": variant}
            if COMPONENT in endpoint:
                component = endpoint.partition(COMPONENT)[2]
                name, dimensions = "ConcurrentRequestsPerCopy", {"InferenceComponentName": component}
            datum = Datum(name, dimensions, values=list(counts), counts=list(counts.values()), resolution=1)
            try:
                self._metrics.put(account, region, NAMESPACE, [datum])
            except Exception:  # noqa: BLE001 - metrics that cannot be kept must not end what answers requests
                _log.exception("metrics of endpoint %s were lost", endpoint)
