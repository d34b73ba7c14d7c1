"""Metrics and log lines of requests that ended, written about once a second.

Those of its last second are lost when the process is killed.
"""

import asyncio
from collections import defaultdict

from clary.kernel.rooms import Platform
from clary.kernel.telemetry.metrics import Datum
from clary.systems.async_inference.outcomes import Outcome, log_line, metrics_of
from clary.systems.async_inference.records import Request

NAMESPACE = "AWS/SageMaker"

_EVERY_SECONDS = 1.0

_Data = dict[tuple[str, str], list[Datum]]
_Lines = dict[tuple[str, str, str, str], list[tuple[int, str]]]


class Reports:
    """What is to be reported. For one event loop."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._data: _Data = defaultdict(list)
        self._lines: _Lines = defaultdict(list)
        self._flushed_at = 0.0

    def add(self, request: Request, outcome: Outcome) -> None:
        now = self._platform.clock.now()
        if outcome.variant:
            self._data[request.account, request.region] += metrics_of(request, outcome, now)
        parts = (outcome.variant, outcome.instance, "data-log")
        stream = "/".join(part for part in parts if part)
        group = f"/aws/sagemaker/Endpoints/{request.endpoint}"
        line = int(now * 1000), log_line(request, outcome, now)
        self._lines[request.account, request.region, group, stream].append(line)

    async def flush(self, *, at_once: bool = False) -> None:
        """Write what there is, when it is time to."""
        now = asyncio.get_running_loop().time()
        if not self._lines or (now - self._flushed_at < _EVERY_SECONDS and not at_once):
            return
        self._flushed_at = now
        data, self._data = self._data, defaultdict(list)
        lines, self._lines = self._lines, defaultdict(list)
        await asyncio.to_thread(self._write, data, lines)

    def _write(self, data: _Data, lines: _Lines) -> None:
        for (account, region), found in data.items():
            self._platform.metrics.put(account, region, NAMESPACE, found)
        for (account, region, group, stream), events in lines.items():
            self._platform.logs.append(account, region, group, stream, events)
