"""Buckets and objects by S3 URI, as files of this machine with their index beside them.

    <home>/objects/<bucket>/<key>    the current objects as plain files, for DuckDB, Spark and people
    <home>/objects/.clary/           the bytes themselves, under names of their own
    <home>/kv/objects/               the index

See docs/decisions/0003 for why.
"""

from pathlib import Path

from clary.kernel.core.clock import Clock
from clary.kernel.kv import KeyValue
from clary.kernel.objects.store import Objects
from clary.kernel.objects.uri import normal_s3_uri, parse_s3_uri, s3_uri

__all__ = ["Objects", "normal_s3_uri", "open_objects", "parse_s3_uri", "s3_uri"]


def open_objects(home: Path, kv: KeyValue, clock: Clock, *, durable: bool = True) -> Objects:
    """Open the objects of a home; `kv` is its domain "objects", durable as much as the objects are to be."""
    return Objects(home / "objects", kv, clock, durable=durable)
