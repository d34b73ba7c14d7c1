"""Every object backend keeps the promises of `clary.kernel.objects.store`.

A backend joins by adding to `BACKENDS` in `support` what opens it over a home.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conformance.objects.support import ACCOUNT, LARGE, keys, pieces, refused

from clary.kernel.core.errors import AwsError
from clary.kernel.objects import Objects, checksums
from clary.kernel.objects.records import Claim, Condition, Content


class TestBuckets:
    def test_creation_repeated_is_harmless_in_us_east_1_and_refused_elsewhere(self, objects: Objects) -> None:
        assert objects.buckets.create("east", ACCOUNT, "us-east-1") is True
        assert objects.buckets.create("east", ACCOUNT, "us-east-1") is False
        with refused("BucketAlreadyOwnedByYou"):
            objects.buckets.create("bucket", ACCOUNT, "eu-west-1")
        with refused("BucketAlreadyExists"):
            objects.buckets.create("bucket", "999999999999", "eu-west-1")
        objects.buckets.ensure("bucket", ACCOUNT, "eu-west-1")
        assert [bucket.name for bucket in objects.buckets.all(ACCOUNT)] == ["bucket", "east"]
        assert list(objects.buckets.all("999999999999")) == []

    @pytest.mark.parametrize(
        "name", ["ab", "A-bucket", "a..b", "-ab", "ab-", "1.2.3.4", "a_b", "../x", "xn--a", "a" * 64]
    )
    def test_names_nobody_may_have(self, objects: Objects, name: str) -> None:
        with refused("InvalidBucketName"):
            objects.buckets.create(name, ACCOUNT, "us-east-1")

    def test_only_an_empty_bucket_can_be_deleted(self, objects: Objects, plain: Path) -> None:
        objects.put_bytes("bucket", "a", b"1")
        with refused("BucketNotEmpty"):
            objects.buckets.delete("bucket")
        objects.delete("bucket", "a")
        upload = objects.uploads.begin("bucket", "a")
        with refused("BucketNotEmpty"):
            objects.buckets.delete("bucket")
        objects.uploads.abort("bucket", "a", upload.id)
        objects.buckets.delete("bucket")
        assert not plain.exists()
        with refused("NoSuchBucket"):
            objects.put_bytes("bucket", "a", b"1")

    def test_another_accounts_bucket_is_closed(self, objects: Objects) -> None:
        objects.put_bytes("bucket", "a", b"1")
        for attempt in (
            lambda: objects.put_bytes("bucket", "a", b"2", account="999999999999"),
            lambda: objects.find("bucket", "a", account="999999999999"),
            lambda: objects.delete("bucket", "a", account="999999999999"),
            lambda: objects.page("bucket", account="999999999999"),
            lambda: objects.buckets.delete("bucket", "999999999999"),
        ):
            with refused("AccessDenied"):
                attempt()
        assert objects.get_bytes("bucket", "a", account=ACCOUNT) == b"1"

    def test_documents_come_and_go_with_the_bucket(self, objects: Objects) -> None:
        objects.buckets.put_document("bucket", "policy", {"a": 1})
        assert objects.buckets.document("bucket", "policy") == {"a": 1}
        objects.buckets.put_document("bucket", "policy", None)
        assert objects.buckets.document("bucket", "policy") is None
        objects.buckets.put_document("bucket", "cors", {"CORSRules": [{"AllowedOrigins": ["*"]}]})
        assert objects.cors_rules("bucket") == [{"AllowedOrigins": ["*"]}]
        objects.buckets.delete("bucket")
        objects.buckets.create("bucket", ACCOUNT, "eu-west-1")
        assert objects.cors_rules("bucket") == objects.cors_rules("none") == []


@pytest.mark.parametrize("data", [b"", b"x", LARGE[:65_536], LARGE[:65_537], LARGE], ids=len)
class TestBytes:
    def test_come_back_whole_however_they_came(
        self, objects: Objects, plain: Path, tmp_path: Path, data: bytes
    ) -> None:
        file = tmp_path / "file"
        file.write_bytes(data)
        content = Content(headers={"ContentType": "text/csv"}, metadata={"a": "b"}, tags={"t": "u"})
        stored = [
            asyncio.run(objects.put("bucket", "0", pieces(data), content=content)),
            objects.put_bytes("bucket", "1", data, content=content),
            objects.put_file("bucket", "2", file, content=content),
            objects.copy(("bucket", "0", None), ("bucket", "3"), describe=lambda _: content),
        ]
        for number, version in enumerate(stored):
            key = str(number)
            assert objects.get_bytes("bucket", key) == data
            assert objects.local_path("bucket", key).read_bytes() == data
            assert (plain / key).read_bytes() == data
            assert version == objects.find("bucket", key)
            assert (version.size, version.etag) == (len(data), hashlib.md5(data).hexdigest())
            assert version.checksums == {"CRC64NVME": checksums.of_bytes("CRC64NVME", data)}
            assert (version.headers, version.metadata, version.tags) == (
                content.headers,
                content.metadata,
                content.tags,
            )

    def test_what_is_not_as_claimed_changes_nothing(self, objects: Objects, tmp_path: Path, data: bytes) -> None:
        objects.put_bytes("bucket", "a", b"old")
        for claim, code in (
            (Claim(md5=checksums.of_bytes("MD5", b"other")), "BadDigest"),
            (Claim(md5="no digest"), "InvalidDigest"),
            (Claim(checksums={"SHA256": checksums.of_bytes("SHA256", b"other")}), "BadDigest"),
            (Claim(size=len(data) + 1), "IncompleteBody"),
        ):
            with refused(code):
                asyncio.run(objects.put("bucket", "a", pieces(data), claim=claim))
            with refused(code):
                objects.put_bytes("bucket", "a", data, claim=claim)
        assert objects.get_bytes("bucket", "a") == b"old"
        assert list((tmp_path / "objects" / ".clary" / "new").iterdir()) == []
        right = Claim(md5=checksums.of_bytes("MD5", data), checksums={"SHA1": checksums.of_bytes("SHA1", data)})
        assert asyncio.run(objects.put("bucket", "a", pieces(data), claim=right)).checksums == right.checksums

    def test_a_body_that_breaks_off_changes_nothing(self, objects: Objects, tmp_path: Path, data: bytes) -> None:
        async def broken() -> AsyncIterator[bytes]:
            async for piece in pieces(data):
                yield piece
            raise ConnectionResetError("gone")

        with pytest.raises(ConnectionResetError):
            asyncio.run(objects.put("bucket", "a", broken()))
        assert keys(objects) == []
        assert list((tmp_path / "objects" / ".clary" / "new").iterdir()) == []


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
def test_every_checksum_is_that_of_the_bytes_in_any_pieces(algorithm: str) -> None:
    running = checksums.new(algorithm)
    for start in range(0, len(LARGE), 7_000):
        running.update(LARGE[start : start + 7_000])
    assert checksums.encode(running.digest()) == checksums.of_bytes(algorithm, LARGE)
    if checksums.FULL_OBJECT in checksums.types_of(algorithm):
        cut = [LARGE[:100_000], LARGE[100_000:]]
        sums = [(checksums.of_bytes(algorithm, part), len(part)) for part in cut]
        assert checksums.full_object(algorithm, sums) == checksums.of_bytes(algorithm, LARGE)


class TestConditions:
    def test_decide_inside_the_write(self, objects: Objects) -> None:
        objects.put_bytes("bucket", "a", b"1", condition=Condition(if_none_match="*"))
        with refused("PreconditionFailed"):
            objects.put_bytes("bucket", "a", b"2", condition=Condition(if_none_match="*"))
        with refused("PreconditionFailed"):
            objects.put_bytes("bucket", "a", b"2", condition=Condition(if_match="0" * 32))
        etag = objects.put_bytes("bucket", "a", b"3", condition=Condition(if_match="*")).etag
        objects.put_bytes("bucket", "a", b"4", condition=Condition(if_match=etag))
        with refused("NoSuchKey"):
            objects.put_bytes("bucket", "b", b"", condition=Condition(if_match="*"))
        with refused("PreconditionFailed"):
            objects.delete("bucket", "a", condition=Condition(if_match=etag))
        assert objects.get_bytes("bucket", "a") == b"4"

    def test_of_many_creators_one_wins(self, objects: Objects) -> None:
        async def race() -> list[object]:
            return await asyncio.gather(
                *(
                    objects.put("bucket", "a", pieces(b"%d" % n), condition=Condition(if_none_match="*"))
                    for n in range(20)
                ),
                return_exceptions=True,
            )

        assert sum(not isinstance(outcome, AwsError) for outcome in asyncio.run(race())) == 1


class TestVersions:
    def turn(self, objects: Objects, state: str) -> None:
        objects.buckets.change("bucket", None, lambda bucket: setattr(bucket, "versioning", state))

    def history(self, objects: Objects) -> list[tuple[str, bool, bool]]:
        page = objects.page_of_versions("bucket")
        return [(listed.key, listed.version.marker, listed.latest) for listed in page.entries]

    def test_every_write_is_kept_and_a_delete_only_marks(self, objects: Objects, plain: Path) -> None:
        objects.put_bytes("bucket", "a", b"before")
        self.turn(objects, "Enabled")
        first = objects.put_bytes("bucket", "a", b"1")
        second = objects.put_bytes("bucket", "a", b"2")
        assert objects.get_bytes("bucket", "a", "null") == b"before"
        assert objects.get_bytes("bucket", "a", first.version_id) == b"1"
        marker = objects.delete("bucket", "a").marker
        assert marker is not None
        assert keys(objects) == []
        assert not (plain / "a").exists()
        with refused("NoSuchKey"):
            objects.get_bytes("bucket", "a")
        assert self.history(objects) == [
            ("a", True, True),
            ("a", False, False),
            ("a", False, False),
            ("a", False, False),
        ]
        objects.delete("bucket", "a", marker.version_id)
        assert objects.get_bytes("bucket", "a") == (plain / "a").read_bytes() == b"2"
        objects.delete("bucket", "a", second.version_id)
        assert objects.get_bytes("bucket", "a") == (plain / "a").read_bytes() == b"1"
        objects.delete("bucket", "a", "null")
        assert self.history(objects) == [("a", False, True)]
        with refused("NoSuchVersion"):
            objects.get_bytes("bucket", "a", second.version_id)

    def test_suspended_versioning_keeps_one_null_version(self, objects: Objects) -> None:
        self.turn(objects, "Enabled")
        kept = objects.put_bytes("bucket", "a", b"kept")
        self.turn(objects, "Suspended")
        assert objects.put_bytes("bucket", "a", b"1").version_id == "null"
        objects.put_bytes("bucket", "a", b"2")
        assert self.history(objects) == [("a", False, True), ("a", False, False)]
        removal = objects.delete("bucket", "a")
        assert removal.marker is not None
        assert removal.marker.version_id == "null"
        assert self.history(objects) == [("a", True, True), ("a", False, False)]
        objects.delete("bucket", "a", "null")
        assert objects.get_bytes("bucket", "a") == b"kept"
        assert objects.find("bucket", "a").version_id == kept.version_id

    def test_restating_tags_keeps_place_and_bytes(self, objects: Objects) -> None:
        self.turn(objects, "Enabled")
        old = objects.put_bytes("bucket", "a", b"1")
        objects.put_bytes("bucket", "a", b"2")
        objects.restate("bucket", "a", old.version_id, lambda version: version.tags.update(t="u"))
        assert objects.find("bucket", "a", old.version_id).tags == {"t": "u"}
        assert objects.find("bucket", "a").tags == {}


class TestListings:
    KEYS = ("a", "a/b", "a/c/d", "a/c/e", "a0", "b/", "b/x", "é", "z" * 1024, "\U0001f600", "\x00", "\x00\x00a")

    def test_are_in_byte_order_with_prefixes_rolled_up_page_by_page(self, objects: Objects) -> None:
        for key in self.KEYS:
            objects.put_bytes("bucket", key, b"")
        ordered = sorted(self.KEYS, key=str.encode)
        assert keys(objects) == ordered
        assert keys(objects, "a/") == ["a/b", "a/c/d", "a/c/e"]
        for prefix, delimiter in (("", ""), ("", "/"), ("a/", "/"), ("a", "/"), ("b", "/"), ("", "c")):
            wanted: list[str] = []
            for key in ordered:
                if key.startswith(prefix):
                    at = key.find(delimiter, len(prefix)) if delimiter else -1
                    name = key if at < 0 else key[: at + len(delimiter)]
                    if name not in wanted:
                        wanted.append(name)
            for limit in (1, 2, 3, 1000):
                seen, after, more = [], "", True
                while more:
                    page = objects.page("bucket", prefix=prefix, delimiter=delimiter, after=after, limit=limit)
                    names = [entry.key for entry in page.entries] + page.prefixes
                    assert len(names) <= limit
                    seen += sorted(names, key=str.encode)
                    after, more = page.last, page.truncated
                assert seen == wanted, (prefix, delimiter, limit)

    def test_of_versions_go_on_within_a_key(self, objects: Objects) -> None:
        objects.buckets.change("bucket", None, lambda bucket: setattr(bucket, "versioning", "Enabled"))
        for key in ("a", "a\x00", "b/1", "b/2", "c"):
            for _ in range(3):
                objects.put_bytes("bucket", key, b"")
        objects.delete("bucket", "a")
        whole = objects.page_of_versions("bucket")
        assert [entry.key for entry in whole.entries] == ["a"] * 4 + ["a\x00"] * 3 + ["b/1"] * 3 + ["b/2"] * 3 + [
            "c"
        ] * 3
        for limit in (1, 2, 5):
            seen, after, after_version, more = [], "", "", True
            while more:
                page = objects.page_of_versions("bucket", after=after, after_version=after_version, limit=limit)
                seen += page.entries
                after, after_version, more = page.last, page.last_id, page.truncated
            assert seen == whole.entries
        rolled = objects.page_of_versions("bucket", delimiter="/", limit=8)
        assert rolled.prefixes == ["b/"]
        assert rolled.truncated is True
        rest = objects.page_of_versions("bucket", delimiter="/", after=rolled.last, after_version=rolled.last_id)
        assert [entry.key for entry in rest.entries] == ["c"] * 3
        assert rest.prefixes == []


class TestEvents:
    def test_are_recorded_for_those_the_rules_name(self, objects: Objects) -> None:
        objects.put_bytes("bucket", "in/before.csv", b"")
        rule = {
            "Id": "r",
            "QueueArn": "arn:aws:sqs:eu-west-1:1:q",
            "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"],
            "Filter": {
                "Key": {"FilterRules": [{"Name": "Prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".csv"}]}
            },
        }
        objects.buckets.put_document(
            "bucket",
            "notification",
            {"QueueConfigurations": [rule]},
            change=lambda bucket: setattr(bucket, "notifies", True),
        )
        objects.put_bytes("bucket", "in/a.csv", b"123")
        objects.put_bytes("bucket", "in/a.txt", b"123")
        objects.put_bytes("bucket", "out/a.csv", b"123")
        objects.delete("bucket", "in/a.csv")
        waiting = list(objects.events.waiting())
        assert [(event["event"], event["key"]) for _, event in waiting] == [
            ("s3:ObjectCreated:Put", "in/a.csv"),
            ("s3:ObjectRemoved:Delete", "in/a.csv"),
        ]
        assert waiting[0][1]["targets"] == [{"id": "r", "arn": rule["QueueArn"]}]
        objects.events.forget([event_id for event_id, _ in waiting])
        assert list(objects.events.waiting()) == []
