"""The card of a function: what an invocation needs to know of it, in one key-value entry read anew each time.

It is made from the records whenever these change, and again now and then, in case somebody was killed in between. A
card carries the age of the record it was made from, so that an older one never replaces a newer.
"""

import hashlib
import random
from dataclasses import dataclass, field
from typing import Any

import orjson

from clary.kernel.kv import KeyValue, Transaction, after_prefix
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.support.lambda_.names import Named, missing
from clary.support.lambda_.records import LATEST, Function, Version

DOMAIN = "lambda"
_PREFIX = b"card/"


@dataclass(frozen=True, slots=True)
class Card:
    """`versions` holds for each version what its instances are called (`build`), its timeout in seconds, its memory in
    MB, and the ARN where its events go that come to nothing (`dead_letters`); `aliases` for each alias the versions it
    leads to, with their weights; `events` the FunctionEventInvokeConfigs by qualifier."""

    stamp: tuple[float, int]
    versions: dict[str, dict[str, Any]]
    aliases: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    reserved: int | None = None
    events: dict[str, dict[str, Any]] = field(default_factory=dict)

    def version_for(self, named: Named) -> str:
        """The version that a call by this name is for; by chance where an alias has several. Raises
        ResourceNotFoundException."""
        routes = self.aliases.get(named.qualifier)
        if routes is not None:
            names, weights = zip(*routes, strict=True)
            version = str(random.choices(names, weights)[0]) if len(names) > 1 else str(names[0])
        else:
            version = named.qualifier or LATEST
        if version not in self.versions:
            raise missing(f"Function not found: {named.arn}")
        return version


def card_key(function: str) -> bytes:
    return _PREFIX + function.encode()


def read_card(table: bytes) -> Card:
    """A card, also one that another release of Clary made."""
    known = Card.__dataclass_fields__.keys()
    return Card(**{name: value for name, value in orjson.loads(table).items() if name in known})


def build_of(version: str, revision: str) -> str:
    """What the instances of one state of a version are called."""
    return hashlib.sha256(f"{version}/{revision}".encode()).hexdigest()[:16]


def publish(platform: Platform, account: str, region: str, name: str) -> None:
    """Make the function's card from its records, durably; take it away when the function is gone."""
    table, key = platform.records(Function).within(account, region), card_key(f"{account}/{region}/{name}")
    entry = table.get(name)
    if entry is None:
        platform.kv(DOMAIN).write(lambda transaction: transaction.delete(key))
        entry = table.get(name)
        if entry is None:  # and not made again meanwhile
            return
    versions = platform.records(Version).within(account, region).all(parent=name)
    _put(platform.kv(DOMAIN), key, _card(entry, versions))


def heal(platform: Platform) -> None:
    """Make every card anew, and take away those of functions that are gone."""
    kv = platform.kv(DOMAIN)
    cards = [key for key, _ in kv.scan(_PREFIX, after_prefix(_PREFIX))]
    entries = platform.records(Function).all()
    versions: dict[tuple[str, str, str], list[Entry[Version]]] = {}
    for version in platform.records(Version).all():
        versions.setdefault((version.account, version.region, version.parent), []).append(version)
    known = set()
    for entry in entries:
        key = card_key(f"{entry.account}/{entry.region}/{entry.name}")
        known.add(key)
        if kv.get(key) != orjson.dumps(_card(entry, versions.get((entry.account, entry.region, entry.name), []))):
            publish(platform, entry.account, entry.region, entry.name)  # from what the records say by now
    for key in cards:
        if key not in known:
            account, region, name = key.removeprefix(_PREFIX).decode().split("/")
            publish(platform, account, region, name)


def _card(entry: Entry[Function], versions: list[Entry[Version]]) -> Card:
    function = entry.value
    found = {LATEST: _version(LATEST, function)}
    for version in versions:
        number = version.name.rpartition(":")[2]
        found[number] = _version(number, version.value)
    aliases = {name: _routes(alias) for name, alias in function.aliases.items()}
    return Card(
        (entry.created_at, entry.version),
        found,
        aliases,
        function.reserved,
        function.event_configs,
    )


def _version(number: str, value: Function | Version) -> dict[str, Any]:
    configuration = value.configuration
    return {
        "build": build_of(number, value.revision),
        "seconds": configuration["Timeout"],
        "memory_mb": configuration["MemorySize"],
        "dead_letters": (configuration.get("DeadLetterConfig") or {}).get("TargetArn", ""),
    }


def _routes(alias: dict[str, Any]) -> list[tuple[str, float]]:
    weights: dict[str, float] = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return [(alias["FunctionVersion"], 1.0 - sum(weights.values())), *weights.items()]


def _put(kv: KeyValue, key: bytes, card: Card) -> None:
    table = orjson.dumps(card)
    if kv.get(key) == table:
        return

    def change(transaction: Transaction) -> None:
        before = transaction.get(key)
        if before is None or tuple(read_card(before).stamp) <= card.stamp:
            transaction.put(key, table)

    kv.write(change)
