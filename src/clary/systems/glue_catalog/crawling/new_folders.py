"""Crawls that look only into folders that came since the last one: those that the catalog does not know yet."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from clary.systems.glue_catalog.crawling.acting import Acting
from clary.systems.glue_catalog.crawling.s3 import Folder
from clary.systems.glue_catalog.crawling.wanted import WantedTable


class NewFolders:
    """What the catalog knows below a folder: which tables a crawler made there, and of which folders."""

    def __init__(self, acting: Acting, database: str, folder: Folder, crawler: str) -> None:
        self._database = database
        self._tables: dict[str, dict[str, Any]] = {}
        self._known: set[str] = set()
        self._folder = folder
        for table in acting.pages("GetTables", "TableList", DatabaseName=database):
            location = (table.get("StorageDescriptor") or {}).get("Location") or ""
            mine = (table.get("Parameters") or {}).get("UPDATED_BY_CRAWLER") == crawler
            if not mine or "TargetTable" in table or not location.startswith(f"s3://{folder.bucket}/"):
                continue
            if not table.get("PartitionKeys"):
                self._known.add(location)
                continue
            self._tables[location] = table
            target = {"DatabaseName": database, "TableName": table["Name"]}
            for partition in acting.pages("GetPartitions", "Partitions", **target, ExcludeColumnSchema=True):
                self._known.add((partition.get("StorageDescriptor") or {}).get("Location") or "")

    def known(self, path: str) -> bool:
        """Whether a file, by its path below the folder, is one of a folder that was crawled, or was itself."""
        folder = path.rpartition("/")[0] + "/" if "/" in path else ""
        return self._folder.uri(folder) in self._known or self._folder.uri(path) in self._known

    def as_partitions(self, made: Sequence[WantedTable]) -> list[WantedTable]:
        """Tables that new folders make; what fits into a table that is there as partitions of that one, which stays as
        it is."""
        found: list[WantedTable] = []
        for table in made:
            parts = table.partitions or [{**table.document, "Values": []}]
            homes = [self._home(part) for part in parts]
            if None in homes:
                found.append(table)
                continue
            for part, home in zip(parts, homes, strict=True):
                assert home is not None
                found.append(self._partition(home, part))
        return found

    def _home(self, part: Any) -> tuple[dict[str, Any], list[str]] | None:
        """The table that a folder is a partition of, and the values of that."""
        location = part["StorageDescriptor"]["Location"]
        for root, table in self._tables.items():
            names = location[len(root) :].strip("/").split("/")
            keys = [key["Name"] for key in table["PartitionKeys"]]
            same = (table["Parameters"].get("classification"), table["Parameters"].get("compressionType")) == (
                part["Parameters"].get("classification"),
                part["Parameters"].get("compressionType"),
            )
            if location.startswith(root) and len(names) == len(keys) and same:
                return table, [_value(name, key) for name, key in zip(names, keys, strict=True)]
        return None

    def _partition(self, home: tuple[dict[str, Any], list[str]], part: Any) -> WantedTable:
        table, values = home
        partition = {
            "Values": values,
            "StorageDescriptor": part["StorageDescriptor"],
            "Parameters": part["Parameters"],
        }
        return replace(WantedTable(self._database, table, [partition]), named=table["Name"], whole=False)


def _value(name: str, key: str) -> str:
    before, equals, after = name.partition("=")
    return (unquote(after) or "__HIVE_DEFAULT_PARTITION__") if equals and before.lower() == key else name
