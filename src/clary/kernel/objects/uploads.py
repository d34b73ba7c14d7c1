"""Multipart uploads: parts arrive in any order, are kept as blobs of their own, and become one object."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from clary.kernel.core.errors import AwsError
from clary.kernel.kv import Snapshot, Transaction
from clary.kernel.objects import checksums, journal, keys
from clary.kernel.objects.blobs import Blobs
from clary.kernel.objects.index import bucket_of
from clary.kernel.objects.records import ObjectVersion, Part, Upload
from clary.kernel.objects.refusals import invalid_part, no_such_upload

LEAST_PART_BYTES = 5 * 1024 * 1024
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class NamedPart:
    """A part as the client lists it to complete an upload; `checksums` by algorithm."""

    number: int
    etag: str
    checksums: dict[str, str]


def get_upload(tx: Snapshot, bucket: str, key: str, upload_id: str) -> Upload:
    """Return an upload under way. Raises NoSuchUpload."""
    data = tx.get(keys.upload_key(bucket, key, upload_id))
    if data is None:
        raise no_such_upload(upload_id)
    return Upload.from_bytes(data)


def get_parts(tx: Snapshot, upload_id: str, after: int = 0, limit: int | None = None) -> list[Part]:
    """Return the parts that arrived, by number, after the given one."""
    start, end = keys.part_key(upload_id, after + 1), keys.span(keys.parts_prefix(upload_id))[1]
    return [Part.from_bytes(data) for _, data in tx.scan(start, end, limit=limit)]


def check_part_number(number: int) -> None:
    """Raise InvalidArgument for a number that no part may have."""
    if not 1 <= number <= MOST_PARTS:
        raise AwsError(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive; it is {number}.",
            status=400,
            members={"ArgumentName": "partNumber", "ArgumentValue": str(number)},
        )


def put_part(
    tx: Transaction, upload: Upload, part: Part, body: bytes | None, account: str | None, now: float
) -> list[str]:
    """Store a part, in place of an earlier one of its number; return the blobs that are unused now."""
    bucket_of(tx, upload.bucket, account)
    get_upload(tx, upload.bucket, upload.key, upload.id)
    at = keys.part_key(upload.id, part.number)
    before = tx.get(at)
    unused = []
    if before is not None and not (replaced := Part.from_bytes(before)).in_assembly:
        unused.append(replaced.blob)
        journal.record_unused(tx, replaced.blob, upload.bucket, "", now)
    tx.put(at, part.to_bytes())
    if not part.in_assembly:
        journal.record_new(tx, part.blob, upload.bucket, "", body=body, now=now)
    return unused


def end(tx: Transaction, upload: Upload, now: float, keep: str = "") -> list[str]:
    """Remove an upload and its parts; return the blobs that are unused now, which `keep` is not."""
    blobs = {upload.assembly} if upload.assembly else set()
    for key, data in tx.scan(*keys.span(keys.parts_prefix(upload.id))):
        blobs.add(Part.from_bytes(data).blob)
        tx.delete(key)
    unused = sorted(blobs - {keep})
    for blob in unused:
        journal.record_unused(tx, blob, upload.bucket, "", now)
    for key, _ in tx.scan(*keys.span(keys.slots_prefix(upload.id))):
        tx.delete(key)
    tx.delete(keys.upload_key(upload.bucket, upload.key, upload.id))
    return unused


def choose(stored: Sequence[Part], named: Sequence[NamedPart], algorithm: str) -> list[Part]:
    """Return the stored parts the client names. Raises MalformedXML, InvalidPartOrder, InvalidPart, EntityTooSmall."""
    if not named:
        raise AwsError("MalformedXML", "Name at least one part to complete a multipart upload.", status=400)
    if any(second.number <= first.number for first, second in pairwise(named)):
        raise AwsError("InvalidPartOrder", "The list of parts was not in ascending order by part number.", status=400)
    by_number = {part.number: part for part in stored}
    chosen = []
    for name in named:
        part = by_number.get(name.number)
        if part is None:
            raise invalid_part(name.number, "it was not uploaded")
        if part.etag != name.etag:
            raise invalid_part(name.number, f"its ETag is {part.etag}, not {name.etag}")
        claimed = name.checksums.get(algorithm)
        if claimed and claimed != part.checksums.get(algorithm):
            raise invalid_part(name.number, f"its {algorithm} is {part.checksums.get(algorithm)}, not {claimed}")
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < LEAST_PART_BYTES:
            raise AwsError(
                "EntityTooSmall",
                f"Your proposed upload is smaller than the minimum allowed size: part {part.number} has {part.size} "
                f"bytes, and all parts but the last need {LEAST_PART_BYTES}.",
                status=400,
                members={"PartNumber": part.number, "ETag": part.etag},
            )
    return chosen


def assembled(upload: Upload, parts: Sequence[Part], blob: str, now: float) -> ObjectVersion:
    """Return the object that the parts make, with `<md5 of their md5s>-<n>` for an ETag."""
    algorithm = upload.algorithm
    sums = [part.checksums[algorithm] for part in parts]
    if upload.checksum_type == checksums.FULL_OBJECT:
        checksum = checksums.full_object(algorithm, [(sums[n], part.size) for n, part in enumerate(parts)])
    else:
        checksum = checksums.composite(algorithm, sums)
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    return ObjectVersion(
        blob=blob,
        size=sum(part.size for part in parts),
        etag=f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}",
        modified=now,
        storage_class=upload.storage_class,
        headers=upload.headers,
        metadata=upload.metadata,
        tags=upload.tags,
        checksums={algorithm: checksum},
        checksum_type=upload.checksum_type,
        parts=[[part.number, part.size, sums[n]] for n, part in enumerate(parts)],
        encryption=upload.encryption,
        upload=upload.id,
    )


def join(blobs: Blobs, upload: Upload, parts: Sequence[Part], bodies: dict[str, bytes]) -> str:
    """Write the parts one after another to a new blob, synced; return its name. `bodies` are those in the journal."""
    if len(parts) == 1 and parts[0].blob not in bodies and not parts[0].in_assembly:
        path = blobs.find(parts[0].blob)
        if path is not None:
            return blobs.link(path)
    stream = blobs.create()
    try:
        for part in parts:
            if part.blob in bodies:
                stream.write([bodies[part.blob]])
                continue
            path = blobs.find(part.blob)
            if path is None:
                raise invalid_part(part.number, "it was replaced or the upload ended meanwhile")
            stream.copy(path, (part.number - 1) * upload.stride if part.in_assembly else 0, part.size)
        stream.sync()
    except BaseException:
        stream.discard()
        raise
    stream.release()
    return stream.name
