"""Join requests that come within a moment into one prediction, where CLARY_MAX_BATCH_SIZE asks for it.

Requests are joined when they name the same Content-Type and Accept. A batch is given to the model when it is full, or
when its first request has waited CLARY_MAX_BATCH_DELAY_MILLISECONDS and a thread is free; while none is, it fills.
"""

from collections import deque

from clary.runtime.inference.calls import Call, Calls

Kind = tuple[str, str]


class Batches:
    """The requests that wait to be joined. Used on the event loop alone."""

    def __init__(self, calls: Calls, size: int, delay_seconds: float) -> None:
        self._calls = calls
        self._size = size
        self._delay_seconds = delay_seconds
        self._open: dict[Kind, list[Call]] = {}
        self._due: deque[Kind] = deque()

    def add(self, call: Call) -> None:
        kind = (call.request.content_type, call.request.accept)
        batch = self._open.get(kind)
        if batch is None:
            batch = self._open[kind] = []
            if self._delay_seconds > 0:
                self._calls.loop.call_later(self._delay_seconds, self._be_due, kind, batch)
            else:
                self._calls.loop.call_soon(self._be_due, kind, batch)
        batch.append(call)
        if len(batch) >= self._size:
            self._send(kind)

    def _be_due(self, kind: Kind, batch: list[Call]) -> None:
        if self._open.get(kind) is not batch:
            return  # it was full before
        if self._calls.idle:
            self._send(kind)
        else:
            self._due.append(kind)

    def _send(self, kind: Kind) -> None:
        batch = self._open.pop(kind, None)
        if batch:
            self._calls.submit(batch, self._one_thread_is_free)

    def _one_thread_is_free(self) -> None:
        while self._due and self._calls.idle:
            self._send(self._due.popleft())
