"""The file a multipart upload grows in, so that completing it copies nothing.

Clients send parts of one size, but for the last. The first such part sets the *stride* of the upload, and each part is
written where it will stand in the object: part n at (n - 1) strides. A part must claim its slot first, in the index, so
that no two writers ever share one; whatever has no slot (a part sent twice, or too long) is a file of its own, and is
copied into its place at the end. Where the parts the client names do not fit together like that, all are copied.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from clary.kernel.core.errors import AwsError
from clary.kernel.kv import Snapshot, Transaction
from clary.kernel.objects import keys
from clary.kernel.objects.blobs import Blobs, copy_range, new_blob, pwrite_all, start_writing, sync_folder
from clary.kernel.objects.records import Part, Upload

# Only a size that somebody chose makes a stride: a last part that arrives first must not.
_STRIDE_UNIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one part may be written."""

    blob: str
    offset: int
    length: int


class SlotWriter:
    """Writes one part into its slot; looks like a new blob to those who stream."""

    def __init__(self, blobs: Blobs, slot: Slot) -> None:
        self.name = slot.blob
        self.size = 0
        self._slot = slot
        self._path = blobs.make_room(slot.blob)
        self._durable = blobs.durable
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, buffers: Sequence[bytes]) -> None:
        """Append. Raises IncompleteBody at the end of the slot: behind it stands another part."""
        length = sum(map(len, buffers))
        if self.size + length > self._slot.length:
            raise AwsError(
                "IncompleteBody", f"The request announced {self._slot.length} bytes and brought more.", status=400
            )
        at = self._slot.offset + self.size
        self.size += pwrite_all(self._descriptor, buffers, at)
        if self._durable:
            start_writing(self._descriptor, at, length)

    def sync(self) -> None:
        """Make the part safe on disk."""
        if self._durable:
            os.fsync(self._descriptor)
            sync_folder(os.path.dirname(self._path))

    def discard(self) -> None:
        """Let go of what was written; who claimed the slot gives it back."""
        self.release()

    def release(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def claim(tx: Transaction, upload: Upload, number: int, size: int) -> Slot | None:
    """Claim the slot of a part of `size` bytes, None when there is none for it."""
    if not upload.stride:
        if size % _STRIDE_UNIT:
            return None
        upload.assembly, upload.stride = new_blob(), size
        tx.put(keys.upload_key(upload.bucket, upload.key, upload.id), upload.to_bytes())
    at = keys.slot_key(upload.id, number)
    if size > upload.stride or tx.get(at) is not None:
        return None
    tx.put(at, b"")
    return Slot(upload.assembly, (number - 1) * upload.stride, size)


def give_back(tx: Transaction, upload_id: str, number: int) -> None:
    """Let the slot of a failed attempt be claimed again, unless its part was recorded after all."""
    data = tx.get(keys.part_key(upload_id, number))
    if data is None or not Part.from_bytes(data).in_assembly:
        tx.delete(keys.slot_key(upload_id, number))


def claims(tx: Snapshot, upload_id: str) -> set[int]:
    """Return the numbers of the parts whose slots are claimed."""
    prefix = keys.slots_prefix(upload_id)
    return {int.from_bytes(key[len(prefix) :], "big") for key, _ in tx.scan(*keys.span(prefix))}


def fits(upload: Upload, stored: Sequence[Part], chosen: Sequence[Part], claimed: set[int]) -> bool:
    """Say whether the upload's file can become the object: every slot in use is in its place, and nobody writes."""
    offset = 0
    in_place = set()
    for part in chosen:
        if part.in_assembly:
            if (part.number - 1) * upload.stride != offset:
                return False
            in_place.add(part.number)
        offset += part.size
    in_use = {part.number for part in stored if part.in_assembly}
    return bool(in_place) and in_use == in_place == claimed


def finish(blobs: Blobs, upload: Upload, chosen: Sequence[Part], bodies: dict[str, bytes]) -> str | None:
    """Complete the upload's file with the parts that are not in it, synced; return its name, None if one is gone."""
    path = blobs.path(upload.assembly)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        offset = 0
        for part in chosen:
            if not part.in_assembly and not _bring(blobs, part, bodies.get(part.blob), descriptor, offset):
                return None
            offset += part.size
        os.ftruncate(descriptor, offset)
        if blobs.durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return upload.assembly


def _bring(blobs: Blobs, part: Part, body: bytes | None, descriptor: int, offset: int) -> bool:
    if body is not None:
        pwrite_all(descriptor, [body], offset)
        return True
    path = blobs.find(part.blob)
    if path is None:
        return False
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        done = 0
        while done < part.size:
            copied = copy_range(source, descriptor, done, part.size - done, offset + done)
            if copied == 0:
                return False
            done += copied
    finally:
        os.close(source)
    return True
