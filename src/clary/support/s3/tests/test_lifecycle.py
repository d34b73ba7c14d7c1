"""Lifecycle rules: what they ask for, and what the reconciler makes of them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.objects import Objects
from clary.kernel.objects.records import Content
from clary.kernel.rooms import Platform
from clary.support.s3 import reconcile
from clary.support.s3.documents import LIFECYCLE

DAY = 86_400.0
MIDNIGHT = 1_750_032_000.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(MIDNIGHT)


@pytest.fixture
def platform(tmp_path: Path, clock: VirtualClock) -> Iterator[Platform]:
    with closing(Platform(Settings.load({}, home=str(tmp_path / "home")), clock)) as opened:
        opened.objects.buckets.create("bucket", "1", "us-east-1")
        yield opened


@pytest.fixture
def objects(platform: Platform) -> Objects:
    return platform.objects


def rule(objects: Objects, **parts: Any) -> None:
    rules = [{"ID": "r", "Status": "Enabled", "Filter": {}, **parts}]
    document = {"Rules": rules, "TransitionDefaultMinimumObjectSize": "all_storage_classes_128K"}
    objects.buckets.put_document("bucket", LIFECYCLE, document)


def keys(objects: Objects) -> list[str]:
    return [entry.key for entry in objects.list("bucket")]


def pass_days(platform: Platform, clock: VirtualClock, days: float) -> None:
    clock.advance(days * DAY)
    reconcile.expire(platform, None)


def test_objects_expire_at_the_midnight_after_their_days(
    platform: Platform, objects: Objects, clock: VirtualClock
) -> None:
    rule(objects, Filter={"And": {"Prefix": "logs/", "Tags": [{"Key": "t", "Value": "1"}]}}, Expiration={"Days": 1})
    clock.advance(3600)
    for key in ("logs/old", "kept"):
        objects.put_bytes("bucket", key, b"1", content=Content(tags={"t": "1"}))
    objects.put_bytes("bucket", "logs/untagged", b"1")
    pass_days(platform, clock, 1.5)
    assert len(keys(objects)) == 3
    pass_days(platform, clock, 0.5)
    assert keys(objects) == ["kept", "logs/untagged"]


def test_disabled_rules_do_nothing_and_dates_count(platform: Platform, objects: Objects, clock: VirtualClock) -> None:
    objects.put_bytes("bucket", "a", b"1")
    rule(objects, Status="Disabled", Expiration={"Days": 1})
    pass_days(platform, clock, 10)
    rule(objects, Expiration={"Date": MIDNIGHT + 11 * DAY})
    pass_days(platform, clock, 0)
    assert keys(objects) == ["a"]
    pass_days(platform, clock, 1)
    assert keys(objects) == []


def test_versions_are_marked_then_thinned_then_forgotten(
    platform: Platform, objects: Objects, clock: VirtualClock
) -> None:
    objects.buckets.change("bucket", None, lambda bucket: setattr(bucket, "versioning", "Enabled"))
    for n in range(4):
        objects.put_bytes("bucket", "a", b"%d" % n)
    rule(
        objects,
        Expiration={"Days": 10},
        NoncurrentVersionExpiration={"NoncurrentDays": 2, "NewerNoncurrentVersions": 1},
    )
    pass_days(platform, clock, 2)
    assert [entry.latest for entry in objects.page_of_versions("bucket").entries] == [True, False]
    pass_days(platform, clock, 8)
    assert keys(objects) == []
    assert [entry.version.marker for entry in objects.page_of_versions("bucket").entries] == [True, False, False]
    rule(objects, Expiration={"ExpiredObjectDeleteMarker": True}, NoncurrentVersionExpiration={"NoncurrentDays": 1})
    pass_days(platform, clock, 1)
    pass_days(platform, clock, 0)
    assert objects.page_of_versions("bucket").entries == []


def test_storage_classes_change_for_what_is_large_enough(
    platform: Platform, objects: Objects, clock: VirtualClock
) -> None:
    objects.put_bytes("bucket", "large", bytes(200_000))
    objects.put_bytes("bucket", "small", b"1")
    transitions = [{"Days": 1, "StorageClass": "STANDARD_IA"}, {"Days": 3, "StorageClass": "GLACIER"}]
    rule(objects, Transitions=transitions)
    pass_days(platform, clock, 1)
    assert [(entry.key, entry.storage_class) for entry in objects.list("bucket")] == [
        ("large", "STANDARD_IA"),
        ("small", "STANDARD"),
    ]
    pass_days(platform, clock, 2)
    assert objects.find("bucket", "large").storage_class == "GLACIER"
    assert objects.get_bytes("bucket", "large") == bytes(200_000)


def test_uploads_left_lying_are_aborted(platform: Platform, objects: Objects, clock: VirtualClock) -> None:
    objects.uploads.begin("bucket", "in/a")
    objects.uploads.begin("bucket", "out/a")
    rule(objects, Filter={"Prefix": "in/"}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7})
    pass_days(platform, clock, 6)
    assert len(objects.uploads.page("bucket").entries) == 2
    pass_days(platform, clock, 1)
    assert [entry.key for entry in objects.uploads.page("bucket").entries] == ["out/a"]


def test_events_nobody_came_for_are_dropped(platform: Platform, objects: Objects, clock: VirtualClock) -> None:
    rules = {"EventBridgeConfiguration": {}}
    objects.buckets.put_document(
        "bucket", "notification", rules, change=lambda bucket: setattr(bucket, "notifies", True)
    )
    rule(objects, Expiration={"Days": 1})
    objects.put_bytes("bucket", "a", b"1")
    pass_days(platform, clock, 1.5)
    reconcile.heal(platform, None)
    assert [event["event"] for _, event in objects.events.waiting()] == ["s3:LifecycleExpiration:Delete"]
