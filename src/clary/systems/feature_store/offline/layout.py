"""How an offline store lies on S3 and in the catalog: folder, partitions, names of files, name of the table. Pure.

<S3Uri>/<account>/sagemaker/<region>/offline-store/<group>-<created>/data/
    year=2026/month=11/day=27/hour=08/<latest event time>_<16 characters>.parquet              Glue
    <8 characters>/<event time feature>_trunc=2026-11-27/<latest event time>_<16 characters>.parquet   Iceberg
"""

import hashlib
import re
import string
from datetime import UTC, datetime

FRACTIONAL, INTEGRAL, STRING = "Fractional", "Integral", "String"
HOURS = ("year", "month", "day", "hour")

_ALPHANUMERIC = string.digits + string.ascii_letters
_NAME_CHARACTERS, _SPREAD_CHARACTERS = 16, 8
_NOT_OF_A_TABLE = re.compile(r"[^a-z0-9_]")
_LONGEST_TABLE = 255


def folder_of(s3_uri: str, account: str, region: str, group: str, created_at: float) -> str:
    """The URI of the folder that holds the data and, for Iceberg, the metadata of a group; no slash ends it."""
    return f"{s3_uri.rstrip('/')}/{account}/sagemaker/{region}/offline-store/{group}-{int(created_at)}"


def table_name(group: str, created_at: float) -> str:
    """The name that a group's table gets: as Athena recommends, in lower case, with underscores."""
    ending = f"_{int(created_at)}"
    return _NOT_OF_A_TABLE.sub("_", group.lower())[: _LONGEST_TABLE - len(ending)] + ending


def moment_of(event_time: str, feature_type: str) -> datetime:
    """When an event was, in UTC: seconds since the epoch in a Fractional, ISO 8601 in a String. Raises ValueError."""
    if feature_type != STRING:
        try:
            return datetime.fromtimestamp(float(event_time), UTC)
        except (OverflowError, OSError) as error:
            raise ValueError(f"{event_time!r} is no time that there can be: {error}") from None
    moment = datetime.fromisoformat(event_time)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def hour_of(moment: datetime) -> tuple[str, str, str, str]:
    """The values of the partition keys that an event belongs to."""
    return f"{moment:%Y}".zfill(4), f"{moment:%m}", f"{moment:%d}", f"{moment:%H}"


def hour_path(values: tuple[str, ...]) -> str:
    """The folder of a partition, below that of the data."""
    return "/".join(f"{key}={value}" for key, value in zip(HOURS, values, strict=True))


def day_of(moment: datetime) -> str:
    """The day of an event, which parts a table of Iceberg."""
    return f"{f'{moment:%Y}'.zfill(4)}-{moment:%m-%d}"


def day_path(event_time: str, day: str) -> str:
    """The folder of a day, below one that spreads the load on S3."""
    return f"{event_time}_trunc={day}"


def spread_of(seed: str) -> str:
    """The name of a folder that spreads the load on S3."""
    return _characters(f"{seed}/", _SPREAD_CHARACTERS)


def file_name(latest: datetime, seed: str) -> str:
    """The name of a file by the latest event in it; the same whenever the same seed is given."""
    moment = f"{f'{latest:%Y}'.zfill(4)}{latest:%m%dT%H%M%SZ}"
    return f"{moment}_{_characters(seed, _NAME_CHARACTERS)}.parquet"


def _characters(seed: str, length: int) -> str:
    """Letters and digits that look random, and follow from a seed."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big")
    found = []
    for _ in range(length):
        number, place = divmod(number, len(_ALPHANUMERIC))
        found.append(_ALPHANUMERIC[place])
    return "".join(found)
