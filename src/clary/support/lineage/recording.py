"""Write down what is known and not yet recorded: all of it in one transaction, nothing twice."""

from collections.abc import Mapping
from dataclasses import replace

from clary.kernel.rooms import Context, Platform
from clary.kernel.store import AlreadyExists, Conflict
from clary.kernel.store.contract import Insert
from clary.support.lineage.edges import edge_name
from clary.support.lineage.logic_facts import Facts
from clary.support.lineage.records import Association
from clary.support.lineage.resources import ENTITIES
from clary.support.lineage.vertices import JOBS

_MAX_TRIES = 20


def write_down(platform: Platform, known: Mapping[tuple[str, str], Facts]) -> None:
    """Record facts, by account and region. What is there already stays as it is. Durable once it returns."""
    for _ in range(_MAX_TRIES):
        missing = [
            insertion for scope, facts in known.items() for insertion in _missing(acting(platform, *scope), facts)
        ]
        try:
            if missing:
                platform.store.apply(missing)
            return
        except (AlreadyExists, Conflict):
            continue  # somebody recorded part of it in between
    raise Conflict("lineage kept changing")


def acting(platform: Platform, account: str, region: str) -> Context:
    """Who records: the platform, in the place of the account."""
    return platform.acting_as_root(account, region, "sagemaker", "AddAssociation")


def _missing(ctx: Context, facts: Facts) -> list[Insert]:
    insertions: list[Insert] = []
    types: dict[str, str] = {}
    for reference, entity in facts.entities.items():
        kind, _, name = reference.partition("/")
        resource = ENTITIES[kind]
        stored = resource.find(ctx, name)
        if stored is None:
            uri = entity.source["SourceUri"]
            insertion = ctx.records(resource.record).insertion(name, entity, parent=uri)
            when = facts.times.get(reference, insertion.row.created_at)
            insertions.append(Insert(replace(insertion.row, created_at=when, updated_at=when)))
        types[reference] = entity.type if stored is None else stored.value.type
    table = ctx.records(Association)
    for (source, destination), type_name in facts.associations.items():
        name = edge_name(source, destination)
        if table.get(name) is None:
            first, second = (types.get(end) or _job_type(end) for end in (source, destination))
            insertions.append(table.insertion(name, Association(type_name, first, second), parent=destination))
    return insertions


def _job_type(reference: str) -> str:
    return next(spelled for ending, (_, spelled) in JOBS.items() if reference.endswith(ending))
