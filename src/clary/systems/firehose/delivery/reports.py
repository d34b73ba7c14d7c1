"""Metrics in AWS/Firehose and error logs of one delivery stream, written about once a second.

Those of the last second are lost when the process is killed. What came since something was last delivered is then
read again, and may be counted twice.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import orjson

from clary.kernel.auth import policies
from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import role_principal
from clary.kernel.store import Entry
from clary.kernel.telemetry.metrics import Datum
from clary.systems.firehose.records import DeliveryStream, stream_arn

NAMESPACE = "AWS/Firehose"

_EVERY_SECONDS = 1.0
_MOST_LINES = 1_000

_log = logging.getLogger("clary.firehose")


class Reports:
    """What is to be reported. For one thread."""

    def __init__(self, platform: Platform, stream: Entry[DeliveryStream]) -> None:
        self.stream = stream
        self._platform = platform
        self._sums: defaultdict[tuple[str, str, int], float] = defaultdict(float)
        self._samples: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._lines: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self._written_at = 0.0

    def count(self, name: str, value: float, *, unit: str = "Count", at_ms: int | None = None) -> None:
        """Add to a number, in the minute of `at_ms` or in this one."""
        minute = int(self._platform.clock.now()) // 60 if at_ms is None else at_ms // 60_000
        self._sums[name, unit, minute] += value

    def sample(self, name: str, value: float, *, unit: str = "Count") -> None:
        """Add a value of its own."""
        self._samples[name, unit].append(value)

    def error(
        self, logging_options: Mapping[str, Any], destination: str, code: str, message: str, processor: str = ""
    ) -> None:
        """Say in the log that was asked for what went wrong."""
        _log.info("delivery stream %s: %s: %s", self.stream.name, code, message)
        if not logging_options.get("Enabled"):
            return
        lines = self._lines[logging_options["LogGroupName"], logging_options["LogStreamName"]]
        if len(lines) >= _MOST_LINES:
            return
        document = {
            "deliveryStreamARN": stream_arn(self.stream),
            "destination": destination,
            "deliveryStreamVersionId": self.stream.value.revision,
            "message": message,
            "errorCode": code,
            **({"processor": processor} if processor else {}),
        }
        lines.append((int(self._platform.clock.now() * 1000), orjson.dumps(document).decode()))

    def wait_seconds(self) -> float | None:
        """How long until there is something to write; None when there is nothing."""
        if not (self._sums or self._samples or self._lines):
            return None
        return max(0.0, self._written_at + _EVERY_SECONDS - self._platform.clock.monotonic())

    def flush(self, *, at_once: bool = False) -> None:
        """Write what there is, when it is time to."""
        wait = self.wait_seconds()
        if wait is None or (wait > 0 and not at_once):
            return
        self._written_at = self._platform.clock.monotonic()
        sums, samples, lines = dict(self._sums), dict(self._samples), dict(self._lines)
        self._sums.clear()
        self._samples.clear()
        self._lines.clear()
        dimensions = {"DeliveryStreamName": self.stream.name}
        data = [
            Datum(name, dimensions, value, timestamp=minute * 60.0, unit=unit)
            for (name, unit, minute), value in sums.items()
        ]
        data += [Datum(name, dimensions, values=values, unit=unit) for (name, unit), values in samples.items()]
        account, region = self.stream.account, self.stream.region
        self._platform.metrics.put(account, region, NAMESPACE, data)
        for (group, name), events in lines.items():
            if self._may_log(group, name):
                self._platform.logs.append(account, region, group, name, events)

    def _may_log(self, group: str, name: str) -> bool:
        """Whether the role may write to a log stream."""
        account, region = self.stream.account, self.stream.region
        arn = f"arn:{partition_of(region)}:logs:{region}:{account}:log-group:{group}:log-stream:{name}"
        configuration = self.stream.value.configuration
        role = configuration.get("RoleARN") or configuration["S3Configuration"]["RoleARN"]
        try:
            principal = role_principal(self._platform, self.stream.value.roles[role])
        except AwsError:
            return False
        return policies.authorize(principal, "logs:PutLogEvents", arn).allowed
