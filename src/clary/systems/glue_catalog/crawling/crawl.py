"""One run of a crawler, from its targets to the catalog."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.systems.glue_catalog.crawling.acting import Acting
from clary.systems.glue_catalog.crawling.configuration import (
    LOG,
    delete_behavior,
    only_new_folders,
    parse_configuration,
    update_behavior,
)
from clary.systems.glue_catalog.crawling.jdbc import crawl_database
from clary.systems.glue_catalog.crawling.journal import Journal
from clary.systems.glue_catalog.crawling.new_folders import NewFolders
from clary.systems.glue_catalog.crawling.s3 import Folder, S3Crawl
from clary.systems.glue_catalog.crawling.tables import crawl_table
from clary.systems.glue_catalog.crawling.wanted import Findings
from clary.systems.glue_catalog.crawling.writing import Writer
from clary.systems.glue_catalog.records import Classifier, Crawl, Crawler

if TYPE_CHECKING:
    from clary.lake.inference.looking import Looking


def classifiers_of(platform: Platform, entry: Entry[Crawler]) -> list[dict[str, Any]]:
    """The crawler's classifiers as Glue's API has them. Raises EntityNotFoundException for one that is gone."""
    found = []
    for name in entry.value.request.get("Classifiers") or ():
        classifier = platform.records(Classifier).within(entry.account, entry.region).get(name)
        if classifier is None:
            raise AwsError("EntityNotFoundException", f"Classifier {name} not found")
        found.append({classifier.value.kind: classifier.value.input})
    return found


def run_crawl(
    platform: Platform,
    entry: Entry[Crawler],
    crawl: Crawl,
    journal: Journal,
    looking: "Looking",
    check: Callable[[], None],
) -> None:
    """Do what a crawler is to do. `check` raises when it is to end.

    Raises AwsError for what the role may not or what is not there, and Unreachable for databases.
    """
    request = entry.value.request
    acting = Acting(platform, entry.value.role, entry.account, entry.region)
    configuration = parse_configuration(request.get("Configuration"))
    journal.tell(f"Running Start Crawl for Crawler {entry.name}", "BENCHMARK")
    s3 = S3Crawl(acting, looking, journal, check, configuration)
    by_database: dict[str, Findings] = {}
    database, prefix = request.get("DatabaseName") or "", request.get("TablePrefix") or ""
    if database:
        database = database.lower()
        _ensure_database(acting, journal, database)
        by_database[database] = Findings()
    for target in request["Targets"].get("S3Targets") or ():
        folder = Folder(target["Path"], target.get("Exclusions") or ())
        new = NewFolders(acting, database, folder, entry.name) if only_new_folders(request) else None
        grouped = s3.tables(folder, target.get("SampleSize"), new.known if new else _nothing)
        findings = by_database[database]
        made = [s3.wanted(folder, each, database, prefix, entry.name, crawl.id) for each in grouped]
        findings.tables += new.as_partitions(made) if new else made
        if new is None:
            findings.looked_into.append(folder.covers)
    for target in request["Targets"].get("JdbcTargets") or ():
        check()
        connection = acting.call("GetConnection", Name=target["ConnectionName"])["Connection"]
        properties = connection.get("ConnectionProperties") or {}
        crawl_database(target, properties, database, prefix, entry.name, by_database[database])
    for target in request["Targets"].get("CatalogTargets") or ():
        own = by_database.setdefault(target["DatabaseName"].lower(), Findings())
        for name in target["Tables"]:
            crawl_table(acting, s3, journal, target["DatabaseName"].lower(), name.lower(), entry.name, own)
    found = sum(len(findings.tables) for findings in by_database.values())
    if configuration.most_tables is not None and found > configuration.most_tables:
        raise AwsError(
            "InvalidInputException",
            f"The number of tables detected by crawler: {found} is greater than the table threshold value provided: "
            f"{configuration.most_tables}. Failing crawler without writing to Data Catalog.",
        )
    journal.tell(f"Classification complete, writing results to database {', '.join(by_database)}", "BENCHMARK")
    writer = Writer(
        acting,
        journal,
        check,
        entry.name,
        configuration,
        updates=update_behavior(request),
        deletions=LOG if only_new_folders(request) else delete_behavior(request),
    )
    for name, findings in by_database.items():
        writer.write(name, findings)
    journal.tell("Finished writing to Catalog", "BENCHMARK")


def _ensure_database(acting: Acting, journal: Journal, name: str) -> None:
    try:
        acting.call("GetDatabase", Name=name)
    except AwsError as error:
        if error.code != "EntityNotFoundException":
            raise
        given: Mapping[str, Any] = {"Name": name}
        acting.call("CreateDatabase", DatabaseInput=given)
        journal.tell(f"Created database {name}")


def _nothing(_: str) -> bool:
    return False
