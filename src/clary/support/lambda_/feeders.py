"""The feeds of all mappings that are enabled, and their way from the state asked for to the state they are in."""

import asyncio
import logging
import weakref
from dataclasses import dataclass

from clary.kernel.rooms import Platform
from clary.kernel.store import Conflict, Entry
from clary.support.lambda_ import progress
from clary.support.lambda_.feeds import Feed
from clary.support.lambda_.mappings import TOPIC
from clary.support.lambda_.queues import QueueFeed
from clary.support.lambda_.records import EventSourceMapping, Function, Version, version_name
from clary.support.lambda_.shards import StreamFeed

_log = logging.getLogger("clary.lambda")


@dataclass(frozen=True, slots=True)
class _Running:
    revision: str
    feed: Feed
    task: "asyncio.Task[None]"


class Feeders:
    """The feeds of this process. Everything here runs on one event loop."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._platform = platform
        self._running: dict[str, _Running] = {}
        self._looking = asyncio.Lock()

    async def look(self) -> None:
        """Start, stop and restart feeds as their records say; say in the records what has become of them."""
        async with self._looking:
            entries = await asyncio.to_thread(self._platform.records(EventSourceMapping).all)
            there = {entry.name for entry in entries}
            for name in [name for name in self._running if name not in there]:
                self._running[name].feed.stopping.set()
                if self._running[name].task.done():
                    del self._running[name]
            for entry in entries:
                await self._settle(entry)

    async def _settle(self, entry: Entry[EventSourceMapping]) -> None:
        running = self._running.get(entry.name)
        if running is not None and running.task.done():
            if running.revision == entry.value.revision and not running.task.cancelled() and running.task.exception():
                _log.error("feeding from %s failed; starting again", entry.parent, exc_info=running.task.exception())
            del self._running[entry.name]
            running = None
        if running is not None and running.revision != entry.value.revision:
            running.feed.stopping.set()  # it ends between two batches, and wakes us
            return
        if entry.value.enabled and running is None:
            await self._start(entry)
        if entry.status == "Deleting":
            await asyncio.to_thread(self._remove, entry)
            return
        status = "Enabled" if entry.value.enabled else "Disabled"
        if entry.status != status:
            await asyncio.to_thread(self._tell, entry, status)

    async def _start(self, entry: Entry[EventSourceMapping]) -> None:
        kind = StreamFeed if ":kinesis:" in entry.parent else QueueFeed
        feed = kind(self._platform, entry)
        feed.role = await asyncio.to_thread(self._role, feed)
        task = self.loop.create_task(feed.run())
        task.add_done_callback(lambda _: self._platform.wake(TOPIC))
        self._running[entry.name] = _Running(entry.value.revision, feed, task)

    def _role(self, feed: Feed) -> str:
        """The ARN of the function's role, which events of streams name."""
        named = feed.named
        table = self._platform.records(Function).within(named.account, named.region)
        entry = table.get(named.function)
        if entry is None:
            return ""
        alias = entry.value.aliases.get(named.qualifier)
        number = alias["FunctionVersion"] if alias else named.qualifier
        versions = self._platform.records(Version).within(named.account, named.region)
        found = versions.get(version_name(named.function, number)) if number.isdigit() else None
        return str((found.value if found else entry.value).configuration["Role"])

    def _tell(self, entry: Entry[EventSourceMapping], status: str) -> None:
        table = self._platform.records(EventSourceMapping).within(entry.account, entry.region)
        try:
            table.replace(entry, entry.value, status=status)
        except Conflict:  # it has just been changed: the next look is for that
            self._platform.wake(TOPIC)

    def _remove(self, entry: Entry[EventSourceMapping]) -> None:
        progress.forget(self._platform, entry.name)
        self._platform.records(EventSourceMapping).within(entry.account, entry.region).delete(entry.name)


_feeders: "weakref.WeakKeyDictionary[Platform, Feeders]" = weakref.WeakKeyDictionary()


def feeders_of(platform: Platform) -> Feeders:
    """The feeders of this platform on the running event loop."""
    loop = asyncio.get_running_loop()
    feeders = _feeders.get(platform)
    if feeders is None or feeders.loop is not loop:
        feeders = _feeders[platform] = Feeders(platform, loop)
    return feeders
