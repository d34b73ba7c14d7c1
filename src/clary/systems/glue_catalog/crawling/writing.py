"""Write what a crawl found into the catalog: what is new, what has changed, and what is gone, as the policies say.

All of it is found out by comparing what is there with what should be, so that a crawl that was cut off and is done
again leaves the catalog as one that was not.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.systems.glue_catalog.crawling.acting import Acting
from clary.systems.glue_catalog.crawling.changes import DEPRECATED, inheriting, keeping, same_definition, same_partition
from clary.systems.glue_catalog.crawling.configuration import DELETE as DELETE_THEM
from clary.systems.glue_catalog.crawling.configuration import DEPRECATE, LOG, Configuration
from clary.systems.glue_catalog.crawling.journal import ADD, DELETE, PARTITION, TABLE, UPDATE, Journal
from clary.systems.glue_catalog.crawling.wanted import Findings, WantedTable

INDEX = "crawler_partition_index"

_UPDATED_BY = "UPDATED_BY_CRAWLER"
_FILTERED = "partition_filtering.enabled"
_AT_ONCE = 100

# What the catalog adds to a TableInput when it shows a table.
_SHOWN_ONLY = frozenset(
    {"DatabaseName", "CreateTime", "UpdateTime", "CreatedBy", "IsRegisteredWithLakeFormation", "CatalogId", "VersionId"}
)

Table = Mapping[str, Any]


class Writer:
    """Writes one crawl's findings, as the crawler's role."""

    def __init__(
        self,
        acting: Acting,
        journal: Journal,
        check: Callable[[], None],
        crawler: str,
        configuration: Configuration,
        *,
        updates: str,
        deletions: str,
    ) -> None:
        self._acting = acting
        self._journal = journal
        self._check = check
        self._crawler = crawler
        self._configuration = configuration
        self._updates = updates
        self._deletions = deletions

    def write(self, database: str, findings: Findings) -> None:
        """Bring the tables of a database to what was found. Raises AwsError where the role may not."""
        known = {table["Name"]: table for table in self._acting.pages("GetTables", "TableList", DatabaseName=database)}
        by_location = {_location(table): table for table in known.values() if self._is_mine(table)}
        seen = set()
        for wanted in findings.tables:
            self._check()
            table = known.get(wanted.named) if wanted.named else by_location.get(_plain(wanted.location))
            if table is None and wanted.named:
                self._journal.tell(f"Table {wanted.named} is gone, and not crawled", "WARN")
                continue
            name = table["Name"] if table else _free_name(wanted, known)
            seen.add(name)
            document = {**wanted.document, "Name": name}
            now: Table | None = table
            if table is None:
                self._create(wanted, document)
                # Another target may have found it too.
                known[name] = by_location[_plain(wanted.location)] = now = document
            elif wanted.whole:
                now = self._update(wanted, table, document)
            self._check()
            if now is not None:
                self._write_partitions(wanted, now, created=table is None)
        for name, table in known.items():
            if name not in seen and self._is_mine(table) and findings.missing(_location(table)):
                self._check()
                self._remove(database, table)

    def _is_mine(self, table: Table) -> bool:
        """Whether this crawler wrote it. A resource link is shown as what it links to, and is no crawler's."""
        return "TargetTable" not in table and (table.get("Parameters") or {}).get(_UPDATED_BY) == self._crawler

    def _create(self, wanted: WantedTable, document: Table) -> None:
        keys = [key["Name"] for key in document.get("PartitionKeys") or ()]
        more: dict[str, Any] = {}
        if keys and self._configuration.indexes:
            more["PartitionIndexes"] = [{"IndexName": INDEX, "Keys": keys}]
            document = {**document, "Parameters": {**document["Parameters"], _FILTERED: "true"}}
        self._acting.call("CreateTable", DatabaseName=wanted.database, TableInput=document, **more)
        self._journal.tell(f"Created table {document['Name']} in database {wanted.database}")
        self._journal.count(TABLE, ADD, document["Name"])

    def _update(self, wanted: WantedTable, table: Table, document: Table) -> Table | None:
        """Bring a table to what was found; return it as it is now, None where it has not the partition keys of that."""
        if self._configuration.merges_new_columns:
            document = keeping(table, document)
        if _FILTERED in (table.get("Parameters") or {}):
            document = {**document, "Parameters": {**document["Parameters"], _FILTERED: "true"}}
        if same_definition(table, document):
            return table
        name = document["Name"]
        if self._updates == LOG:
            self._journal.tell(f"Table {name} in database {wanted.database} has changed and is left as it is", "WARN")
            return table if _keys(table) == _keys(document) else None
        kept = {member: table[member] for member in ("Description", "Owner") if table.get(member)}
        if _keys(table) != _keys(document):
            # What is partitioned in another way is another table: partitions of the old one mean nothing to it.
            self._acting.call("DeleteTable", DatabaseName=wanted.database, Name=name)
            self._create(wanted, {**document, **kept})
        else:
            self._acting.call("UpdateTable", DatabaseName=wanted.database, TableInput={**document, **kept})
        self._journal.tell(f"Updated table {name} in database {wanted.database}")
        self._journal.count(TABLE, UPDATE, name)
        return document

    def _write_partitions(self, wanted: WantedTable, table: Table, *, created: bool) -> None:
        name, partitions = table["Name"], wanted.partitions
        target = {"DatabaseName": wanted.database, "TableName": name}
        if created and not partitions:
            return
        if self._configuration.inherits:
            partitions = [inheriting(each, table["StorageDescriptor"]) for each in partitions]
        there = {tuple(each["Values"]): each for each in self._acting.pages("GetPartitions", "Partitions", **target)}
        new = [each for each in partitions if tuple(each["Values"]) not in there]
        if new:
            for some in _some(new):
                self._check()
                _raise_first(self._acting.call("BatchCreatePartition", **target, PartitionInputList=some))
                self._journal.count(PARTITION, ADD, name, len(some))
            self._journal.tell(f"Created {len(new)} partitions of table {name} in database {wanted.database}")
        changed = [
            each
            for each in partitions
            if tuple(each["Values"]) in there and not same_partition(there[tuple(each["Values"])], each)
        ]
        # What partitions have of their table they have whatever becomes of that.
        if changed and self._updates == LOG and not self._configuration.inherits:
            self._journal.tell(
                f"{len(changed)} partitions of table {name} have changed and are left as they are", "WARN"
            )
        elif changed:
            for some in _some(changed):
                self._check()
                entries = [{"PartitionValueList": each["Values"], "PartitionInput": each} for each in some]
                _raise_first(self._acting.call("BatchUpdatePartition", **target, Entries=entries))
                self._journal.count(PARTITION, UPDATE, name, len(some))
            self._journal.tell(f"Updated {len(changed)} partitions of table {name} in database {wanted.database}")
        if wanted.whole and not wanted.named:
            wanted_values = {tuple(each["Values"]) for each in partitions}
            self._remove_partitions(target, [each for values, each in there.items() if values not in wanted_values])

    def _remove(self, database: str, table: Table) -> None:
        """Do with a table whose data is gone what the policy says."""
        name = table["Name"]
        if self._deletions == DELETE_THEM:
            self._acting.call("DeleteTable", DatabaseName=database, Name=name)
            self._journal.tell(f"Deleted table {name} in database {database}: its data is gone")
            self._journal.count(TABLE, DELETE, name)
        elif self._deletions == DEPRECATE and DEPRECATED not in table["Parameters"]:
            document = _input_of(table)
            document["Parameters"] = {**document["Parameters"], DEPRECATED: self._now()}
            self._acting.call("UpdateTable", DatabaseName=database, TableInput=document)
            self._journal.tell(f"Deprecated table {name} in database {database}: its data is gone")
            self._journal.count(TABLE, UPDATE, name)
        elif self._deletions == LOG:
            self._journal.tell(f"The data of table {name} in database {database} is gone", "WARN")

    def _remove_partitions(self, target: Mapping[str, Any], gone: Sequence[Table]) -> None:
        name = target["TableName"]
        if self._deletions == LOG:
            if gone:
                self._journal.tell(f"The data of {len(gone)} partitions of table {name} is gone", "WARN")
            return
        if self._deletions == DELETE_THEM:
            for some in _some(gone, 25):
                values = [{"Values": each["Values"]} for each in some]
                _raise_first(self._acting.call("BatchDeletePartition", **target, PartitionsToDelete=values))
                self._journal.count(PARTITION, DELETE, name, len(some))
        else:
            gone = [each for each in gone if DEPRECATED not in (each.get("Parameters") or {})]
            for some in _some(gone):
                entries = [self._deprecating(each) for each in some]
                _raise_first(self._acting.call("BatchUpdatePartition", **target, Entries=entries))
                self._journal.count(PARTITION, UPDATE, name, len(some))
        if gone:
            what = "Deleted" if self._deletions == DELETE_THEM else "Deprecated"
            self._journal.tell(f"{what} {len(gone)} partitions of table {name}: their data is gone")

    def _deprecating(self, partition: Table) -> dict[str, Any]:
        members = ("Values", "StorageDescriptor", "Parameters", "LastAccessTime", "LastAnalyzedTime")
        document = {member: partition[member] for member in members if member in partition}
        document["Parameters"] = {**(document.get("Parameters") or {}), DEPRECATED: self._now()}
        return {"PartitionValueList": partition["Values"], "PartitionInput": document}

    def _now(self) -> str:
        return str(int(self._acting.platform.clock.now() * 1000))


