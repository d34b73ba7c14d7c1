"""Tags of any resource, by its ARN, in one record kind; every room's resources are tagged through here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import validation
from clary.kernel.rooms.context import Context
from clary.kernel.store import record
from clary.kernel.store.contract import Change
from clary.kernel.store.records import Table

if TYPE_CHECKING:
    from clary.kernel.rooms.platform import Platform

MOST_TAGS = 50


@record("tags", version=1)
@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of the resource whose ARN is the record's name."""

    tags: dict[str, str] = field(default_factory=dict)


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most services write them: `[{"Key": ..., "Value": ...}]`."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def read_tags(given: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """A request's tags as a mapping. Raises ValidationException for reserved or repeated keys, or too many."""
    tags: dict[str, str] = {}
    for tag in given or ():
        key = tag["Key"]
        if key in tags:
            raise validation(f"Duplicate tag key {key!r}: give each key once.")
        tags[key] = tag.get("Value", "")
    refuse_tags(tags)
    return tags


def refuse_tags(tags: Mapping[str, str]) -> None:
    """Raise ValidationException unless a resource may carry exactly these tags."""
    reserved = [key for key in tags if key.lower().startswith("aws:")]
    if reserved:
        raise validation(f"Tag key {reserved[0]!r} is not allowed: the prefix aws: is reserved.")
    if len(tags) > MOST_TAGS:
        raise validation(f"A resource can have at most {MOST_TAGS} tags; this would make {len(tags)}.")


def tags_of(platform: "Platform", arn: str) -> dict[str, str]:
    """The tags of a resource; none when it has none or is not there."""
    found = _table(platform, arn).get(arn)
    return {} if found is None else dict(found.value.tags)


def tags_below(ctx: Context, prefix: str) -> dict[str, dict[str, str]]:
    """The tags of all resources in the caller's account and region whose ARN begins with `prefix`, by ARN."""
    return {entry.name: dict(entry.value.tags) for entry in ctx.records(Tags).all(name_prefix=prefix)}


def add_tags(platform: "Platform", arn: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Add tags to a resource, over values of the same key; return all it has now."""
    table = _table(platform, arn)

    def merge(stored: Tags) -> Tags:
        merged = {**stored.tags, **tags}
        refuse_tags(merged)
        return Tags(merged)

    updated = table.update(arn, merge)
    if updated is None:
        refuse_tags(tags)
        updated = table.put(arn, Tags(dict(tags)))
    return dict(updated.value.tags)


def remove_tags(platform: "Platform", arn: str, keys: Sequence[str]) -> None:
    """Take tags off a resource; keys it lacks are no error."""
    gone = set(keys)
    _table(platform, arn).update(
        arn, lambda stored: Tags({key: value for key, value in stored.tags.items() if key not in gone})
    )


def tags_with(ctx: Context, arn: str, tags: Mapping[str, str]) -> list[Change]:
    """The changes that tag a resource being created, to be applied together with its creation."""
    return [_table(ctx.platform, arn).insertion(arn, Tags(dict(tags)))] if tags else []


def tags_without(platform: "Platform", arn: str) -> list[Change]:
    """The changes that forget a resource's tags, to be applied together with its deletion."""
    table = _table(platform, arn)
    found = table.get(arn)
    return [] if found is None else [table.deletion(arn, version=found.version)]


def _table(platform: "Platform", arn: str) -> Table[Tags]:
    parsed = parse_arn(arn)
    return platform.records(Tags).within(parsed.account, parsed.region)
