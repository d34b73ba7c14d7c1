"""Listings of a bucket in byte order: objects, versions and uploads, rolled up at a delimiter, page by page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import orjson

from clary.kernel.kv import Snapshot, after_prefix
from clary.kernel.objects import keys
from clary.kernel.objects.records import STANDARD, ObjectVersion, Upload

T = TypeVar("T")

_SEEK_BATCH = 64


class Listed(NamedTuple):
    """A current object as listings show it; `modified` in epoch seconds."""

    key: str
    size: int
    etag: str
    modified: float
    storage_class: str
    algorithms: tuple[str, ...]
    checksum_type: str


class ListedVersion(NamedTuple):
    """A version or delete marker of a key; `latest` when it is the newest."""

    key: str
    version: ObjectVersion
    latest: bool


@dataclass(slots=True)
class Page(Generic[T]):
    """Entries and common prefixes, in byte order between them. `last` is what the next page starts after."""

    entries: list[T] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""
    last_id: str = ""


def objects(snapshot: Snapshot, bucket: str, prefix: str, after: str, limit: int) -> list[Listed]:
    """Return up to `limit` current objects whose keys begin with `prefix` and follow `after`, if that is given."""
    head = keys.current_prefix(bucket)
    low, high = _bounds(head, prefix, "", after)
    return [listed(key[len(head) :].decode(), data) for key, data in snapshot.scan(low, high, limit=limit)]


def page_of_objects(
    snapshot: Snapshot,
    bucket: str,
    make: Callable[[str, bytes], T],
    *,
    prefix: str,
    delimiter: str,
    after: str,
    limit: int,
) -> Page[T]:
    """Return up to `limit` objects and common prefixes that follow `after`; `make` makes entries of key and record."""
    page: Page[T] = Page()
    head = keys.current_prefix(bucket)
    low, high = _bounds(head, prefix, delimiter, after)
    if not delimiter:
        skip = len(head)
        pairs = list(snapshot.scan(low, high, limit=limit + 1))
        page.truncated = 0 < limit < len(pairs)
        page.entries = [make(at[skip:].decode(), data) for at, data in pairs[:limit]]
        page.last = pairs[:limit][-1][0][skip:].decode() if page.entries else ""
        return page
    while True:
        # Most entries of a batch may be skipped by the next seek.
        room = limit - len(page.entries) - len(page.prefixes) + 1
        batch = list(snapshot.scan(low, high, limit=min(room, _SEEK_BATCH)))
        for at, data in batch:
            if len(page.entries) + len(page.prefixes) >= limit:
                page.truncated = limit > 0
                return page
            key = at[len(head) :].decode()
            rolled = _rolled_up(key, prefix, delimiter)
            if rolled is not None:
                page.prefixes.append(rolled)
                page.last = rolled
                low = after_prefix(head + rolled.encode()) or at + b"\0"
                break
            page.entries.append(make(key, data))
            page.last = key
            low = at + b"\0"
        else:
            if not batch:
                return page


def page_of_versions(
    snapshot: Snapshot, bucket: str, *, prefix: str, delimiter: str, after: str, after_version: str, limit: int
) -> Page[ListedVersion]:
    """Return versions and delete markers by key, newest first within a key.

    They follow all versions of `after`, or, when `after_version` is given, that version of it.
    """
    page: Page[ListedVersion] = Page()
    start = after if after_version else after + "\0" if after else ""
    skipping = after_version
    last_rolled = after if delimiter and after.endswith(delimiter) else ""
    for found in _versions(snapshot, bucket, prefix, start):
        if skipping and found.key == after:
            if found.version.version_id == after_version:
                skipping = ""
            continue
        rolled = _rolled_up(found.key, prefix, delimiter)
        if rolled is not None and rolled == last_rolled:
            continue
        if len(page.entries) + len(page.prefixes) >= limit:
            page.truncated = limit > 0
            return page
        if rolled is not None:
            last_rolled = page.last = rolled
            page.last_id = ""
            page.prefixes.append(rolled)
        else:
            page.entries.append(found)
            page.last, page.last_id = found.key, found.version.version_id
    return page


def page_of_uploads(
    snapshot: Snapshot, bucket: str, *, prefix: str, delimiter: str, after: str, after_id: str, limit: int
) -> Page[Upload]:
    """Return the uploads under way by key and id, after all those of `after` or its upload `after_id`."""
    page: Page[Upload] = Page()
    head = keys.uploads_of_bucket(bucket)
    low = head + keys.escaped(max(prefix, after))
    last_rolled = after if delimiter and after.endswith(delimiter) else ""
    for _, data in snapshot.scan(low, after_prefix(head + keys.escaped(prefix))):
        upload = Upload.from_bytes(data)
        if after and upload.key == after and (not after_id or upload.id <= after_id):
            continue
        rolled = _rolled_up(upload.key, prefix, delimiter)
        if rolled is not None and rolled == last_rolled:
            continue
        if len(page.entries) + len(page.prefixes) >= limit:
            page.truncated = limit > 0
            return page
        if rolled is not None:
            last_rolled = page.last = rolled
            page.last_id = ""
            page.prefixes.append(rolled)
        else:
            page.entries.append(upload)
            page.last, page.last_id = upload.key, upload.id
    return page


def _versions(snapshot: Snapshot, bucket: str, prefix: str, start: str) -> Iterator[ListedVersion]:
    """Merge the current objects with the other versions, by key; a key's current version is its newest."""
    head = keys.current_prefix(bucket)
    currents = (
        (key[len(head) :].decode(), ObjectVersion.from_bytes(data))
        for key, data in snapshot.scan(
            head + max(prefix.encode(), start.encode()), after_prefix(head + prefix.encode())
        )
    )
    base = keys.versions_of_bucket(bucket)
    others = (
        (keys.split_escaped(key[len(base) :])[0], ObjectVersion.from_bytes(data))
        for key, data in snapshot.scan(
            base + max(keys.escaped(prefix), keys.escaped(start)), after_prefix(base + keys.escaped(prefix))
        )
    )
    newest, other = next(currents, None), next(others, None)
    shown: str | None = None
    while newest is not None or other is not None:
        if newest is not None and (other is None or newest[0].encode() <= other[0].encode()):
            shown = newest[0]
            yield ListedVersion(newest[0], newest[1], True)
            newest = next(currents, None)
        elif other is not None:
            yield ListedVersion(other[0], other[1], other[0] != shown)
            shown = other[0]
            other = next(others, None)


