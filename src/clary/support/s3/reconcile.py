"""Keep the objects of a home as they should be: finish what killed processes left, and let objects expire.

Safe to run at any time and twice: every decision is made from the index, and checked again inside each write.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from clary.kernel.core.errors import AwsError
from clary.kernel.objects import Objects
from clary.kernel.objects.listing import ListedVersion
from clary.kernel.objects.records import ALWAYS, Condition, ObjectVersion
from clary.kernel.rooms import Platform, reconciler
from clary.support.s3 import lifecycle
from clary.support.s3.documents import LIFECYCLE
from clary.support.s3.lifecycle import Delete, Move

# Work younger than this belongs to a process that is most likely still at it.
_LEFT_BEHIND_SECONDS = 30.0
_EVENTS_KEPT_SECONDS = 86_400.0
_BATCH = 500


@reconciler("s3-heal", every_seconds=30.0)
def heal(platform: Platform, key: str | None) -> None:
    """Finish the work that killed processes left, and drop events that nobody came for within a day."""
    objects = platform.objects
    objects.heal(_LEFT_BEHIND_SECONDS)
    limit = platform.clock.now() - _EVENTS_KEPT_SECONDS
    stale = [event_id for event_id, event in objects.events.waiting(_BATCH) if event["time"] < limit]
    if stale:
        objects.events.forget(stale)


@reconciler("s3-lifecycle", every_seconds=600.0)
def expire(platform: Platform, key: str | None) -> None:
    """Apply the lifecycle rules of one bucket, or of all."""
    names = [key] if key else [bucket.name for bucket in platform.objects.buckets.all()]
    for name in names:
        try:
            _apply(platform.objects, name, platform.clock.now())
        except AwsError as error:
            # The bucket went while we looked.
            if error.code != "NoSuchBucket":
                raise


def _apply(objects: Objects, bucket: str, now: float) -> None:
    document = objects.buckets.document(bucket, LIFECYCLE)
    if document is None:
        return
    rules = document["Rules"]
    least_size = document["TransitionDefaultMinimumObjectSize"]
    deletes: list[tuple[str, str | None, Condition]] = []
    for _, group in groupby(_all_versions(objects, bucket), key=attrgetter("key")):
        for action in lifecycle.due(rules, list(group), now, least_size):
            if isinstance(action, Move):
                _move(objects, bucket, action)
            else:
                deletes.append(_entry(action))
                if len(deletes) >= _BATCH:
                    objects.delete_many(bucket, deletes, expired=True)
                    deletes = []
    if deletes:
        objects.delete_many(bucket, deletes, expired=True)
    _abort_stale_uploads(objects, bucket, rules, now)


def _entry(action: Delete) -> tuple[str, str | None, Condition]:
    condition = ALWAYS if action.etag is None else Condition(if_match=action.etag)
    return action.key, action.version_id, condition


def _move(objects: Objects, bucket: str, action: Move) -> None:
    def change(version: ObjectVersion) -> None:
        version.storage_class = action.storage_class

    try:
        objects.restate(bucket, action.key, action.version_id, change)
    except AwsError as error:
        # Deleted since it was listed.
        if error.code not in {"NoSuchKey", "NoSuchVersion"}:
            raise


def _abort_stale_uploads(objects: Objects, bucket: str, rules: list[lifecycle.Rule], now: float) -> None:
    after = after_id = ""
    more = True
    while more:
        page = objects.uploads.page(bucket, after=after, after_id=after_id)
        for upload in page.entries:
            if lifecycle.is_stale(rules, upload, now):
                objects.uploads.abort(bucket, upload.key, upload.id)
        after, after_id, more = page.last, page.last_id, page.truncated


def _all_versions(objects: Objects, bucket: str) -> Iterator[ListedVersion]:
    after = after_version = ""
    more = True
    while more:
        page = objects.page_of_versions(bucket, after=after, after_version=after_version)
        yield from page.entries
        after, after_version, more = page.last, page.last_id, page.truncated
