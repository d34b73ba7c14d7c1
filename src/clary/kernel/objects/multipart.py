"""Multipart uploads of one home: begin, take parts, complete or abort."""

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple, Protocol

from clary.kernel.core.clock import Clock
from clary.kernel.core.errors import AwsError
from clary.kernel.kv import KeyValue, Snapshot, Transaction
from clary.kernel.objects import assembly, events, index, intake, keys, listing, uploads
from clary.kernel.objects.assembly import Slot, SlotWriter
from clary.kernel.objects.blobs import Blobs, new_blob
from clary.kernel.objects.checksums import DEFAULT_ALGORITHM, types_of
from clary.kernel.objects.index import Edit
from clary.kernel.objects.intake import SMALL_BYTES, Taken
from clary.kernel.objects.journal import read_work
from clary.kernel.objects.records import ALWAYS, Claim, Condition, Content, ObjectVersion, Part, Upload
from clary.kernel.objects.settling import Committed, Settler
from clary.kernel.objects.uploads import NamedPart

_ANYTHING = Claim()
_PLAIN = Content()


class Streams(Protocol):
    """Where the threads come from that hash and write."""

    @property
    def threads(self) -> Executor: ...


class Multipart:
    """The multipart uploads under way. `account` as in `Objects`."""

    def __init__(self, streams: Streams, kv: KeyValue, blobs: Blobs, settler: Settler, clock: Clock) -> None:
        self._streams = streams
        self._kv = kv
        self._blobs = blobs
        self._settler = settler
        self._clock = clock

    def begin(
        self,
        bucket: str,
        key: str,
        *,
        content: Content = _PLAIN,
        algorithm: str = "",
        checksum_type: str = "",
        initiator: str = "",
        account: str | None = None,
    ) -> Upload:
        """Begin an upload; parts are checked by `algorithm`, and the object's checksum is of `checksum_type`."""
        keys.check_key(key)
        algorithm = algorithm or DEFAULT_ALGORITHM
        possible = types_of(algorithm)
        if checksum_type and checksum_type not in possible:
            raise AwsError(
                "InvalidRequest",
                f"The {checksum_type} checksum type cannot be used with the {algorithm} checksum algorithm.",
                status=400,
            )
        upload = Upload(
            id=new_blob(),
            bucket=bucket,
            key=key,
            account=initiator,
            initiated=self._clock.now(),
            algorithm=algorithm,
            checksum_type=checksum_type or possible[0],
            storage_class=content.storage_class,
            headers=content.headers,
            metadata=content.metadata,
            tags=content.tags,
            encryption=content.encryption,
        )

        def write(tx: Transaction) -> None:
            index.bucket_of(tx, bucket, account)
            tx.put(keys.upload_key(bucket, key, upload.id), upload.to_bytes())

        self._kv.write(write)
        return upload

    def get(self, bucket: str, key: str, upload_id: str, *, account: str | None = None) -> Upload:
        """Return an upload. Raises NoSuchBucket, NoSuchUpload."""

        def look(snapshot: Snapshot) -> Upload:
            index.bucket_of(snapshot, bucket, account)
            return uploads.get_upload(snapshot, bucket, key, upload_id)

        return self._kv.read(look)

    async def put_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        body: AsyncIterator[bytes],
        *,
        claim: Claim = _ANYTHING,
        account: str | None = None,
    ) -> Part:
        """Store a part, in place of an earlier one of its number."""
        uploads.check_part_number(number)
        upload = self.get(bucket, key, upload_id, account=account)
        slot = await self._claim_slot(upload, number, claim.size)
        create = self._blobs.create if slot is None else partial(SlotWriter, self._blobs, slot)
        taken: Taken | None = None
        try:
            taken = await intake.take_stream(
                body, create, _with(claim, upload.algorithm), self._streams.threads, keep_small=slot is None
            )
            part = self._part(number, taken, in_assembly=slot is not None)
            data, now = taken.data, part.modified
            unused = await self._kv.write_async(
                lambda tx: uploads.put_part(tx, upload, part, data, account=account, now=now)
            )
        except BaseException:
            if taken is not None:
                taken.discard()
            if slot is not None:
                await self._kv.write_async(lambda tx: assembly.give_back(tx, upload_id, number))
            raise
        taken.release()
        if slot is None:
            await self._settler.present_async(Committed(bucket, "", taken.blob, taken.data))
        self._settler.unused(unused)
        return part

    async def _claim_slot(self, upload: Upload, number: int, size: int | None) -> Slot | None:
        """Claim where the part goes, None when it is to be a file of its own."""
        if size is None or size <= SMALL_BYTES:
            return None

        def write(tx: Transaction) -> Slot | None:
            begun = uploads.get_upload(tx, upload.bucket, upload.key, upload.id)
            return assembly.claim(tx, begun, number, size)

        return await self._kv.write_async(write)

    def copy_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        source: bytes | str,
        span: tuple[int, int],
        *,
        account: str | None = None,
    ) -> Part:
        """Store (offset, length) of `source`, bytes or a file, as a part."""
        uploads.check_part_number(number)
        upload = self.get(bucket, key, upload_id, account=account)
        claim = Claim(checksums={upload.algorithm: ""})
        offset, length = span
        if isinstance(source, bytes):
            taken = intake.take_bytes(source[offset : offset + length], claim)
        else:
            taken = intake.take_range(source, offset, length, self._blobs, claim)
        part = self._part(number, taken)
        try:
            unused = self._kv.write(
                lambda tx: uploads.put_part(tx, upload, part, taken.data, account=account, now=part.modified)
            )
        except BaseException:
            taken.discard()
            raise
        taken.release()
        self._settler.present_now([Committed(bucket, "", taken.blob, taken.data)])
        self._settler.unused(unused)
        return part

    def complete(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        named: Sequence[NamedPart],
        *,
        claim: Claim = _ANYTHING,
        condition: Condition = ALWAYS,
        account: str | None = None,
    ) -> ObjectVersion:
        """Make the named parts one object and end the upload. `claim` may hold the object's checksum and size.

        Who did not hear the answer may ask again: while the object is the current one, the answer is the same.
        """

        def look(snapshot: Snapshot) -> _Plan | ObjectVersion:
            index.bucket_of(snapshot, bucket, account)
            newest = index.current(snapshot, bucket, key)
            if newest is not None and newest.upload == upload_id:
                return newest
            upload = uploads.get_upload(snapshot, bucket, key, upload_id)
            index.check(condition, newest, key)
            return _plan(snapshot, upload, named)

        plan = self._kv.read(look)
        if isinstance(plan, ObjectVersion):
            return plan
        upload, parts = plan.upload, plan.parts
        now = self._clock.now()
        draft = uploads.assembled(upload, parts, "", now)
        _check_claim(claim, draft, upload.algorithm)
        draft.blob = self._join(plan)

        def finish(tx: Transaction) -> tuple[ObjectVersion, Sequence[str]]:
            edit = Edit(tx, index.bucket_of(tx, bucket, account), now)
            again = _plan(tx, uploads.get_upload(tx, bucket, key, upload_id), named)
            if again.parts != parts or (draft.blob == upload.assembly and not again.fits):
                raise AwsError(
                    "OperationAborted",
                    "A part was replaced while the upload was being completed. Try again.",
                    status=409,
                )
            unused = uploads.end(tx, upload, now, keep=draft.blob)
            version = edit.put(key, draft, None, condition)
            events.record(tx, edit.bucket, events.COMPLETE, key, version, now)
            return version, [*unused, *edit.unused]

        try:
            version, unused = self._kv.write(finish)
        except BaseException:
            if draft.blob != upload.assembly:
                self._blobs.remove(draft.blob)
            raise
        self._blobs.seal(version.blob)
        self._settler.present_now([Committed(bucket, key, version.blob)])
        self._settler.unused(unused)
        return version

    def _join(self, plan: "_Plan") -> str:
        """Make one blob of the parts: the upload's own file where that is possible."""
        finished = assembly.finish(self._blobs, plan.upload, plan.parts, plan.bodies) if plan.fits else None
        return finished or uploads.join(self._blobs, plan.upload, plan.parts, plan.bodies)

    def abort(self, bucket: str, key: str, upload_id: str, *, account: str | None = None) -> None:
        """End an upload and drop its parts."""
        now = self._clock.now()

        def write(tx: Transaction) -> Sequence[str]:
            index.bucket_of(tx, bucket, account)
            return uploads.end(tx, uploads.get_upload(tx, bucket, key, upload_id), now)

        self._settler.unused(self._kv.write(write))

    def parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1000, account: str | None = None
    ) -> tuple[Upload, Sequence[Part], bool]:
        """Return the upload, up to `limit` of its parts after number `after`, and whether there are more."""

        def look(snapshot: Snapshot) -> tuple[Upload, Sequence[Part], bool]:
            index.bucket_of(snapshot, bucket, account)
            upload = uploads.get_upload(snapshot, bucket, key, upload_id)
            found = uploads.get_parts(snapshot, upload_id, after, limit + 1)
            return upload, found[:limit], len(found) > limit

        return self._kv.read(look)

    def page(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_id: str = "",
        limit: int = 1000,
        account: str | None = None,
    ) -> listing.Page[Upload]:
        """Return one page of the uploads under way."""

        def look(snapshot: Snapshot) -> listing.Page[Upload]:
            index.bucket_of(snapshot, bucket, account)
            return listing.page_of_uploads(
                snapshot, bucket, prefix=prefix, delimiter=delimiter, after=after, after_id=after_id, limit=limit
            )

        return self._kv.read(look)

    def _part(self, number: int, taken: Taken, *, in_assembly: bool = False) -> Part:
        return Part(
            number=number,
            blob=taken.blob,
            size=taken.size,
            etag=taken.etag,
            modified=self._clock.now(),
            checksums=taken.checksums,
            in_assembly=in_assembly,
        )


