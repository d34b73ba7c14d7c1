"""The platform a room acts on: everything the kernel offers, opened when first used.

The same class serves the gateway, the controller and job shims: each opens only what it touches, over one home.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import orjson

from clary.kernel.auth.keys import Keys
from clary.kernel.auth.principals import Principal
from clary.kernel.core.clock import Clock, SystemClock
from clary.kernel.core.ids import new_uuid
from clary.kernel.core.settings import Settings
from clary.kernel.events import Waker
from clary.kernel.events.bells import Bells
from clary.kernel.jobs import Executor
from clary.kernel.kv import KeyValue, open_kv
from clary.kernel.rooms.context import Context
from clary.kernel.rooms.registry import Registry
from clary.kernel.store import Store, Table
from clary.kernel.store.changes import Observers
from clary.kernel.store.sql import open_sqlite
from clary.kernel.streams import Streams, open_streams
from clary.kernel.telemetry import Logs, Metrics

if TYPE_CHECKING:
    from clary.kernel.objects import Objects

T = TypeVar("T")

_log = logging.getLogger("clary.platform")


class Platform:
    """The kernel of one home. Close it when done. Safe to share between threads."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.executor: Executor | None = None
        self._kvs: dict[str, KeyValue] = {}
        self._kvs_lock = Lock()
        self._bells: dict[str, Bells] = {}
        self._finishing: list[Callable[[], None]] = []

    @cached_property
    def store(self) -> Store:
        return open_sqlite(self.settings.home / "records.db", durable=not self.settings.ephemeral)

    @cached_property
    def objects(self) -> "Objects":
        from clary.kernel.objects import open_objects

        durable = not self.settings.ephemeral
        return open_objects(self.settings.home, self.kv("objects"), self.clock, durable=durable)

    @cached_property
    def streams(self) -> Streams:
        durable = not self.settings.ephemeral
        return open_streams(self.settings.home, self.clock, durable=durable, url=self.settings.streams_url)

    @cached_property
    def logs(self) -> Logs:
        return Logs(self.kv("logs"), self.clock)

    @cached_property
    def metrics(self) -> Metrics:
        return Metrics(self.kv("metrics"), self.clock)

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.store, self.clock, self.settings)

    @cached_property
    def registry(self) -> Registry:
        return Registry()

    @cached_property
    def _observers(self) -> Observers:
        return Observers(self.registry.observers, self.wake)

    @cached_property
    def _waker(self) -> Waker:
        return Waker(self.settings.home)

    def kv(self, domain: str) -> KeyValue:
        """The ordered key-value space of a domain; one environment each, so that domains do not wait for another."""
        with self._kvs_lock:
            if domain not in self._kvs:
                self._kvs[domain] = open_kv(self.settings.home, domain, durable=not self.settings.ephemeral)
            return self._kvs[domain]

    def records(self, cls: type[T]) -> Table[T]:
        """The records of a type in all accounts and regions."""
        return Table(self.store, self.clock, cls, None, None, self._observers)

    def wake(self, topic: str, key: str | None = None) -> None:
        """Hint the controller that there is work; never blocks, may be lost."""
        self._waker.wake(topic, key)

    def bells(self, topic: str) -> Bells:
        """The bells of a topic, for those who wait on an event loop."""
        with self._kvs_lock:
            if topic not in self._bells:
                self._bells[topic] = Bells(self.settings.home, topic)
            return self._bells[topic]

    def acting_as_root(self, account: str, region: str, service: str, operation: str) -> Context:
        """A context for what the platform does on an account's behalf, as reconcilers do."""
        return Context(
            self, self.registry.model(service, operation), Principal("root", account), account, region, new_uuid()
        )

    def call(self, account: str, region: str, service: str, operation: str, **params: object) -> dict[str, object]:
        """Call a room on an account's behalf. Blocks."""
        return self.registry.call(self.acting_as_root(account, region, service, operation), params)

    @property
    def endpoint(self) -> str:
        """The URL of this home's server, for clients on this machine; empty when none has started."""
        try:
            return str(orjson.loads((self.settings.home / "run" / "server.json").read_bytes())["endpoint"])
        except FileNotFoundError:
            return ""

    def reset(self) -> None:
        """Drop all state and running work. Only ephemeral servers do this."""
        if self.executor is not None:
            self.executor.end_all(forget=True)
        self.store.clear()
        for folder in (self.settings.home / "kv").iterdir():
            self.kv(folder.name).clear()
        self.objects.clear()
        self.streams.clear()
        self.keys.ensure_default()

    def at_close(self, finish: Callable[[], None]) -> None:
        """Have `finish` write what it still holds in memory, before the parts of the platform close."""
        self._finishing.append(finish)

    def close(self) -> None:
        """Close what was opened."""
        while self._finishing:
            try:
                self._finishing.pop()()
            except Exception:  # noqa: BLE001 - the others must still finish, and the parts close
                _log.exception("something held in memory was lost")
        opened = vars(self)
        for name in ("objects", "streams", "logs", "metrics", "_waker", "store"):
            part = opened.pop(name, None)
            if part is not None and hasattr(part, "close"):
                part.close()
        for bells in self._bells.values():
            bells.close()
        self._bells.clear()
        for kv in self._kvs.values():
            kv.close()
        self._kvs.clear()
