"""The rules of the index: what putting and deleting do to the versions of a key. All functions run in a transaction.

At most one version of a key stands at its current place: the newest, unless that is a delete marker. All others stand
among the versions of the key. So listing current objects reads nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from clary.kernel.kv import Snapshot, Transaction
from clary.kernel.objects import journal
from clary.kernel.objects.blobs import new_blob
from clary.kernel.objects.keys import (
    bucket_key,
    current_key,
    span,
    version_key,
    versions_prefix,
)
from clary.kernel.objects.records import NULL_VERSION, Bucket, Condition, ObjectVersion
from clary.kernel.objects.refusals import (
    no_such_bucket,
    no_such_key,
    no_such_version,
    not_yours,
    precondition_failed,
)

_PLACE_BITS = 64


@dataclass(frozen=True, slots=True)
class Removal:
    """What a delete did: `gone` is the version removed for good, `marker` the delete marker added."""

    gone: ObjectVersion | None
    marker: ObjectVersion | None


def bucket_of(tx: Snapshot, name: str, account: str | None) -> Bucket:
    """Return a bucket. Raises NoSuchBucket, or AccessDenied when `account` is given and is not its owner."""
    data = tx.get(bucket_key(name))
    if data is None:
        raise no_such_bucket(name)
    bucket = Bucket.from_bytes(data)
    if account is not None and bucket.account != account:
        raise not_yours(name)
    return bucket


def current(tx: Snapshot, bucket: str, key: str) -> ObjectVersion | None:
    """Return the current version, None when there is none or it is a delete marker."""
    data = tx.get(current_key(bucket, key))
    return None if data is None else ObjectVersion.from_bytes(data)


def others(tx: Snapshot, bucket: str, key: str, limit: int | None = None) -> Iterator[ObjectVersion]:
    """Yield the versions of a key that are not at its current place, newest first."""
    for _, data in tx.scan(*span(versions_prefix(bucket, key)), limit=limit):
        yield ObjectVersion.from_bytes(data)


def find(tx: Snapshot, bucket: str, key: str, version_id: str | None) -> ObjectVersion:
    """Return a version, or the current one. Raises NoSuchKey or NoSuchVersion; may return a delete marker by its id.

    When the current version is a delete marker, NoSuchKey carries its id in the member VersionId.
    """
    newest = current(tx, bucket, key)
    if version_id is None:
        if newest is None:
            refusal = no_such_key(key)
            for marker in others(tx, bucket, key, limit=1):
                refusal.members |= {"DeleteMarker": True, "VersionId": marker.version_id}
            raise refusal
        return newest
    if newest is not None and newest.version_id == version_id:
        return newest
    found = _among_others(tx, bucket, key, version_id)
    if found is None:
        raise no_such_version(key, version_id)
    return found


def check(condition: Condition, newest: ObjectVersion | None, key: str) -> None:
    """Raise PreconditionFailed, or NoSuchKey where an existing object was required."""
    wanted = condition.if_match
    if wanted is not None:
        if newest is None:
            raise no_such_key(key)
        if wanted not in {"*", newest.etag}:
            raise precondition_failed("If-Match")
    if condition.if_none_match is not None and newest is not None and condition.if_none_match in {"*", newest.etag}:
        raise precondition_failed("If-None-Match")
    if newest is not None:
        if condition.if_modified is not None and int(condition.if_modified) != int(newest.modified):
            raise precondition_failed("x-amz-if-match-last-modified-time")
        if condition.if_size is not None and condition.if_size != newest.size:
            raise precondition_failed("x-amz-if-match-size")


class Edit:
    """Changes to the objects of one bucket within one transaction.

    `unused` lists the blobs to which nothing refers any more once the transaction is committed.
    """

    def __init__(self, tx: Transaction, bucket: Bucket, now: float) -> None:
        self.bucket = bucket
        self.unused: list[str] = []
        self._tx = tx
        self._now = now

    def put(self, key: str, version: ObjectVersion, body: bytes | None, condition: Condition) -> ObjectVersion:
        """Make `version` the current one, give it its place and return it. `body` as in `journal.record_new`."""
        newest = current(self._tx, self.bucket.name, key)
        check(condition, newest, key)
        version.place = self._place(key, newest, version.blob)
        version.versioned = self.bucket.versioning == "Enabled"
        self._retire(key, newest, version)
        self._tx.put(current_key(self.bucket.name, key), version.to_bytes())
        journal.record_new(self._tx, version.blob, self.bucket.name, key, body=body, now=self._now)
        return version

    def delete(self, key: str, version_id: str | None, condition: Condition) -> Removal:
        """Delete a key, or one version for good. Like S3, deleting what is not there succeeds."""
        newest = current(self._tx, self.bucket.name, key)
        if version_id is not None:
            return self._delete_version(key, version_id, condition, newest)
        if newest is not None or condition.if_match is not None:
            check(condition, newest, key)
        if not self.bucket.versioning:
            if newest is None:
                return Removal(None, None)
            self._tx.delete(current_key(self.bucket.name, key))
            self._give_up(key, newest)
            return Removal(newest, None)
        marker = ObjectVersion(
            blob=new_blob(), modified=self._now, marker=True, versioned=self.bucket.versioning == "Enabled"
        )
        marker.place = self._place(key, newest, marker.blob)
        self._retire(key, newest, marker)
        self._tx.delete(current_key(self.bucket.name, key))
        self._tx.put(version_key(self.bucket.name, key, marker.place), marker.to_bytes())
        return Removal(None, marker)

    def restate(self, key: str, version: ObjectVersion) -> None:
        """Store a version again whose bytes are the same but whose tags or other words changed."""
        newest = current(self._tx, self.bucket.name, key)
        is_current = newest is not None and newest.place == version.place
        at = current_key(self.bucket.name, key) if is_current else version_key(self.bucket.name, key, version.place)
        self._tx.put(at, version.to_bytes())

    def _delete_version(self, key: str, version_id: str, condition: Condition, newest: ObjectVersion | None) -> Removal:
        if newest is not None and newest.version_id == version_id:
            gone: ObjectVersion | None = newest
            at = current_key(self.bucket.name, key)
        else:
            gone = _among_others(self._tx, self.bucket.name, key, version_id)
            at = b"" if gone is None else version_key(self.bucket.name, key, gone.place)
        if gone is None:
            return Removal(None, None)
        check(condition, gone, key)
        self._tx.delete(at)
        self._give_up(key, gone)
        if newest is None or gone is newest:
            self._promote(key)
        return Removal(gone, None)

    def _promote(self, key: str) -> None:
        """Make the newest remaining version current, unless it is a delete marker."""
        for version in others(self._tx, self.bucket.name, key, limit=1):
            if not version.marker:
                self._tx.delete(version_key(self.bucket.name, key, version.place))
                self._tx.put(current_key(self.bucket.name, key), version.to_bytes())
                # Its file must be shown under the key again.
                journal.record_shown(self._tx, version.blob, self.bucket.name, key, self._now)

    def _retire(self, key: str, newest: ObjectVersion | None, successor: ObjectVersion) -> None:
        """Move what `successor` replaces among the others, or give it up: a key has one null version at most."""
        if newest is not None:
            if successor.versioned or newest.versioned:
                self._tx.put(version_key(self.bucket.name, key, newest.place), newest.to_bytes())
            else:
                self._give_up(key, newest)
        if self.bucket.versioning and not successor.versioned:
            old_null = _among_others(self._tx, self.bucket.name, key, NULL_VERSION)
            if old_null is not None:
                self._tx.delete(version_key(self.bucket.name, key, old_null.place))
                self._give_up(key, old_null)

    def _give_up(self, key: str, version: ObjectVersion) -> None:
        if not version.marker:
            journal.record_unused(self._tx, version.blob, self.bucket.name, key, self._now)
            self.unused.append(version.blob)

    def _place(self, key: str, newest: ObjectVersion | None, blob: str) -> str:
        """Return a place before those of all versions the key has, from the time where that is newer."""
        place = (1 << _PLACE_BITS) - 1 - int(self._now * 1e9)
        if self.bucket.versioning:
            known = newest or next(others(self._tx, self.bucket.name, key, limit=1), None)
            if known is not None:
                place = min(place, int(known.place[:16], 16) - 1)
        return f"{place:016x}{blob[-16:]}"


def _among_others(tx: Snapshot, bucket: str, key: str, version_id: str) -> ObjectVersion | None:
    if version_id != NULL_VERSION:
        data = tx.get(version_key(bucket, key, version_id)) if len(version_id) == _PLACE_BITS // 2 else None
        found = None if data is None else ObjectVersion.from_bytes(data)
        return found if found is not None and found.versioned else None
    return next((version for version in others(tx, bucket, key) if not version.versioned), None)
