"""A thread for each delivery stream. Most sleep: they hear when something comes, and know when something is due."""

import asyncio
import logging
import shutil
import threading
from concurrent.futures import Future
from pathlib import Path

from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.kernel.streams import NoSuchStream, StreamError
from clary.systems.firehose.configurations import hints
from clary.systems.firehose.delivery.ledger import Ledger
from clary.systems.firehose.delivery.outbound import Outbound
from clary.systems.firehose.delivery.pauses import Stopped
from clary.systems.firehose.delivery.reader import Reader
from clary.systems.firehose.delivery.reports import Reports
from clary.systems.firehose.records import KV_DOMAIN, DeliveryStream

_HEAR_SECONDS = 30.0
_LONGEST_SLEEP_SECONDS = 60.0
_AGAIN_SECONDS = 2.0
_GATHERING = 0.02  # of a buffer's interval, in which what comes is read together
_LONGEST_GATHERING_SECONDS = 0.2

_log = logging.getLogger("clary.firehose")


class Worker:
    """Delivers one delivery stream until it is told to stop, or the stream is gone."""

    def __init__(self, platform: Platform, stream: Entry[DeliveryStream]) -> None:
        self._platform = platform
        self._stream = stream
        self._folder = spool_folder(platform, stream.value.buffer)
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._ear: Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"firehose-{stream.name}", daemon=True)

    # From any thread

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def update(self, stream: Entry[DeliveryStream]) -> None:
        """Go on by what the delivery stream says now."""
        if stream.version != self._stream.version:
            self._stream = stream
            self._news.set()

    def stop(self) -> None:
        """Have it end as soon as it can; what is not delivered stays in the buffer."""
        self._stopping.set()
        self._news.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    # Its own

    def _run(self) -> None:
        assert self._platform.loop is not None
        shutil.rmtree(self._folder, ignore_errors=True)  # what a killed carrier was making
        self._ear = asyncio.run_coroutine_threadsafe(self._listen(), self._platform.loop)
        try:
            while not self._stopping.is_set():
                try:
                    self._deliver()
                except (NoSuchStream, Stopped):
                    return
                except Exception:  # noqa: BLE001 - what is buffered is to be delivered some time, whatever this is
                    _log.exception("delivering %s failed; trying again", self._stream.name)
                    self._pause(_AGAIN_SECONDS)
        finally:
            self._ear.cancel()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._platform.streams.listen(self._stream.value.buffer) as ear:
                    self._news.set()
                    while True:
                        if await ear.wait(_HEAR_SECONDS):
                            self._news.set()
            except StreamError:
                await asyncio.sleep(_AGAIN_SECONDS)

    def _pause(self, seconds: float) -> bool:
        return self._platform.clock.wait(self._stopping, seconds)

    def _deliver(self) -> None:
        """Deliver until told to stop; anything may be raised, and it is begun anew from what is stored."""
        platform, stream = self._platform, self._stream
        ledger = Ledger(platform.kv(KV_DOMAIN), stream.value.buffer)
        reports = Reports(platform, stream)
        reader = Reader(platform, stream, reports) if stream.value.source else None
        outbound = Outbound(platform, stream, ledger, reports, self._folder, self._pause)
        try:
            while not self._stopping.is_set():
                self._news.clear()
                if self._stream.value.revision != outbound.stream.value.revision:
                    outbound.finish()
                    reports.stream = self._stream
                    outbound = Outbound(platform, self._stream, ledger, reports, self._folder, self._pause)
                more = reader.pull() if reader is not None else False
                more |= outbound.step()
                reports.flush()
                if not more:
                    self._sleep(outbound, reader, reports)
        finally:
            outbound.close()
            reports.flush(at_once=True)

    def _sleep(self, outbound: Outbound, reader: Reader | None, reports: Reports) -> None:
        """Wait for what comes, or for what is due; under load, let some come together."""
        waits = [_LONGEST_SLEEP_SECONDS, outbound.wait_seconds()]
        report_in = reports.wait_seconds()
        if report_in is not None:
            waits.append(report_in)
        if reader is not None:
            waits.append(reader.wait_seconds())
        if self._platform.clock.wait(self._news, min(waits)):
            interval = hints(outbound.stream.value.configuration).seconds
            gathering = min(_GATHERING * interval, _LONGEST_GATHERING_SECONDS, outbound.wait_seconds())
            if gathering > 0:
                self._pause(gathering)


def spool_folder(platform: Platform, buffer: str) -> Path:
    """Where the objects of a delivery stream are made that are too large for memory."""
    return platform.settings.home / "firehose" / buffer
