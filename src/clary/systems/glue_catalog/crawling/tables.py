"""Crawl tables that the catalog has: look at what lies at their locations, and bring them up to date."""

from typing import Any

from clary.kernel.core.errors import AwsError
from clary.systems.glue_catalog.crawling.acting import Acting
from clary.systems.glue_catalog.crawling.journal import Journal
from clary.systems.glue_catalog.crawling.s3 import Folder, S3Crawl
from clary.systems.glue_catalog.crawling.wanted import Findings, WantedTable


def crawl_table(
    acting: Acting, s3: S3Crawl, journal: Journal, database: str, name: str, crawler: str, findings: Findings
) -> None:
    """Add a table, as its files say it is, to the findings. Raises EntityNotFoundException where there is none."""
    from clary.lake.inference.documents import Crawled, partition_input, table_input
    from clary.lake.inference.grouping import Policy, group

    table = acting.call("GetTable", DatabaseName=database, Name=name)["Table"]
    location = (table.get("StorageDescriptor") or {}).get("Location") or ""
    if not location.startswith("s3://"):
        raise AwsError(
            "InvalidInputException",
            f"Table {name} of database {database} does not lie in S3: its location is {location!r}",
        )
    folder = Folder(location)
    files = list(s3.files(folder, folder.listed(acting), None))
    # All files that are read alike are this table's, whatever their columns.
    grouped = [each for each in group(files, Policy(combined=True, level=0)) if each.path == ""]
    if not grouped:
        journal.tell(f"Nothing at {location} can be table {name}, which is left as it is", "WARN")
        return
    found = grouped[0]
    keys = [key["Name"] for key in table.get("PartitionKeys") or ()]
    if keys and len(keys) != len(found.keys):
        journal.tell(
            f"Table {name} has {len(keys)} partition keys, its folders {len(found.keys)} levels: it is left as it is",
            "WARN",
        )
        return
    by = Crawled(crawler, "")
    document = table_input(name, location, found, by)
    if keys:
        document["PartitionKeys"] = table["PartitionKeys"]
    document["Parameters"] = {**_own(table), **document["Parameters"]}
    partitions = [partition_input(folder.uri(part.path), part, by) for part in found.parts]
    findings.tables.append(WantedTable(database, document, partitions, named=name))


def _own(table: dict[str, Any]) -> dict[str, str]:
    """What others than crawlers say of a table: it stays."""
    return dict(table.get("Parameters") or {})
