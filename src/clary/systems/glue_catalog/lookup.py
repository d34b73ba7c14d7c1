"""Finding databases and tables, and what is asked on the way: the catalog, names, permissions, errors.

Glue asks for permission on all that is above a thing too: on the catalog, the database and the table.
"""

from collections.abc import Sequence
from functools import partial

from clary.kernel.auth import policies
from clary.kernel.auth.actions import action_of
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context
from clary.kernel.store import Entry
from clary.systems.glue_catalog.records import CatalogPolicy, Database, Table, table_key

CATALOG = "catalog"


def invalid(message: str) -> AwsError:
    return AwsError("InvalidInputException", message)


def not_found(message: str) -> AwsError:
    return AwsError("EntityNotFoundException", message)


def already_exists(message: str) -> AwsError:
    return AwsError("AlreadyExistsException", message)


def modified_meanwhile(what: str) -> AwsError:
    return AwsError("ConcurrentModificationException", f"{what} failed due to concurrent modifications.")


def check_catalog(ctx: Context, catalog_id: str | None) -> None:
    """Raise EntityNotFoundException unless the catalog that is asked for is the caller's own, the only one there is."""
    if catalog_id is not None and catalog_id != ctx.account:
        raise not_found(f"Catalog {catalog_id} not found: each account has one, and this is account {ctx.account}")


def folded(name: str) -> str:
    """A name as the catalog stores it."""
    return name.lower()


def allow(ctx: Context, *resources: str) -> None:
    """Raise AccessDeniedException unless the caller may do this to all of them; the catalog was asked about already.

    The catalog's own policy is asked what it denies; it allows nothing that the caller's policies do not.
    """
    policy = ctx.records(CatalogPolicy).get(CATALOG) if ctx.principal.permissions is not None else None
    for resource in resources:
        if policy is not None:
            action, arn = action_of(ctx.operation), ctx.arn(resource, service="glue")
            decision = policies.trusts(policy.value.document, ctx.principal, action, resource=arn)
            if decision.outcome == "explicitDeny":
                raise policies.denied(ctx.principal, action, arn, decision, ctx.operation)
        policies.require(
            ctx.principal,
            ctx.operation,
            partial(ctx.arn, resource, service="glue"),
            {"aws:requestedregion": ctx.region},
        )


def allow_tables(ctx: Context, database: str, tables: Sequence[str]) -> None:
    """`allow` for tables of a database, their names as the client gave them; `*` for any."""
    database = folded(database)
    allow(ctx, f"database/{database}", *(f"table/{database}/{folded(table)}" for table in tables))


def find_database(ctx: Context, name: str) -> Entry[Database]:
    """The database. Raises EntityNotFoundException."""
    found = ctx.records(Database).get(folded(name))
    if found is None:
        raise not_found(f"Database {folded(name)} not found.")
    return found


def database_of(ctx: Context, name: str) -> Entry[Database]:
    """The database whose tables a name leads to: itself, or where it is a resource link, the one it links to.

    Raises EntityNotFoundException, also for a link that leads nowhere.
    """
    found = find_database(ctx, name)
    target = found.value.input.get("TargetDatabase")
    if target is None:
        return found
    allow(ctx, f"database/{folded(target['DatabaseName'])}")
    linked = find_database(ctx, target["DatabaseName"])
    if linked.value.input.get("TargetDatabase") is not None:
        raise invalid(f"Database {found.name} links to {linked.name}, which is a link itself: link to its target")
    return linked


def find_entry(ctx: Context, catalog_id: str | None, database: str, name: str) -> Entry[Table]:
    """The table of a name, or the resource link, after all that has to be asked about who wants it.

    Raises EntityNotFoundException.
    """
    check_catalog(ctx, catalog_id)
    allow_tables(ctx, database, [name])
    found = ctx.records(Table).get(table_key(database_of(ctx, database).value.uid, folded(name)))
    if found is None:
        raise not_found(f"Table {folded(name)} not found.")
    return found


def find_table(ctx: Context, catalog_id: str | None, database: str, name: str) -> Entry[Table]:
    """The table that a name leads to, be it by a resource link, after all that has to be asked about who wants it.

    Raises EntityNotFoundException, also for a link that leads nowhere.
    """
    return linked_table(ctx, find_entry(ctx, catalog_id, database, name))


def linked_table(ctx: Context, entry: Entry[Table]) -> Entry[Table]:
    """The table that an entry links to; itself where it is no link. Raises EntityNotFoundException."""
    target = entry.value.input.get("TargetTable")
    if target is None:
        return entry
    linked = find_entry(ctx, None, target["DatabaseName"], target["Name"])
    if linked.value.input.get("TargetTable") is not None:
        raise invalid(f"Table {entry.value.input['Name']} links to {target['Name']}, which is a link itself")
    return linked
