"""The rules of each bus, compiled and kept in memory until one changes.

Whoever changes a rule notes it in the key-value domain, where a look costs microseconds. A process that is killed
between the change and the note leaves others with what they know for as long as `_LONGEST_SECONDS`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from clary.kernel.core.event_patterns import Matcher
from clary.kernel.kv import Transaction
from clary.kernel.rooms import OnePerPlatform, Platform
from clary.support.eventbridge.names import Bus, rule_arn, rules_of
from clary.support.eventbridge.patterns import compiled, sources_of
from clary.support.eventbridge.records import ENABLED, Archive, Rule

DOMAIN = "events"
_LONGEST_SECONDS = 5.0


class Listed(NamedTuple):
    """A rule that is enabled and has a pattern."""

    arn: str
    rule: Rule
    matches: Matcher


class Archiving(NamedTuple):
    """An archive, and what it keeps: everything where there is no pattern."""

    uid: str
    matches: Matcher | None


class Rules:
    """The rules of one bus that match events, found by the source that they ask for."""

    def __init__(self, listed: list[Listed], archives: list[Archiving]) -> None:
        self._archives = archives
        self._by_source: defaultdict[str, list[Listed]] = defaultdict(list)
        self._of_any: list[Listed] = []
        for each in listed:
            sources = sources_of(each.rule.pattern)
            if sources is None:
                self._of_any.append(each)
            else:
                for source in sources:
                    self._by_source[source].append(each)

    def hear(self, source: str) -> bool:
        """Whether a rule could match events of a source, or an archive keep them."""
        return bool(self._of_any or self._archives) or source in self._by_source

    def archiving(self, event: Mapping[str, Any]) -> list[str]:
        """The archives that keep an event; what is replayed was kept before."""
        if not self._archives or "replay-name" in event:
            return []
        return [each.uid for each in self._archives if each.matches is None or each.matches(event)]

    def matching(self, event: Mapping[str, Any]) -> Iterator[Listed]:
        source = event["source"]
        for each in self._by_source.get(source, ()):
            if each.matches(event):
                yield each
        for each in self._of_any:
            if each.matches(event):
                yield each


class _Kept(NamedTuple):
    version: bytes | None
    read_at: float
    rules: Rules


class Book:
    """The rules of all buses of a platform. Threads may share it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._kept: dict[Bus, _Kept] = {}

    def rules(self, bus: Bus) -> Rules:
        """The rules of a bus as they are now."""
        version = self._platform.kv(DOMAIN).get(_key(bus))
        now = self._platform.clock.monotonic()
        kept = self._kept.get(bus)
        if kept is None or kept.version != version or not 0 <= now - kept.read_at < _LONGEST_SECONDS:
            kept = self._kept[bus] = _Kept(version, now, self._read(bus))
        return kept.rules

    def _read(self, bus: Bus) -> Rules:
        entries = rules_of(self._platform, bus).all(parent=bus.name, status=ENABLED)
        archives = self._platform.records(Archive).within(bus.account, bus.region).all(parent=bus.name)
        return Rules(
            [
                Listed(rule_arn(entry), entry.value, compiled(entry.value.pattern))
                for entry in entries
                if entry.value.pattern
            ],
            [
                Archiving(entry.value.uid, compiled(entry.value.pattern) if entry.value.pattern else None)
                for entry in archives
            ],
        )


book_of: OnePerPlatform[Book] = OnePerPlatform(Book)


def note_change(platform: Platform, bus: Bus) -> None:
    """Have every process read the rules of a bus again."""

    def write(tx: Transaction) -> None:
        last = tx.get(_key(bus))
        tx.put(_key(bus), ((int.from_bytes(last, "big") if last else 0) + 1).to_bytes(8, "big"))

    platform.kv(DOMAIN).write(write)


def _key(bus: Bus) -> bytes:
    return b"r" + bus.key.encode()
