"""Deliver what was published, from what is stored: at once, again when it failed, at least once."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from clary.kernel.rooms import Platform, reconciler
from clary.support.sns.courier import carry, find
from clary.support.sns.outbox import Outbox
from clary.support.sns.records import PENDING, Subscription

_log = logging.getLogger("clary.sns")

_SLOW_THREADS = 32
_LOOK_AGAIN_SECONDS = 1.0


class _Busy:
    """The subscriptions that a thread of this process is delivering to: two would deliver the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: set[tuple[Platform, str]] = set()
        self._again: set[tuple[Platform, str]] = set()

    def enter(self, platform: Platform, key: str) -> bool:
        """Whether the caller may deliver; if not, whoever does is told to look again before it leaves."""
        with self._lock:
            if (platform, key) in self._keys:
                self._again.add((platform, key))
                return False
            self._keys.add((platform, key))
            return True

    def leave(self, platform: Platform, key: str) -> bool:
        """Whether the caller may go: nobody came while it was delivering."""
        with self._lock:
            if (platform, key) in self._again:
                self._again.discard((platform, key))
                return False
            self._keys.discard((platform, key))
            return True


_busy = _Busy()


@cache
def _slow() -> ThreadPoolExecutor:
    """Threads of their own for web servers, which may take their time, so that other reconcilers need not wait."""
    return ThreadPoolExecutor(_SLOW_THREADS, thread_name_prefix="sns-http")


@reconciler("sns", every_seconds=10.0)
def deliver(platform: Platform, key: str | None) -> float | None:
    """Deliver what is due to one subscription, or to all; return when the next delivery is due."""
    if key is not None:
        return _deliver(platform, key)
    Outbox(platform).sweep()
    _forget_unconfirmed(platform)
    times = [again for key in Outbox(platform).waiting() if (again := _deliver(platform, key)) is not None]
    return min(times, default=None)


def _deliver(platform: Platform, key: str) -> float | None:
    if not _busy.enter(platform, key):
        return _LOOK_AGAIN_SECONDS
    entry = find(platform, key)
    if entry is not None and entry.value.protocol in {"http", "https"} and _is_due(platform, key):
        _slow().submit(_carry, platform, key)
        return _LOOK_AGAIN_SECONDS
    _carry(platform, key)
    next_at = Outbox(platform).next_at(key)
    return None if next_at is None else max(0.0, next_at - platform.clock.now())


def _is_due(platform: Platform, key: str) -> bool:
    next_at = Outbox(platform).next_at(key)
    return next_at is not None and next_at <= platform.clock.now()


def _carry(platform: Platform, key: str) -> None:
    while True:
        try:
            carry(platform, key)
        except Exception:  # noqa: BLE001 - what is stored is carried again, and other subscriptions go on
            _log.exception("delivering to %s failed; trying again", key)
        if _busy.leave(platform, key):
            return


def _forget_unconfirmed(platform: Platform) -> None:
    """Take away subscriptions that nobody confirmed in time."""
    now = platform.clock.now()
    for entry in platform.records(Subscription).all(status=PENDING):
        if entry.value.expires_at <= now:
            platform.records(Subscription).within(entry.account, entry.region).delete(entry.name)
