"""Clear away what a statement leaves that does not succeed: files, the entry of its table, partitions it registered.

The record of what it was about to store tells what that is. Nobody's permission is asked: the statement stored it, and
who asked for the statement may be gone by now.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.systems.athena.contract import Own
from clary.systems.athena.records import TableWrite
from clary.systems.athena.running import results

QUERY = "trino_query_id"
"""The parameter of a table that says which query made it."""


def undo(own: Own, *, resumed: bool) -> TableWrite | None:
    """Remove all that a statement was storing, its results too; or return what that was, where it is committed.

    `resumed` says that it was cut off before: then nobody remembers how far it had come.
    """
    records = own.ctx.records(TableWrite)
    entry = records.get(own.execution_id)
    if entry is None:
        return None
    write = entry.value
    uris = [uri for uri, _ in write.files]
    if write.iceberg:
        from clary.systems.athena.statements.iceberg_notes import Fate, fate_of

        fate = fate_of(own, write, resumed=resumed)
        if fate == Fate.COMMITTED:
            return write
        if fate == Fate.UNKNOWN:
            uris = []  # VACUUM finds those that are nobody's
    else:
        _forget_table(own, write)
    _remove(own, uris)
    stored = results.announced(own.output, write.substatement)
    _remove(own, [stored.manifest, stored.location + results.METADATA] if stored.manifest else [stored.location])
    if not write.iceberg:
        _forget_partitions(own, write)
    records.delete(own.execution_id)
    return None


def _remove(own: Own, uris: Sequence[str]) -> None:
    with contextlib.suppress(AwsError):  # the bucket is gone, and they with it
        own.delete(uris)


def _forget_table(own: Own, write: TableWrite) -> None:
    """Remove the entry of a table that the statement made, and its partitions with it."""
    if not write.table:
        return
    with contextlib.suppress(AwsError):
        of = {"DatabaseName": write.database, "Name": write.name}
        if (own.call("GetTable", **of)["Table"].get("Parameters") or {}).get(QUERY) == own.execution_id:
            own.call("DeleteTable", **of)


def _forget_partitions(own: Own, write: TableWrite) -> None:
    """Remove the partitions that the statement registered, but those that others have stored rows in since."""
    if not write.new or write.table:
        return
    of = {"DatabaseName": write.database, "TableName": write.name}
    folders = {uri.rpartition("/")[0] for uri, _ in write.files}
    with contextlib.suppress(AwsError):  # the table is gone, and they with it
        found = own.call("BatchGetPartition", **of, PartitionsToGet=[{"Values": each} for each in write.new])
        for partition in found["Partitions"]:
            folder = partition["StorageDescriptor"]["Location"].rstrip("/")
            if folder in folders and not own.objects(f"{folder}/"):
                _forget_partition(own, of, partition, folder)


def _forget_partition(own: Own, of: Mapping[str, Any], partition: Mapping[str, Any], folder: str) -> None:
    own.call("DeletePartition", **of, PartitionValues=partition["Values"])
    if own.objects(f"{folder}/"):
        # Another statement found it registered a moment ago, and relies on that.
        given = {member: partition[member] for member in _INPUT if partition.get(member) is not None}
        own.call("CreatePartition", **of, PartitionInput=given)


_INPUT: Sequence[str] = ("Values", "LastAccessTime", "StorageDescriptor", "Parameters", "LastAnalyzedTime")