def _free_name(wanted: WantedTable, known: Mapping[str, Table]) -> str:
    """The name of a new table; where another has it, with what tells their locations apart."""
    name = str(wanted.document["Name"])
    if name not in known:
        return name
    digest = hashlib.md5(wanted.location.encode(), usedforsecurity=False).hexdigest()
    return f"{name}_{digest}"


def _raise_first(answer: Mapping[str, Any]) -> None:
    for error in answer.get("Errors") or ():
        detail = error["ErrorDetail"]
        raise AwsError(detail["ErrorCode"], detail["ErrorMessage"])


def _some(of: Sequence[Table], at_once: int = _AT_ONCE) -> Iterator[list[Table]]:
    for place in range(0, len(of), at_once):
        yield list(of[place : place + at_once])


def _location(table: Table) -> str:
    return _plain((table.get("StorageDescriptor") or {}).get("Location") or "")


def _plain(location: str) -> str:
    return location if location.endswith("/") or not location.startswith("s3://") else location + "/"


def _keys(table: Table) -> list[str]:
    return [key["Name"] for key in table.get("PartitionKeys") or ()]


def _input_of(table: Table) -> dict[str, Any]:
    """A table as UpdateTable takes it."""
    return {member: value for member, value in table.items() if member not in _SHOWN_ONLY}
