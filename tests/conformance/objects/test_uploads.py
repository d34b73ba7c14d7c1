"""Uploads in parts: in whatever order and however often parts come, the object is right."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conformance.objects.support import LARGE, pieces, refused

from clary.kernel.objects import Objects, checksums
from clary.kernel.objects.records import Claim, Condition, Content
from clary.kernel.objects.uploads import LEAST_PART_BYTES, NamedPart


class TestUploads:
    def test_parts_become_one_object(self, objects: Objects, plain: Path) -> None:
        data = random.Random(2).randbytes(LEAST_PART_BYTES) + b"tail"
        content = Content(metadata={"a": "b"})
        upload = objects.uploads.begin("bucket", "a/b", content=content, algorithm="CRC32", checksum_type="FULL_OBJECT")

        async def send() -> None:
            for number, part in (
                (2, b"wrong"),
                (2, data[LEAST_PART_BYTES:]),
                (1, data[:LEAST_PART_BYTES]),
                (7, b"unused"),
            ):
                await objects.uploads.put_part("bucket", "a/b", upload.id, number, pieces(part))

        asyncio.run(send())
        _, parts, more = objects.uploads.parts("bucket", "a/b", upload.id)
        assert ([part.number for part in parts], more) == ([1, 2, 7], False)
        assert [entry.id for entry in objects.uploads.page("bucket").entries] == [upload.id]
        named = [NamedPart(part.number, part.etag, {}) for part in parts[:2]]
        version = objects.uploads.complete("bucket", "a/b", upload.id, named)
        assert objects.get_bytes("bucket", "a/b") == (plain / "a" / "b").read_bytes() == data
        assert version.etag.endswith("-2")
        assert version.checksums == {"CRC32": checksums.of_bytes("CRC32", data)}
        assert version.metadata == {"a": "b"}
        assert objects.uploads.page("bucket").entries == []
        assert objects.uploads.complete("bucket", "a/b", upload.id, named) == version
        objects.put_bytes("bucket", "a/b", b"")
        with refused("NoSuchUpload"):
            objects.uploads.complete("bucket", "a/b", upload.id, named)

    def test_a_list_of_parts_that_cannot_be_joined_leaves_the_upload_open(self, objects: Objects) -> None:
        upload = objects.uploads.begin("bucket", "a")

        async def send() -> list[NamedPart]:
            parts = [await objects.uploads.put_part("bucket", "a", upload.id, n, pieces(b"small")) for n in (1, 2)]
            return [NamedPart(part.number, part.etag, {}) for part in parts]

        first, second = asyncio.run(send())
        for named, code in (
            ([first, second], "EntityTooSmall"),
            ([second, first], "InvalidPartOrder"),
            ([NamedPart(1, "0" * 32, {})], "InvalidPart"),
            ([NamedPart(3, first.etag, {})], "InvalidPart"),
            ([], "MalformedXML"),
        ):
            with refused(code):
                objects.uploads.complete("bucket", "a", upload.id, named)
        objects.uploads.complete("bucket", "a", upload.id, [first])
        assert objects.get_bytes("bucket", "a") == b"small"

    def test_parts_can_be_copied_and_an_abort_drops_them(self, objects: Objects) -> None:
        upload = objects.uploads.begin("bucket", "a", algorithm="SHA256")
        source = objects.put_bytes("bucket", "source", LARGE)
        path = str(objects.local_path("bucket", "source"))
        part = objects.uploads.copy_part("bucket", "a", upload.id, 1, path, (0, source.size))
        assert part.etag == source.etag
        version = objects.uploads.complete("bucket", "a", upload.id, [NamedPart(1, part.etag, {})])
        assert objects.get_bytes("bucket", "a") == LARGE
        assert version.checksums["SHA256"].endswith("-1")
        other = objects.uploads.begin("bucket", "b")
        objects.uploads.copy_part("bucket", "b", other.id, 1, b"abcdef", (2, 3))
        objects.uploads.abort("bucket", "b", other.id)
        with refused("NoSuchUpload"):
            objects.uploads.parts("bucket", "b", other.id)


class TestAssembly:
    """Parts of one size are written where they will stand, and completing copies none of them."""

    STRIDE = LEAST_PART_BYTES
    BODY = random.Random(4).randbytes(2 * STRIDE + 70_000)

    def part(self, number: int) -> bytes:
        return self.BODY[(number - 1) * self.STRIDE : number * self.STRIDE]

    async def send(self, objects: Objects, upload_id: str, number: int, body: bytes | None = None) -> NamedPart:
        data = self.part(number) if body is None else body
        claim = Claim(size=len(data))
        part = await objects.uploads.put_part("bucket", "a", upload_id, number, pieces(data), claim=claim)
        return NamedPart(number, part.etag, {})

    def blobs(self, tmp_path: Path) -> set[tuple[int, int]]:
        files = (tmp_path / "objects" / ".clary" / "data").glob("*/*")
        return {(path.stat().st_ino, path.stat().st_size) for path in files}

    @pytest.mark.parametrize("order", [[1, 2, 3], [3, 2, 1], [2, 3, 1]], ids=str)
    def test_the_parts_file_becomes_the_object(self, objects: Objects, tmp_path: Path, order: list[int]) -> None:
        upload = objects.uploads.begin("bucket", "a").id

        async def send() -> list[NamedPart]:
            return await asyncio.gather(*(self.send(objects, upload, number) for number in order))

        named = sorted(asyncio.run(send()), key=lambda part: part.number)
        grown = max(self.blobs(tmp_path), key=lambda blob: blob[1])[0]
        objects.uploads.complete("bucket", "a", upload, named)
        assert objects.get_bytes("bucket", "a") == self.BODY
        path = objects.local_path("bucket", "a")
        assert (path.stat().st_ino, path.stat().st_size) == (grown, len(self.BODY))
        objects.flush()
        objects._settler.remove_unused(0.0)
        assert self.blobs(tmp_path) == {(grown, len(self.BODY))}
        assert [*objects._kv.scan(b"p", b"q"), *objects._kv.scan(b"s", b"t"), *objects._kv.scan(b"w", b"x")] == []

    def test_parts_sent_twice_left_out_or_broken_off_are_right_all_the_same(self, objects: Objects) -> None:
        async def broken(number: int) -> AsyncIterator[bytes]:
            async for piece in pieces(self.part(number)[: self.STRIDE // 2][::-1]):
                yield piece
            raise ConnectionResetError("gone")

        async def twice(upload: str) -> list[NamedPart]:
            await self.send(objects, upload, 1, self.part(2))
            return [await self.send(objects, upload, 1), await self.send(objects, upload, 2)]

        async def broken_off(upload: str) -> list[NamedPart]:
            one = await self.send(objects, upload, 1)
            claim = Claim(size=self.STRIDE)
            with pytest.raises(ConnectionResetError):
                await objects.uploads.put_part("bucket", "a", upload, 2, broken(2), claim=claim)
            return [one, await self.send(objects, upload, 2)]

        async def left_out(upload: str) -> list[NamedPart]:
            one = await self.send(objects, upload, 1)
            await self.send(objects, upload, 2, self.part(1))
            return [one, NamedPart(3, (await self.send(objects, upload, 3, self.part(2))).etag, {})]

        async def too_long(upload: str) -> list[NamedPart]:
            with refused("IncompleteBody"):
                claim = Claim(size=self.STRIDE)
                await objects.uploads.put_part("bucket", "a", upload, 1, pieces(self.BODY), claim=claim)
            return [await self.send(objects, upload, 1), await self.send(objects, upload, 2)]

        for attempt in (twice, broken_off, left_out, too_long):
            upload = objects.uploads.begin("bucket", "a").id
            named = asyncio.run(attempt(upload))
            objects.uploads.complete("bucket", "a", upload, named)
            assert objects.get_bytes("bucket", "a") == self.BODY[: 2 * self.STRIDE], attempt.__name__

    def test_a_refused_completion_leaves_the_upload_usable(self, objects: Objects) -> None:
        objects.put_bytes("bucket", "a", b"there")
        upload = objects.uploads.begin("bucket", "a").id
        named = [asyncio.run(self.send(objects, upload, 1))]
        with refused("PreconditionFailed"):
            objects.uploads.complete("bucket", "a", upload, named, condition=Condition(if_none_match="*"))
        named.append(asyncio.run(self.send(objects, upload, 2)))
        objects.uploads.complete("bucket", "a", upload, named)
        assert objects.get_bytes("bucket", "a") == self.BODY[: 2 * self.STRIDE]

    def test_an_aborted_upload_leaves_no_file(self, objects: Objects, tmp_path: Path) -> None:
        upload = objects.uploads.begin("bucket", "a").id
        asyncio.run(self.send(objects, upload, 2))
        objects.uploads.abort("bucket", "a", upload)
        objects._settler.remove_unused(0.0)
        assert self.blobs(tmp_path) == set()