def _bounds(head: bytes, prefix: str, delimiter: str, after: str) -> tuple[bytes, bytes | None]:
    low = prefix.encode()
    if after:
        follows = after.encode() + b"\0"
        if delimiter and after.startswith(prefix) and after.endswith(delimiter):
            # The page before ended with this common prefix: nothing below it is to be seen again.
            rolled = _rolled_up(after, prefix, delimiter)
            follows = (after_prefix(after.encode()) or follows) if rolled == after else follows
        low = max(low, follows)
    return head + low, after_prefix(head + prefix.encode())


def _rolled_up(key: str, prefix: str, delimiter: str) -> str | None:
    """Return the common prefix that stands for `key` in a listing, None when the key itself is listed."""
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def words(key: str, data: bytes) -> tuple[str, str]:
    """Return (key, the rest of its entry in the XML of a listing)."""
    return key, data[: data.index(b"\n")].decode()


def listed(key: str, data: bytes) -> Listed:
    """Return the entry of an object from its record."""
    version = orjson.loads(data[data.index(b"\n") + 1 :])
    return Listed(
        key,
        version.get("size", 0),
        version["etag"],
        version["modified"],
        version.get("storage_class", STANDARD),
        tuple(version.get("checksums", ())),
        version.get("checksum_type", ""),
    )
