"""What lifecycle rules ask for the versions of a key at a given time. Pure: it decides and changes nothing.

Like S3, an age counts from the creation of a version (for a noncurrent one: of its successor) to the first midnight UTC
after so many days.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.kernel.objects.listing import ListedVersion
from clary.kernel.objects.records import ObjectVersion, Upload

_DAY = 86_400.0
_LEAST_TRANSITION_BYTES = 128 * 1024
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})

Rule = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the key if its current version has this ETag, or, with an id, that version for good."""

    key: str
    version_id: str | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """Give a version another storage class."""

    key: str
    version_id: str
    storage_class: str


def due(
    rules: Sequence[Rule], versions: Sequence[ListedVersion], now: float, least_size: str
) -> Iterator[Delete | Move]:
    """Yield what is due for one key, whose `versions` are newest first. Expiration goes before transition."""
    enabled = [rule for rule in rules if rule["Status"] == "Enabled"]
    for rank, listed in enumerate(versions):
        version = listed.version
        matching = [rule for rule in enabled if applies(rule, listed.key, version)]
        if listed.latest:
            action: Delete | Move | None = _due_current(matching, listed, now, alone=len(versions) == 1)
        else:
            action = _due_noncurrent(matching, listed, versions[rank - 1].version.modified, rank, now)
        if action is None and not version.marker:
            since = version.modified if listed.latest else versions[rank - 1].version.modified
            action = _transition(matching, listed, since, now, least_size)
        if action is not None:
            yield action


def is_stale(rules: Sequence[Rule], upload: Upload, now: float) -> bool:
    """Say whether a rule has an incomplete upload aborted."""
    return any(
        rule["Status"] == "Enabled"
        and upload.key.startswith(_prefix(rule))
        and _reached(upload.initiated, rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"), now)
        for rule in rules
    )


def applies(rule: Rule, key: str, version: ObjectVersion) -> bool:
    """Say whether the rule's filter lets a version through."""
    condition = rule.get("Filter") or {}
    condition = condition | condition.get("And", {})
    tags = [*condition.get("Tags", ()), *([condition["Tag"]] if condition.get("Tag") else [])]
    return (
        key.startswith(_prefix(rule))
        and version.size > condition.get("ObjectSizeGreaterThan", -1)
        and version.size < condition.get("ObjectSizeLessThan", float("inf"))
        and all(version.tags.get(tag["Key"]) == tag["Value"] for tag in tags)
    )


def _due_current(rules: Sequence[Rule], listed: ListedVersion, now: float, *, alone: bool) -> Delete | None:
    for rule in rules:
        expiration = rule.get("Expiration") or {}
        aged = _reached(listed.version.modified, expiration.get("Days"), now) or (
            expiration.get("Date") is not None and now >= float(expiration["Date"])
        )
        if listed.version.marker:
            # A marker that marks nothing any more.
            if alone and (aged or expiration.get("ExpiredObjectDeleteMarker")):
                return Delete(listed.key, listed.version.version_id, None)
        elif aged:
            return Delete(listed.key, None, listed.version.etag)
    return None


def _due_noncurrent(rules: Sequence[Rule], listed: ListedVersion, since: float, rank: int, now: float) -> Delete | None:
    for rule in rules:
        expiration = rule.get("NoncurrentVersionExpiration") or {}
        kept = expiration.get("NewerNoncurrentVersions", 0)
        if _reached(since, expiration.get("NoncurrentDays"), now) and rank > kept:
            return Delete(listed.key, listed.version.version_id, None)
    return None


def _transition(rules: Sequence[Rule], listed: ListedVersion, since: float, now: float, least_size: str) -> Move | None:
    """Return the move to the class of the transition that was due last."""
    chosen: tuple[float, str] | None = None
    for rule in rules:
        name, days = ("Transitions", "Days") if listed.latest else ("NoncurrentVersionTransitions", "NoncurrentDays")
        for transition in rule.get(name) or ():
            at = float(transition["Date"]) if transition.get("Date") is not None else _midnight(since, transition[days])
            target = transition["StorageClass"]
            if now >= at and _is_large_enough(rule, listed.version, target, least_size):
                chosen = max(chosen or (at, target), (at, target))
    if chosen is None or chosen[1] == listed.version.storage_class:
        return None
    return Move(listed.key, listed.version.version_id, chosen[1])


def _is_large_enough(rule: Rule, version: ObjectVersion, target: str, least_size: str) -> bool:
    condition = rule.get("Filter") or {}
    condition = condition | condition.get("And", {})
    if "ObjectSizeGreaterThan" in condition or "ObjectSizeLessThan" in condition:
        return True
    if least_size == "varies_by_storage_class" and target in _ARCHIVES:
        return True
    return version.size >= _LEAST_TRANSITION_BYTES


def _prefix(rule: Rule) -> str:
    condition = rule.get("Filter") or {}
    return str(rule.get("Prefix") or condition.get("Prefix") or condition.get("And", {}).get("Prefix") or "")


def _reached(since: float, days: int | None, now: float) -> bool:
    return days is not None and now >= _midnight(since, days)


def _midnight(since: float, days: int) -> float:
    """Return the first midnight UTC that comes `days` days after `since` or later."""
    return -((since + days * _DAY) // -_DAY) * _DAY
