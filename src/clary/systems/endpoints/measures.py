"""CloudWatch metrics of invocations: counted in memory, written about once a second.

What a gateway counted in its last second is lost when it is killed, and written when it ends in order.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clary.kernel.serving.routes import COMPONENT
from clary.kernel.telemetry.metrics import Datum, Metrics

NAMESPACE = "AWS/SageMaker"

_FLUSH_SECONDS = 1.0
_log = logging.getLogger("clary.endpoints")


class Invocation(NamedTuple):
    """One request as it ended. `status` is the model's, 0 when it gave none. Times are in seconds.

    `setup_seconds` is how long it waited for an instance of a serverless variant to start.
    `latencies` holds how long each container took, where a variant has several; with `direct`, one of them was asked.
    `hit` is whether the model that it named was loaded already, None where there is but one model; `loading_seconds` is
    how long it waited for that.
    """

    status: int
    model_seconds: float
    overhead_seconds: float
    instances: int
    setup_seconds: float = 0.0
    latencies: tuple[tuple[str, float], ...] = ()
    direct: bool = False
    hit: bool | None = None
    loading_seconds: float = 0.0


_Whose = tuple[str, str, str, str]


class Measures:
    """The invocations of one gateway that are not written yet. For one event loop."""

    def __init__(self, metrics: Metrics, loop: asyncio.AbstractEventLoop) -> None:
        self._metrics = metrics
        self._loop = loop
        self._counted: dict[_Whose, list[Invocation]] = {}
        self._dropped: Counter[_Whose] = Counter()
        self._flushing = False

    def count(self, account: str, region: str, endpoint: str, variant: str, invocation: Invocation) -> None:
        self._counted.setdefault((account, region, endpoint, variant), []).append(invocation)
        self._flush_soon()

    def count_dropped(self, account: str, region: str, endpoint: str, variant: str) -> None:
        """Count a copy of a request that a shadow variant did not get."""
        self._dropped[account, region, endpoint, variant] += 1
        self._flush_soon()

    def close(self) -> None:
        """Write what was counted."""
        self._write(self._counted, self._dropped)
        self._counted, self._dropped = {}, Counter()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_later(_FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        counted, self._counted = self._counted, {}
        dropped, self._dropped = self._dropped, Counter()
        self._flushing = False
        self._loop.run_in_executor(None, self._write, counted, dropped)

    def _write(self, counted: Mapping[_Whose, Sequence[Invocation]], dropped: Mapping[_Whose, int]) -> None:
        for whose in counted.keys() | dropped.keys():
            account, region, address, variant = whose
            endpoint, _, component = address.partition(COMPONENT)
            dimensions = {"EndpointName": endpoint, "VariantName": variant}
            invocations = counted.get(whose, ())
            data = summarise(invocations, dimensions)
            if component:
                data += summarise(invocations, {"InferenceComponentName": component}, each="Copy")
            if whose in dropped:
                data.append(Datum("ShadowInvocationsDropped", dimensions, values=[1.0], counts=[dropped[whose]]))
            try:
                self._metrics.put(account, region, NAMESPACE, data)
            except Exception:  # noqa: BLE001 - metrics that cannot be kept must not end what answers requests
                _log.exception("metrics of endpoint %s were lost", endpoint)


def no_invocations(endpoint: str, variant: str) -> Datum:
    """What keeps a variant that is asked nothing from having no load at all to scale in by: a sum of zero."""
    return Datum("InvocationsPerInstance", {"EndpointName": endpoint, "VariantName": variant}, value=0.0)


def no_invocations_of_component(name: str) -> Datum:
    """`no_invocations` for an inference component."""
    return Datum("InvocationsPerCopy", {"InferenceComponentName": name}, value=0.0)


def summarise(invocations: Sequence[Invocation], dimensions: dict[str, str], each: str = "Instance") -> list[Datum]:
    """The metrics AWS documents for an endpoint's invocations, each with one sample a request."""
    samples: dict[str, list[float]] = {
        **_counts(invocations),
        f"InvocationsPer{each}": [1 / max(one.instances, 1) for one in invocations],
        "InvocationModelErrors": [float(not 200 <= one.status < 300) for one in invocations],
        "ModelLatency": [round(one.model_seconds * 1e6) for one in invocations],
        "OverheadLatency": [round(one.overhead_seconds * 1e6) for one in invocations],
    }
    setups = [one.setup_seconds * 1e6 for one in invocations if one.setup_seconds]
    if setups:
        samples["ModelSetupTime"] = [float(round(one)) for one in setups]
    named = [one for one in invocations if one.hit is not None]
    if named:
        samples["ModelCacheHit"] = [float(one.hit or False) for one in named]
        samples["ModelLoadingWaitTime"] = [round(one.loading_seconds * 1e6) for one in named]
    data = _data(samples, dimensions)
    for container in {name for one in invocations for name, _ in one.latencies}:
        data += _data(_of_container(container, invocations), {**dimensions, "ContainerName": container})
    return data


def _of_container(container: str, invocations: Sequence[Invocation]) -> dict[str, list[float]]:
    """The metrics of one of several containers: its latency, and, when it is asked directly, its part of the others."""
    passed = [(one, dict(one.latencies)[container]) for one in invocations if container in dict(one.latencies)]
    samples: dict[str, list[float]] = {"ContainerLatency": [round(seconds * 1e6) for _, seconds in passed]}
    direct = [one for one, _ in passed if one.direct]
    if direct:
        samples |= _counts(direct)
        samples["OverheadLatency"] = [round(one.overhead_seconds * 1e6) for one in direct]
    return samples


def _counts(invocations: Sequence[Invocation]) -> dict[str, list[float]]:
    return {
        "Invocations": [1.0] * len(invocations),
        "Invocation4XXErrors": [float(400 <= one.status < 500) for one in invocations],
        "Invocation5XXErrors": [float(one.status >= 500) for one in invocations],
    }


def _data(samples: Mapping[str, Sequence[float]], dimensions: Mapping[str, str]) -> list[Datum]:
    data = []
    for name, values in samples.items():
        if values:
            counts = Counter(values)
            unit = "Microseconds" if name.endswith(("Latency", "Time")) else "None"
            data.append(Datum(name, dimensions, values=list(counts), counts=list(counts.values()), unit=unit))
    return data
