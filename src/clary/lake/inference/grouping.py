"""Which folders are tables, and which are partitions of them: Glue's rules over what is in their files. Pure.

Files of a folder that are alike are one table's; so are folders that are alike, level by level, as long as more than
70 percent of them have one schema and there are five schemas at most. What is not alike is a table for each folder, or
for each file. Source: "How does a crawler determine when to create partitions?" of the AWS Glue developer guide, and
"How does the AWS Glue crawler detect the schema?" of re:Post.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from clary.lake.inference.found import Found
from clary.lake.inference.merging import ALIKE, merged_columns, similar

_MOST_SCHEMAS = 5
_KEY = re.compile(r"([^=/]+)=(.*)")


@dataclass(frozen=True, slots=True)
class File:
    """A file by its path below what is crawled, and what was found in it."""

    path: str
    size_bytes: int
    found: Found


@dataclass(frozen=True, slots=True)
class Measure:
    """Of files: how many, how large, and how many records are in them, or about how many."""

    objects: int = 0
    size_bytes: int = 0
    records: int = 0

    def __add__(self, other: "Measure") -> "Measure":
        return Measure(self.objects + other.objects, self.size_bytes + other.size_bytes, self.records + other.records)


@dataclass(frozen=True, slots=True)
class Part:
    """A partition: the folder, below what is crawled, its values, and what its files are together."""

    path: str
    values: tuple[str, ...]
    found: Found
    measure: Measure


@dataclass(frozen=True, slots=True)
class Grouped:
    """A table: its folder or, where it is a single file, that; what all of its files are together; its partitions."""

    path: str
    found: Found
    measure: Measure
    keys: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    is_file: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How folders are grouped: `combined`, whatever their columns, where the same reader reads them; `level` is how
    many folders below what is crawled each table lies, None where that is to be found out."""

    combined: bool = False
    level: int | None = None


@dataclass(frozen=True, slots=True)
class _Unit:
    """What may be one table: files that are alike in a folder, or folders that are, `depth` levels below it."""

    path: str
    depth: int
    leaves: tuple[tuple[str, Found, Measure], ...]

    @property
    def found(self) -> Found:
        return _joined([found for _, found, _ in self.leaves])


@dataclass(slots=True)
class _Folder:
    files: list[File] = field(default_factory=list)
    folders: dict[str, "_Folder"] = field(default_factory=dict)


def group(files: Sequence[File], policy: Policy = Policy()) -> list[Grouped]:
    """The tables that files make, by their paths. Files that nobody knows are to be left out before."""
    root = _Folder()
    for file in sorted(files, key=lambda file: file.path):
        folder = root
        for name in file.path.split("/")[:-1]:
            folder = folder.folders.setdefault(name, _Folder())
        folder.files.append(file)
    whole, others = _Grouping(policy).units("", root, 0)
    tables = ([_table(whole)] if whole else []) + others
    return sorted(tables, key=lambda table: table.path)


class _Grouping:
    """Goes from the leaves up, and says of each folder whether it may be one table."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def units(self, path: str, folder: _Folder, level: int) -> tuple[_Unit | None, list[Grouped]]:
        """What the folder is as one table, if it is, and the tables in it that are none of that one's."""
        if not folder.folders:
            return self._leaf(path, folder.files, level)
        others: list[Grouped] = [file_table(file) for file in folder.files]
        children: list[_Unit | None] = []
        for name in sorted(folder.folders):
            unit, more = self.units(f"{path}{name}/", folder.folders[name], level + 1)
            children.append(unit)
            others += more
        # Files beside folders are no level of partitions: Glue makes tables of them all.
        chosen = None if folder.files else self._majority(children, level)
        alone = [unit for unit in children if unit is not None and (chosen is None or unit not in chosen)]
        others += [_table(unit) for unit in alone]
        if chosen is None:
            return None, others
        leaves = tuple(leaf for unit in chosen for leaf in unit.leaves)
        return _Unit(path, chosen[0].depth + 1, leaves), others

    def _leaf(self, path: str, files: Sequence[File], level: int) -> tuple[_Unit | None, list[Grouped]]:
        """The files of a folder as one, unless they differ."""
        units = [_Unit(file.path, 0, ((file.path, file.found, _measure([file])),)) for file in files]
        chosen = self._majority(units, max(level, self._policy.level or 0))
        if chosen is None:
            return None, [file_table(file) for file in files]
        paths = {unit.path for unit in chosen}
        together = [file for file in files if file.path in paths]
        leaf = (path, _joined([file.found for file in together]), _measure(together))
        return _Unit(path, 0, (leaf,)), [file_table(file) for file in files if file.path not in paths]

    def _majority(self, units: Sequence[_Unit | None], level: int) -> list[_Unit] | None:
        """Those that are one table together: all that can be read alike, where most are alike. None where few are."""
        forced = self._policy.level is not None and level >= self._policy.level
        if self._policy.level is not None and not forced:
            return None
        clusters: list[list[_Unit]] = []
        strangers = 0
        for unit in units:
            if unit is None:
                strangers += 1
                continue
            home = next((cluster for cluster in clusters if self._alike(cluster[0], unit)), None)
            if home is None:
                clusters.append([unit])
            else:
                home.append(unit)
        if not clusters:
            return None
        largest = max(clusters, key=len)
        combined = self._policy.combined or forced
        if not combined and (len(largest) <= ALIKE * len(units) or len(clusters) + strangers > _MOST_SCHEMAS):
            return None
        return [unit for unit in units if unit is not None and _fits(largest[0], unit)]

    def _alike(self, one: _Unit, other: _Unit) -> bool:
        if not _fits(one, other):
            return False
        return self._policy.combined or similar(one.found.columns, other.found.columns)


