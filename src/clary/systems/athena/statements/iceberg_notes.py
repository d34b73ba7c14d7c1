"""What a statement notes in the snapshot that it makes, so that one that was cut off and runs again commits once."""

from clary.lake.iceberg.tables import IcebergTable
from clary.systems.athena.contract import Running

_EXECUTION, _ROWS = "clary.athena.execution", "clary.athena.rows"


def summary_of(running: Running, rows: int) -> dict[str, str]:
    """What the snapshot of a statement says: whose it is, and how many rows were changed."""
    return {_EXECUTION: running.execution_id, _ROWS: str(rows)}


def committed_rows(running: Running, table: IcebergTable) -> int | None:
    """How many rows the statement changed, if a run of it that was cut off committed; else None."""
    for snapshot in reversed(table.metadata.snapshots):
        summary = snapshot.summary
        if summary is not None and summary.additional_properties.get(_EXECUTION) == running.execution_id:
            return int(summary.additional_properties.get(_ROWS, "0"))
    return None
