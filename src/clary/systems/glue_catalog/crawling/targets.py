"""What a crawler is to look into."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.objects.uri import parse_s3_uri
from clary.systems.glue_catalog.crawling.globs import compile_globs
from clary.systems.glue_catalog.lookup import invalid

_MOST_SAMPLED = 249
_NOT_HERE = {
    "DynamoDBTargets": "Clary has no DynamoDB",
    "MongoDBTargets": "crawl PostgreSQL by JdbcTargets, or files by S3Targets",
    "DeltaTargets": "Clary reads no Delta tables: crawl their Parquet files by S3Targets",
    "HudiTargets": "Clary reads no Hudi tables: crawl their Parquet files by S3Targets",
    "IcebergTargets": "make the table known by CreateTable with its metadata_location, as Iceberg's libraries do",
}


def check_targets(targets: Mapping[str, Sequence[Mapping[str, Any]]], database: str | None) -> dict[str, Any]:
    """The targets as they are stored. Raises InvalidInputException for what is wrong or not honoured."""
    for name, reason in _NOT_HERE.items():
        if targets.get(name):
            raise invalid(f"{name} are not supported by Clary: {reason}")
    given = {name: [dict(each) for each in those] for name, those in targets.items() if those}
    if not given:
        raise invalid("Targets must name at least one store of data: an S3, JDBC or catalog target")
    if "CatalogTargets" in given and len(given) > 1:
        raise invalid("A crawler of CatalogTargets can have no other targets")
    if "CatalogTargets" not in given and not database:
        raise invalid("DatabaseName is needed: it says where the crawler writes its tables")
    for target in given.get("S3Targets", ()):
        _check_s3(target)
    for target in given.get("JdbcTargets", ()):
        _check_jdbc(target)
    for target in given.get("CatalogTargets", ()):
        _refuse(target, "CatalogTargets", ("ConnectionName", "EventQueueArn", "DlqEventQueueArn"))
    return given


def _check_s3(target: Mapping[str, Any]) -> None:
    try:
        parse_s3_uri(target.get("Path") or "")
    except AwsError:
        raise invalid(f"Path {target.get('Path')!r} of an S3 target is not one: write s3://bucket/folder/") from None
    _refuse(target, "S3Targets", ("ConnectionName", "EventQueueArn", "DlqEventQueueArn"))
    size = target.get("SampleSize")
    if size is not None and not 1 <= size <= _MOST_SAMPLED:
        raise invalid(f"SampleSize {size} must be between 1 and {_MOST_SAMPLED}")
    _check_exclusions(target)


def _check_jdbc(target: Mapping[str, Any]) -> None:
    if not target.get("ConnectionName"):
        raise invalid("ConnectionName of a JDBC target is missing: it says where the database is")
    parts = (target.get("Path") or "").split("/")
    if not 2 <= len(parts) <= 3 or not all(parts) or "%" in parts[0]:
        raise invalid(
            f"Path {target.get('Path')!r} of a JDBC target must be database/schema/table; % stands for any schema or "
            "table"
        )
    _check_exclusions(target)


def _check_exclusions(target: Mapping[str, Any]) -> None:
    try:
        compile_globs(target.get("Exclusions") or ())
    except ValueError as error:
        raise invalid(f"Exclusions: {error}") from None


def _refuse(target: Mapping[str, Any], kind: str, members: Sequence[str]) -> None:
    for member in members:
        if target.get(member):
            raise invalid(
                f"{member} of {kind} is not supported by Clary: crawlers list what is in S3 themselves, over no "
                "connection and by no queue of events"
            )
