"""Crawl folders of S3: look into their files, and say which tables they make."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from clary.kernel.core.errors import AwsError
from clary.kernel.objects.uri import parse_s3_uri, s3_uri
from clary.systems.glue_catalog.crawling.acting import Acting, Listed
from clary.systems.glue_catalog.crawling.configuration import Configuration
from clary.systems.glue_catalog.crawling.globs import compile_globs
from clary.systems.glue_catalog.crawling.journal import Journal
from clary.systems.glue_catalog.crawling.wanted import WantedTable

if TYPE_CHECKING:
    from clary.lake.inference.grouping import File, Grouped
    from clary.lake.inference.looking import Looking

_NOT_IN_NAMES = re.compile(r"[^a-z0-9_]+")
_LONGEST_NAME = 128


class Folder:
    """A place in S3 that is crawled: the bucket, the prefix, and what of it is left out."""

    def __init__(self, path: str, exclusions: Sequence[str] = ()) -> None:
        self.bucket, prefix = parse_s3_uri(path)
        self.prefix = prefix
        self.is_single = False
        self.exclusions = tuple(exclusions)
        self._excluded = compile_globs(exclusions)

    def listed(self, acting: Acting) -> list[Listed]:
        """The objects that hold data: none that are empty, hidden or left out.

        A path that is an object's is that one object; any other is a folder, with or without a slash at its end.
        """
        if self.prefix and not self.prefix.endswith("/"):
            first = next(acting.objects(self.bucket, self.prefix), None)
            if first is not None and first.key == self.prefix:
                self.is_single = True
                self.prefix = self.prefix[: self.prefix.rfind("/") + 1]
                return [first] if self._holds_data(first) else []
            self.prefix += "/"
        return [each for each in acting.objects(self.bucket, self.prefix) if self._holds_data(each)]

    def covers(self, location: str) -> bool:
        """Whether what lies at a location was looked for, once it was listed: of single objects that is not known."""
        return not self.is_single and location.startswith(self.uri(""))

    def below(self, key: str) -> str:
        """The path of a key below what is crawled."""
        return key[len(self.prefix) :]

    def uri(self, path: str) -> str:
        return s3_uri(self.bucket, self.prefix + path)

    def name(self, path: str) -> str:
        """What a table is called that lies at a path: after its folder or file, as far as names allow."""
        text = (self.prefix + path).rstrip("/").rpartition("/")[2] or self.bucket
        return _NOT_IN_NAMES.sub("_", text.lower())[:_LONGEST_NAME] or "_"

    def _holds_data(self, listed: Listed) -> bool:
        path = self.below(listed.key)
        hidden = any(name[:1] in ("_", ".") and "=" not in name for name in path.split("/"))
        return listed.size_bytes > 0 and not path.endswith("/") and not hidden and not self._excluded(path)


class S3Crawl:
    """Looks into what lies in folders, for one crawl."""

    def __init__(
        self,
        acting: Acting,
        looking: "Looking",
        journal: Journal,
        check: Callable[[], None],
        configuration: Configuration,
    ) -> None:
        self._acting = acting
        self._looking = looking
        self._journal = journal
        self._check = check
        self._configuration = configuration

    def tables(self, folder: Folder, sample_size: int | None, skipped: Callable[[str], bool]) -> "list[Grouped]":
        """The tables that a folder's files make; those of folders that are `skipped`, by their path, left out."""
        from clary.lake.inference.grouping import Policy, file_table, group

        listed = [each for each in folder.listed(self._acting) if not skipped(folder.below(each.key))]
        if folder.is_single:  # others may lie in its folder, which nobody asked for
            return [file_table(file) for file in self.files(folder, listed, None)]
        level = self._configuration.table_level
        depth = 1 + folder.prefix.count("/")
        policy = Policy(self._configuration.combined, None if level is None else max(level - depth, 0))
        return group(list(self.files(folder, listed, sample_size)), policy)

    def files(self, folder: Folder, listed: Sequence[Listed], sample_size: int | None) -> "Iterator[File]":
        """The files that are known, with what is in them. Of each folder `sample_size` are looked into, if it is given,
        and the others taken for what the first of these is."""
        from clary.lake.inference.found import UNKNOWN, Found
        from clary.lake.inference.grouping import File

        looked: dict[str, int] = {}
        first: dict[str, Found] = {}
        for each in listed:
            self._check()
            path = folder.below(each.key)
            home = path.rpartition("/")[0]
            looked[home] = looked.get(home, 0) + 1
            if sample_size is not None and looked[home] > sample_size and home in first:
                yield File(path, each.size_bytes, first[home])
                continue
            try:
                found = self._looking.look(self._acting.path_of(folder.bucket, each.key), each.key)
            except ValueError as error:
                self._journal.tell(f"File {folder.uri(path)} is left out: {error}", "WARN")
                continue
            except AwsError as error:
                if error.code == "NoSuchKey":  # deleted since it was listed
                    continue
                raise
            if found.classification == UNKNOWN:
                self._journal.tell(f"File {folder.uri(path)} is left out: no classifier knows it", "WARN")
                continue
            first.setdefault(home, found)
            yield File(path, each.size_bytes, found)

    def wanted(
        self, folder: Folder, grouped: "Grouped", database: str, prefix: str, crawler: str, run: str
    ) -> WantedTable:
        """A table of the catalog for what was grouped."""
        from clary.lake.inference.documents import Crawled, partition_input, table_input

        by = Crawled(crawler, run, tuple(folder.uri(each) for each in folder.exclusions))
        document = table_input(prefix.lower() + folder.name(grouped.path), folder.uri(grouped.path), grouped, by)
        partitions = [partition_input(folder.uri(part.path), part, by) for part in grouped.parts]
        return WantedTable(database, document, partitions)
