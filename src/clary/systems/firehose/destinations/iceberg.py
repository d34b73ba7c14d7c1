"""Tables of Iceberg in the account's Glue catalog: rows are inserted, updated and deleted, each batch by one commit.

A batch goes to the table that is configured, or each record to the one that its metadata names. What was committed
is noted in the table itself, by the commit that does it; so a batch that comes again changes nothing.
"""

import importlib.util
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clary.kernel.core.arns import parse_arn
from clary.kernel.core.errors import AwsError
from clary.kernel.core.ids import new_id
from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import role_principal
from clary.kernel.store import Entry
from clary.systems.firehose.destinations.contract import Failure, Record, Unavailable
from clary.systems.firehose.records import DeliveryStream, role_of
from clary.systems.firehose.refusals import invalid

if TYPE_CHECKING:
    from clary.lake.iceberg.acting import ContextAccess
    from clary.systems.firehose.destinations.iceberg_commits import Item

DATABASE, TABLE, OPERATION = "destinationDatabaseName", "destinationTableName", "operation"
INSERT, UPDATE, DELETE = "insert", "update", "delete"

_MOST_TRIES = 8
_FIRST_WAIT_SECONDS = 0.1


def check(configuration: Mapping[str, Any]) -> None:
    """Raise InvalidArgumentException for what tables of Iceberg cannot be written by."""
    if importlib.util.find_spec("pyiceberg") is None:
        raise invalid("Iceberg tables need pyiceberg, which is not installed: pip install 'clary[data]'.")
    for member, instead in (
        ("SchemaEvolutionConfiguration", "change the table's schema yourself"),
        ("TableCreationConfiguration", "create the table before"),
    ):
        if (configuration.get(member) or {}).get("Enabled"):
            raise invalid(f"{member} is not supported by Clary: {instead}, and leave it out.")
    catalog = configuration["CatalogConfiguration"]
    if catalog.get("CatalogARN"):
        arn = parse_arn(catalog["CatalogARN"])
        if arn.resource != "catalog":
            raise invalid(f"CatalogARN {arn} is not an account's own catalog, arn:aws:glue:<region>:<account>:catalog.")
    if catalog.get("WarehouseLocation"):
        raise invalid(
            "WarehouseLocation is not supported by Clary: it says where tables are created, which must be there. "
            "Give CatalogARN."
        )
    seen = set()
    for each in configuration.get("DestinationTableConfigurationList") or ():
        name = _name(each["DestinationDatabaseName"], each["DestinationTableName"])
        if name in seen:
            raise invalid(f"DestinationTableConfigurationList has {'.'.join(name)} more than once.")
        seen.add(name)
        for member in ("PartitionSpec", "S3ErrorOutputPrefix"):
            if each.get(member):
                raise invalid(f"{member} of a destination table is not supported by Clary: leave it out.")
        if configuration.get("AppendOnly") and each.get("UniqueKeys"):
            raise invalid("UniqueKeys are for updates and deletes, which AppendOnly rules out: leave one of them out.")


def open(platform: Platform, stream: Entry[DeliveryStream], configuration: Mapping[str, Any]) -> "Iceberg":
    return Iceberg(platform, stream, configuration)


