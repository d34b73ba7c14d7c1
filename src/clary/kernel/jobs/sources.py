"""Which objects a channel holds, and where each one belongs: prefixes, manifests, shards and shuffles."""

import json
import random
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from clary.kernel.jobs.contract import Channel, DataType, InputMode
from clary.kernel.jobs.services import ClientFault, ObjectStore, split_uri

_LONGEST_MANIFEST = 512 * 1024**2
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Source:
    """One object of a channel and its place below the channel's folder."""

    bucket: str
    key: str
    place: str


@dataclass(frozen=True)
class Line:
    """One line of an augmented manifest: its attributes in order, as text or as the object referred to."""

    values: tuple[str | Source, ...]


def list_sources(objects: ObjectStore, channel: Channel) -> list[Source]:
    """All objects of the channel, before shard and shuffle. Raises ClientFault when there are none."""
    if channel.data_type is DataType.S3_PREFIX:
        found = _below_prefix(objects, channel.uri)
    elif channel.data_type is DataType.MANIFEST:
        found = _of_manifest(objects, channel.uri)
    else:
        raise ClientFault(
            f'Channel "{channel.name}" is an AugmentedManifestFile, which can only be streamed: use input mode Pipe.'
        )
    if not found:
        raise ClientFault(
            f'Data download failed: no S3 objects found under "{channel.uri}" given for channel "{channel.name}". '
            "Check that the objects exist under that prefix."
        )
    return found


def list_lines(objects: ObjectStore, channel: Channel) -> list[Line]:
    """All lines of the channel's augmented manifest, before shard and shuffle."""
    if channel.mode is not InputMode.PIPE or not channel.attribute_names:
        raise ClientFault(
            f'Channel "{channel.name}": an AugmentedManifestFile needs input mode Pipe and AttributeNames.'
        )
    return [
        Line(tuple(_attribute(channel, number, entry, name) for name in channel.attribute_names))
        for number, text in enumerate(_read(objects, channel.uri).splitlines(), 1)
        if text.strip()
        for entry in [_parse(text, f'Line {number} of the manifest "{channel.uri}"')]
    ]


def share(channel: Channel, items: list[_Item], epoch: int = 0) -> list[_Item]:
    """This host's items in the order of `epoch`. Every host shuffles alike, so that the shards stay disjoint."""
    if channel.shuffle_seed is not None:
        items = items.copy()
        random.Random(f"{channel.shuffle_seed}:{epoch}").shuffle(items)
    return items[channel.shard_index :: channel.shard_count]


def safe_place(relative: str, uri: str) -> str:
    """`relative` as a path that cannot leave its folder. Raises ClientFault when it would."""
    parts = [part for part in relative.split("/") if part not in {"", "."}]
    if not parts or ".." in parts or "\0" in relative:
        raise ClientFault(f'The key "{uri}" cannot become a file: it has no name, or a ".." in its path.')
    return str(PurePosixPath(*parts))


def _below_prefix(objects: ObjectStore, uri: str) -> list[Source]:
    bucket, prefix = split_uri(uri)
    found = []
    for item in objects.list(bucket, prefix):
        if item.key.endswith("/"):
            continue  # a console's marker of an empty folder
        if item.key == prefix:
            relative = prefix.rpartition("/")[2]
        elif prefix.endswith("/") or item.key[len(prefix)] == "/":
            relative = item.key[len(prefix) :]
        else:
            relative = item.key[prefix.rfind("/") + 1 :]
        found.append(Source(bucket, item.key, safe_place(relative, f"s3://{bucket}/{item.key}")))
    return found


def _of_manifest(objects: ObjectStore, uri: str) -> list[Source]:
    where = f'The manifest "{uri}"'
    entries = _parse(_read(objects, uri), where)
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict) or "prefix" not in entries[0]:
        raise ClientFault(f'{where} must begin with an object {{"prefix": "s3://..."}}.')
    bucket, prefix = split_uri(str(entries[0]["prefix"]))
    found = []
    for entry in entries[1:]:
        if not isinstance(entry, str):
            raise ClientFault(f"{where} must list strings after its prefix, not {json.dumps(entry)[:100]}.")
        found.append(Source(bucket, prefix + entry, safe_place(entry, f"s3://{bucket}/{prefix}{entry}")))
    return found


def _attribute(channel: Channel, number: int, entry: Any, name: str) -> str | Source:
    where = f'Line {number} of the manifest "{channel.uri}"'
    if not isinstance(entry, dict) or name not in entry:
        raise ClientFault(f'{where} has no attribute "{name}".')
    value = entry[name]
    if name.endswith("-ref"):
        bucket, key = split_uri(str(value))
        return Source(bucket, key, safe_place(key, str(value)))
    return value if isinstance(value, str) else json.dumps(value)


def _read(objects: ObjectStore, uri: str) -> str:
    path: Path = objects.open(*split_uri(uri))
    if path.stat().st_size > _LONGEST_MANIFEST:
        raise ClientFault(f'The manifest "{uri}" is larger than {_LONGEST_MANIFEST // 1024**2} MiB.')
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ClientFault(f'The manifest "{uri}" is not UTF-8 text.') from None


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ClientFault(f"{where} is not JSON: {error}.") from None
