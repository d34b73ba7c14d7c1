"""MSCK REPAIR TABLE: register the partitions whose folders are there and whose names the catalog lacks."""

from clary.lake.hive_paths import partition_path, partition_values
from clary.systems.athena.contract import Outcome, Running
from clary.systems.athena.language.statements import MsckRepair
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.catalog import Document, execution
from clary.systems.athena.statements.iceberg import or_iceberg
from clary.systems.athena.statements.partitions import create_partitions, partition_input, partitions


@or_iceberg
def repair(running: Running, statement: MsckRepair) -> Outcome:
    """Add what is missing, a hundred at a time; partitions whose folders are gone stay, as in Athena.

    Folders count that are named by all keys in their order, `year=2024/month=01`, in lower case.
    """
    table = catalog.hive_table(running, catalog.named(running, statement.name))
    names = [key["Name"] for key in catalog.keys_of(table)]
    if not names:
        return Outcome(statement.kind, statement.substatement, rows=())
    known = {tuple(each["Values"]) for each in partitions(running, table, columns=False)}
    new = {values: None for values in _folders(running, table, names) if values not in known}
    errors = create_partitions(running, table, [partition_input(running, table, values) for values in new])
    for error in errors:
        detail = error["ErrorDetail"]
        if detail["ErrorCode"] != "AlreadyExistsException":
            raise execution(f"{detail['ErrorCode']}(message:{detail['ErrorMessage']})")
    shown = [f"{table['Name']}:{partition_path(names, values)}" for values in new]
    rows: list[tuple[str]] = []
    if shown:
        rows = [("Partitions not in metastore:\t" + "\t".join(shown),)]
        rows += [(f"Repair: Added partition to metastore {each}",) for each in shown]
    return Outcome(statement.kind, statement.substatement, rows=rows)


def _folders(running: Running, table: Document, names: list[str]) -> dict[tuple[str, ...], None]:
    """The values of the folders below a table's, in the order of their names."""
    location = table["StorageDescriptor"].get("Location") or ""
    if not location.startswith("s3"):
        raise execution(f"MetaException(message:{table['Name']} has no location on S3)")
    root = location.rstrip("/") + "/"
    found: dict[tuple[str, ...], None] = {}
    for listed in running.objects(root):
        folder, sign, _ = listed.uri[len(root) :].rpartition("/")
        values = partition_values(names, folder) if sign else None
        if values is not None and all(values):
            found[tuple(values)] = None
    return found
