"""Objects of one home: what the s3 room, jobs and every other part of the platform use.

Promises: a write that returned is on disk whole, whatever is killed next; readers see one version or another, never a
mixture; a failed write changes nothing. Any number of threads and processes may use one home at once. Refusals are
`AwsError`s with S3's codes. `account` None asks nobody's permission; otherwise that account must own the bucket.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from clary.kernel.core.clock import Clock
from clary.kernel.core.errors import AwsError
from clary.kernel.kv import KeyValue, Snapshot, Transaction
from clary.kernel.objects import checksums, events, index, intake
from clary.kernel.objects.blobs import Blobs
from clary.kernel.objects.buckets import Buckets
from clary.kernel.objects.events import Events
from clary.kernel.objects.folders import Folders
from clary.kernel.objects.index import Edit, Removal
from clary.kernel.objects.intake import SMALL_BYTES, Taken
from clary.kernel.objects.keys import check_key
from clary.kernel.objects.multipart import Multipart
from clary.kernel.objects.reading import Found, Reading
from clary.kernel.objects.records import ALWAYS, Claim, Condition, Content, ObjectVersion
from clary.kernel.objects.settling import Committed, Settler

_STREAM_THREADS = 8
_ANYTHING = Claim()
_PLAIN = Content()


class Deletion(NamedTuple):
    """One entry of a batch of deletes, and its outcome: `removal`, or `error`."""

    key: str
    version_id: str | None
    removal: Removal | None
    error: AwsError | None


class Objects(Reading):
    """The buckets and objects of one home."""

    def __init__(self, root: Path, kv: KeyValue, clock: Clock, *, durable: bool = True) -> None:
        super().__init__(kv, Blobs(root, durable=durable))
        self._clock = clock
        self._folders = Folders(self._blobs, self._current_blob)
        self._settler = Settler(kv, self._blobs, self._folders, clock)
        self.buckets = Buckets(kv, self._folders, clock)
        self.events = Events(kv)
        self.uploads = Multipart(self, kv, self._blobs, self._settler, clock)

    @cached_property
    def threads(self) -> ThreadPoolExecutor:
        """Where streams are hashed and written."""
        return ThreadPoolExecutor(_STREAM_THREADS, thread_name_prefix="objects-stream")

    async def put(
        self,
        bucket: str,
        key: str,
        body: AsyncIterator[bytes],
        *,
        content: Content = _PLAIN,
        claim: Claim = _ANYTHING,
        condition: Condition = ALWAYS,
        account: str | None = None,
    ) -> ObjectVersion:
        """Store what `body` yields. Nothing is kept when it raises or a claim about it is wrong."""
        check_key(key)
        if claim.size is None or claim.size > SMALL_BYTES:
            # Refuse what will be refused anyway before the bytes are taken.
            self.buckets.get(bucket, account)
        taken = await intake.take_stream(body, self._blobs.create, claim, self.threads)
        try:
            change = self._putting(bucket, key, taken, content, condition=condition, account=account)
            version, unused = await self._kv.write_async(change)
        except BaseException:
            taken.discard()
            raise
        taken.release()
        await self._settler.present_async(Committed(bucket, key, taken.blob, taken.data))
        self._settler.unused(unused)
        return version

    def put_bytes(
        self,
        bucket: str,
        key: str,
        data: bytes,
        *,
        content: Content = _PLAIN,
        claim: Claim = _ANYTHING,
        condition: Condition = ALWAYS,
        account: str | None = None,
    ) -> ObjectVersion:
        """Store `data`."""
        check_key(key)
        if len(data) <= SMALL_BYTES:
            taken = intake.take_bytes(data, claim)
        else:
            taken = intake.take_large_bytes(data, self._blobs, claim)
        return self._store(bucket, key, taken, content, condition=condition, account=account)

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        content: Content = _PLAIN,
        claim: Claim = _ANYTHING,
        condition: Condition = ALWAYS,
        account: str | None = None,
    ) -> ObjectVersion:
        """Store the content of a file."""
        check_key(key)
        taken = intake.take_file(path, self._blobs, claim)
        return self._store(bucket, key, taken, content, condition=condition, account=account)

    def copy(
        self,
        source: tuple[str, str, str | None],
        target: tuple[str, str],
        *,
        describe: Callable[[ObjectVersion], Content],
        algorithm: str = "",
        condition: Condition = ALWAYS,
        account: str | None = None,
    ) -> ObjectVersion:
        """Store the bytes of the version `source` (bucket, key, version id) as `target`, described anew.

        The bytes are shared, not copied, where the file system can, and hashed again only for a new checksum
        `algorithm` or where the ETag was of parts.
        """
        check_key(target[1])
        found = self.read(*source, account=account)
        taken = self._shared(found, algorithm)
        kind = found.version.checksum_type if taken.checksums == found.version.checksums else ""
        return self._store(
            *target,
            taken,
            describe(found.version),
            condition=condition,
            account=account,
            checksum_type=kind,
            event=events.COPY,
        )

    def delete(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        *,
        condition: Condition = ALWAYS,
        account: str | None = None,
    ) -> Removal:
        """Delete a key, or one version of it for good. What is not there is deleted already."""
        deletion = self.delete_many(bucket, [(key, version_id, condition)], account=account)[0]
        if deletion.error is not None:
            raise deletion.error
        assert deletion.removal is not None
        return deletion.removal

    def delete_many(
        self,
        bucket: str,
        keys: Sequence[tuple[str, str | None, Condition]],
        *,
        account: str | None = None,
        expired: bool = False,
    ) -> Sequence[Deletion]:
        """Delete (key, version id, condition) entries in one commit; each succeeds or fails on its own."""
        deletions, unused = self._kv.write(self._deleting(bucket, keys, account, expired=expired))
        return self._deleted(bucket, deletions, unused)

    async def delete_async(
        self, bucket: str, key: str, version_id: str | None, *, condition: Condition, account: str | None
    ) -> Removal:
        """Like `delete`, from an event loop."""
        deletions, unused = await self._kv.write_async(self._deleting(bucket, [(key, version_id, condition)], account))
        if deletions[0].error is not None:
            raise deletions[0].error
        await self._settler.present_async(Committed(bucket, key))
        self._settler.unused(unused)
        assert deletions[0].removal is not None
        return deletions[0].removal

    def restate(
        self,
        bucket: str,
        key: str,
        version_id: str | None,
        change: Callable[[ObjectVersion], None],
        *,
        account: str | None = None,
    ) -> ObjectVersion:
        """Let `change` alter the tags or other words of a version; its bytes stay. Returns the version."""

        def write(tx: Transaction) -> ObjectVersion:
            edit = Edit(tx, index.bucket_of(tx, bucket, account), self._clock.now())
            version = index.find(tx, bucket, key, version_id)
            change(version)
            edit.restate(key, version)
            return version

        return self._kv.write(write)

    def cors_rules(self, bucket: str) -> Sequence[dict[str, Any]]:
        """Return the CORS rules of a bucket; none when there is no such bucket."""
        return self.buckets.cors_rules(bucket)

    def heal(self, older_than: float = 0.0) -> int:
        """Do what processes that died left undone, if it is older than so many seconds; return how much there was."""
        return self._settler.heal(older_than)

    def flush(self) -> None:
        """Make all files safe on disk now, and empty the journal of them."""
        self._settler.flush()

    def clear(self) -> None:
        """Forget every bucket and object at once; the files go in the background."""
        self._settler.forget()
        self._kv.clear()
        self._blobs.clear()

    def close(self) -> None:
        """Finish what was begun."""
        self._settler.close()
        if "threads" in vars(self):
            self.threads.shutdown()
        self._blobs.close()

    def _store(
        self,
        bucket: str,
        key: str,
        taken: Taken,
        content: Content,
        *,
        condition: Condition,
        account: str | None,
        checksum_type: str = "",
        event: str = events.PUT,
    ) -> ObjectVersion:
        try:
            version, unused = self._kv.write(
                self._putting(
                    bucket,
                    key,
                    taken,
                    content,
                    condition=condition,
                    account=account,
                    checksum_type=checksum_type,
                    event=event,
                )
            )
        except BaseException:
            taken.discard()
            if taken.data is None:
                self._blobs.remove(taken.blob)
            raise
        taken.release()
        self._settler.present_now([Committed(bucket, key, taken.blob, taken.data)])
        self._settler.unused(unused)
        return version

    def _putting(
        self,
        bucket: str,
        key: str,
        taken: Taken,
        content: Content,
        *,
        condition: Condition,
        account: str | None,
        checksum_type: str = "",
        event: str = events.PUT,
    ) -> Callable[[Transaction], tuple[ObjectVersion, Sequence[str]]]:
        version = ObjectVersion(
            blob=taken.blob,
            size=taken.size,
            etag=taken.etag,
            modified=self._clock.now(),
            storage_class=content.storage_class,
            headers=content.headers,
            metadata=content.metadata,
            tags=content.tags,
            checksums=taken.checksums,
            checksum_type=checksum_type or checksums.FULL_OBJECT,
            encryption=content.encryption,
        )

        def change(tx: Transaction) -> tuple[ObjectVersion, Sequence[str]]:
            edit = Edit(tx, index.bucket_of(tx, bucket, account), version.modified)
            stored = edit.put(key, version, taken.data, condition)
            events.record(tx, edit.bucket, event, key, stored, version.modified)
            return stored, edit.unused

        return change

    def _deleting(
        self,
        bucket: str,
        keys: Sequence[tuple[str, str | None, Condition]],
        account: str | None,
        *,
        expired: bool = False,
    ) -> Callable[[Transaction], tuple[Sequence[Deletion], Sequence[str]]]:
        now = self._clock.now()

        def change(tx: Transaction) -> tuple[Sequence[Deletion], Sequence[str]]:
            edit = Edit(tx, index.bucket_of(tx, bucket, account), now)
            deletions = []
            for key, version_id, condition in keys:
                try:
                    check_key(key)
                    removal = edit.delete(key, version_id, condition)
                except AwsError as error:
                    deletions.append(Deletion(key, version_id, None, error))
                else:
                    events.record_removal(tx, edit.bucket, key, removal, now, expired=expired)
                    deletions.append(Deletion(key, version_id, removal, None))
            return deletions, edit.unused

        return change

    def _deleted(self, bucket: str, deletions: Sequence[Deletion], unused: Sequence[str]) -> Sequence[Deletion]:
        self._settler.present_now([Committed(bucket, deletion.key) for deletion in deletions if deletion.removal])
        self._settler.unused(unused)
        return deletions

    def _shared(self, found: Found, algorithm: str) -> Taken:
        """Return a new blob with the bytes of `found`."""
        version = found.version
        rehash = "-" in version.etag or (algorithm and algorithm not in version.checksums)
        claim = Claim(checksums={algorithm: ""} if algorithm else dict.fromkeys(version.checksums, ""))
        if found.path is None:
            assert found.data is not None
            return intake.take_bytes(found.data, claim)
        if rehash:
            etag, sums = intake.hash_file(found.path, claim)
        else:
            etag, sums = version.etag, version.checksums
        return Taken(self._blobs.link(str(found.path)), version.size, etag, sums)

    def _current_blob(self, bucket: str, key: str) -> str | None:
        def look(snapshot: Snapshot) -> str | None:
            version = index.current(snapshot, bucket, key)
            return None if version is None else version.blob

        return self._kv.read(look)