def _fits(one: _Unit, other: _Unit) -> bool:
    return one.depth == other.depth and one.found.compatible(other.found)


def _table(unit: _Unit) -> Grouped:
    measure = sum((measure for _, _, measure in unit.leaves), Measure())
    if not unit.depth:
        return Grouped(unit.path, unit.found, measure)
    names = [path[len(unit.path) :].rstrip("/").split("/") for path, _, _ in unit.leaves]
    found = unit.found
    keys = _keys(names, {column.name for column in found.columns})
    values = [tuple(map(_value, each)) for each in names]
    if len(set(values)) < len(values):  # folders that differ in the case of their key, or in how they escape a value
        keys, values = [f"partition_{place}" for place in range(unit.depth)], list(map(tuple, names))
    parts = tuple(
        Part(path, own_values, own, measure)
        for (path, own, measure), own_values in zip(unit.leaves, values, strict=True)
    )
    return Grouped(unit.path, found, measure, tuple(keys), parts)


def file_table(file: File) -> Grouped:
    """The table that a file is by itself."""
    return Grouped(file.path, file.found, _measure([file]), is_file=True)


def _keys(names: Sequence[Sequence[str]], taken: Collection[str]) -> list[str]:
    """The key of each level: its own where the folders name one, else one for its place. No column is named so."""
    keys: list[str] = []
    for place, level in enumerate(zip(*names, strict=True)):
        key = _key(set(level)) or f"partition_{place}"
        if key in taken or key in keys:
            key = f"partition_{place}"
        while key in taken or key in keys:
            key += "_"
        keys.append(key)
    return keys


def _key(names: set[str]) -> str | None:
    """The key that all folders of a level are named for."""
    keys = {found[1].lower() if (found := _KEY.fullmatch(name)) else None for name in names}
    return keys.pop() if len(keys) == 1 else None


def _value(name: str) -> str:
    found = _KEY.fullmatch(name)
    # An empty value is how Hive's name for NULL may be missing, and no value that the catalog takes.
    return (unquote(found[2]) or "__HIVE_DEFAULT_PARTITION__") if found else name


def _measure(files: Sequence[File]) -> Measure:
    return sum((Measure(1, file.size_bytes, records_of(file)) for file in files), Measure())


def records_of(file: File) -> int:
    """How many records a file has, or about how many, by its size; 0 where their length is not known either."""
    length = file.found.record_bytes
    return file.found.records or (file.size_bytes // length if length else 0)


def _joined(founds: Sequence[Found]) -> Found:
    """What files that are read alike are together: all columns, as wide as they must be."""
    first = founds[0]
    if len(founds) == 1:
        return first
    properties: Mapping[str, str] = first.properties
    if any(found.properties.get("areColumnsQuoted") == "true" for found in founds):
        properties = {**properties, "areColumnsQuoted": "true"}
    sizes = [found.record_bytes for found in founds if found.record_bytes]
    return replace(
        first,
        columns=merged_columns([found.columns for found in founds]),
        properties=properties,
        record_bytes=sum(sizes) // len(sizes) if sizes else 0,
        paths=tuple(sorted({path for found in founds for path in found.paths})),
    )