class Iceberg:
    """Commits to tables of one catalog, as one role."""

    def __init__(self, platform: Platform, stream: Entry[DeliveryStream], configuration: Mapping[str, Any]) -> None:
        self._platform = platform
        self._stream = stream
        self._role = role_of(stream.value, configuration)
        arn = configuration["CatalogConfiguration"].get("CatalogARN")
        self._region = parse_arn(arn).region if arn else stream.region
        self._account = parse_arn(arn).account if arn else stream.account
        self._append_only = bool(configuration.get("AppendOnly"))
        self._unique_keys = {
            _name(each["DestinationDatabaseName"], each["DestinationTableName"]): list(each.get("UniqueKeys") or ())
            for each in configuration.get("DestinationTableConfigurationList") or ()
        }
        self._closed = threading.Event()

    def deliver(self, batch: Sequence[Record]) -> list[Failure]:
        """Commit to each table what is for it. One that fails does not keep the others from theirs."""
        from clary.systems.firehose.destinations.iceberg_commits import Item

        failures: list[Failure] = []
        by_table: dict[tuple[str, str], list[Item]] = {}
        for index, record in enumerate(batch):
            try:
                table, operation = self._route(record)
            except ValueError as error:
                failures.append(Failure(index, "Iceberg.InvalidMetadata", str(error)))
                continue
            by_table.setdefault(table, []).append(Item(index, record, operation))
        trouble: Unavailable | None = None
        for table, items in by_table.items():
            try:
                failures += self._commit(table, items)
            except Unavailable as error:
                trouble = error
        if trouble is not None:
            raise trouble
        return failures

    def close(self) -> None:
        self._closed.set()

    def _route(self, record: Record) -> tuple[tuple[str, str], str]:
        """The table that a record is for, and what is to be done. Raises ValueError."""
        database, table = record.partition.get(DATABASE), record.partition.get(TABLE)
        if database and table:
            name = _name(database, table)
        elif database or table:
            raise ValueError(f"The record's metadata has {DATABASE} or {TABLE}, and needs both.")
        elif len(self._unique_keys) == 1:
            (name,) = self._unique_keys
        else:
            raise ValueError(
                f"The record's metadata has no {DATABASE} and {TABLE}, and not exactly one table is configured."
            )
        operation = (record.partition.get(OPERATION) or INSERT).lower()
        if operation not in (INSERT, UPDATE, DELETE):
            raise ValueError(f"The record's operation is {operation}, and must be {INSERT}, {UPDATE} or {DELETE}.")
        if operation != INSERT and self._append_only:
            raise ValueError(f"The record's operation is {operation}, and the delivery stream is AppendOnly.")
        if operation != INSERT and not self._unique_keys.get(name):
            raise ValueError(
                f"The record's operation is {operation}, and {'.'.join(name)} has no UniqueKeys to find its row by."
            )
        return name, operation

    def _commit(self, name: tuple[str, str], items: "Sequence[Item]") -> list[Failure]:
        """Commit to one table, again when somebody else committed meanwhile. Raises Unavailable."""
        from clary.systems.firehose.destinations import iceberg_commits

        if self._account != parse_arn(self._role).account:
            message = f"The role's account has no catalog of the account {self._account}: catalogs are not shared."
            return [Failure(item.index, "Iceberg.NoSuchTable", message) for item in items]
        note = f"clary.firehose.{self._stream.value.buffer}"
        for attempt in range(_MOST_TRIES):
            try:
                with self._acting() as access:
                    table = iceberg_commits.load(access, name)
                    return iceberg_commits.commit(access, table, items, self._unique_keys.get(name) or [], note)
            except iceberg_commits.NoTable as error:
                return [Failure(item.index, "Iceberg.NoSuchTable", str(error)) for item in items]
            except iceberg_commits.Conflict:
                self._platform.clock.wait(self._closed, _FIRST_WAIT_SECONDS * 2**attempt)
        raise Unavailable("Iceberg.CommitConflict", f"Others kept committing to {'.'.join(name)}; trying again later.")

    @contextmanager
    def _acting(self) -> "Iterator[ContextAccess]":
        """The catalog and the objects, as the role may use them now. Raises Unavailable."""
        from clary.lake.iceberg.acting import ContextAccess

        try:
            principal = role_principal(self._platform, self._role)
        except AwsError as error:
            raise Unavailable("Iceberg.AccessDenied", error.message) from None
        place = self._platform.settings.home / "firehose" / self._stream.value.buffer
        folder = place / f"iceberg-{new_id()}"
        folder.mkdir(parents=True)
        try:
            ctx = self._platform.acting_as_root(self._account, self._region, "glue", "GetTable")
            yield ContextAccess(replace(ctx, principal=principal), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _name(database: str, table: str) -> tuple[str, str]:
    """A table's name as the catalog knows it."""
    return database.lower(), table.lower()