class _Plan(NamedTuple):
    """An upload, the parts chosen for the object, their bytes that are in the journal, and whether its file `fits`."""

    upload: Upload
    parts: Sequence[Part]
    bodies: dict[str, bytes]
    fits: bool


def _plan(snapshot: Snapshot, upload: Upload, named: Sequence[NamedPart]) -> _Plan:
    stored = uploads.get_parts(snapshot, upload.id)
    chosen = uploads.choose(stored, named, upload.algorithm)
    fits = assembly.fits(upload, stored, chosen, assembly.claims(snapshot, upload.id))
    return _Plan(upload, chosen, _journaled(snapshot, chosen), fits)


def _with(claim: Claim, algorithm: str) -> Claim:
    """Return the claim, with the algorithm of the upload among those to compute."""
    return Claim({algorithm: "", **claim.checksums}, claim.md5, claim.size)


def _journaled(snapshot: Snapshot, parts: Sequence[Part]) -> dict[str, bytes]:
    """Return the bytes of the parts whose files may not exist yet."""
    bodies = {}
    for part in parts:
        if part.size > SMALL_BYTES:
            continue
        work = snapshot.get(keys.work_key(part.blob))
        body = None if work is None else read_work(part.blob, work).body
        if body is not None:
            bodies[part.blob] = body
    return bodies


def _check_claim(claim: Claim, draft: ObjectVersion, algorithm: str) -> None:
    if claim.size is not None and claim.size != draft.size:
        raise AwsError(
            "InvalidRequest",
            f"The parts have {draft.size} bytes together, not the {claim.size} of x-amz-mp-object-size.",
            status=400,
        )
    for name, claimed in claim.checksums.items():
        computed = draft.checksums.get(name)
        if claimed and computed is None:
            raise AwsError(
                "InvalidRequest", f"The upload was begun with the {algorithm} checksum, not with {name}.", status=400
            )
        if claimed and claimed not in {computed, str(computed).partition("-")[0]}:
            raise AwsError(
                "BadDigest", f"The {name} you specified, {claimed}, is not that of the parts: {computed}.", status=400
            )
