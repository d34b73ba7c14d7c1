"""Drive endpoints from the state asked for to the state observed.

Safe to run at any time, on any worker, twice: it reads records and the executor, never the request that woke it. See
`driving` for one pass. A server that no record names is an orphan of a crash, and is taken away.
"""

from collections.abc import Collection

from clary.kernel.core.arns import partition_of
from clary.kernel.jobs.contract import Wake
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.rooms.tags import tags_without
from clary.kernel.serving.demand import demands_on, forget_demands, forget_old
from clary.kernel.serving.routes import DOMAIN, component_key, route_key, route_keys
from clary.kernel.store import Conflict, Entry, Table
from clary.systems.endpoints import serverless
from clary.systems.endpoints.deploy import next_look
from clary.systems.endpoints.driving import Group, drive_once, executor_of, tell
from clary.systems.endpoints.instances import JOB_PREFIX
from clary.systems.endpoints.records import Endpoint, InferenceComponent
from clary.systems.endpoints.servers import log_group
from clary.systems.endpoints.sessions import Sessions

TOPIC = "endpoints"

_EVERY_SECONDS = 5.0


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the endpoint of a key `account/region/name`, or wake the drive of each, and sweep."""
    if key is not None:
        account, region, name = key.split("/")
        return _drive(platform, platform.records(Endpoint).within(account, region), account, region, name)
    # Before the records are read: whatever is there by then has its record.
    started, tables = executor_of(platform).hosts(), route_keys(platform.kv(DOMAIN))
    components = platform.records(InferenceComponent).all()
    entries = platform.records(Endpoint).all()
    for entry in entries:
        platform.wake(TOPIC, f"{entry.account}/{entry.region}/{entry.name}")
    named = {route_key(one.account, one.region, one.name) for one in entries}
    named |= {component_key(one.account, one.region, one.value.endpoint, one.name) for one in components}
    for stray in set(tables) - named:
        tell(platform, stray, None)
    groups = [*(one.value.copies for one in components), *(one.value for one in entries)]
    _sweep(platform, started, {job for group in groups for job in group.jobs})
    return None


def _drive(platform: Platform, table: Table[Endpoint], account: str, region: str, name: str) -> float | None:
    """Take one endpoint as far as it will go now; return the seconds until time alone changes something."""
    while True:
        entry = table.get(name)
        if entry is None:
            tell(platform, route_key(account, region, name), None)
            forget_demands(platform.kv(DOMAIN), account, region, name)
            return None
        try:
            moved = _step(platform, table, entry)
        except Conflict:
            continue
        if not moved:
            return next_look(entry.value, platform.clock.now())


def _step(platform: Platform, table: Table[Endpoint], entry: Entry[Endpoint]) -> bool:
    """One pass over one endpoint; whether there may be more to do at once. Raises Conflict."""
    group = Group(
        state=entry.value,
        account=entry.account,
        region=entry.region,
        route=route_key(entry.account, entry.region, entry.name),
        log_group=log_group(entry.name),
        wake=Wake(TOPIC, f"{entry.account}/{entry.region}/{entry.name}"),
        endpoint=entry.name,
    )

    def save(after: Endpoint | None) -> bool:
        if after is None:
            arn = f"arn:{partition_of(entry.region)}:sagemaker:{entry.region}:{entry.account}:endpoint/{entry.name}"
            table.delete(entry.name, version=entry.version, also=tags_without(platform, arn))
        elif after != entry.value:
            table.replace(entry, after, status=after.status)
        return after != entry.value

    return drive_once(platform, group, _as_demanded(platform, entry), "", save)


def _as_demanded(platform: Platform, entry: Entry[Endpoint]) -> Endpoint:
    """The endpoint with as many serverless instances as gateways need."""
    if not serverless.is_serverless(entry.value):
        return entry.value
    demands = demands_on(platform.kv(DOMAIN), entry.account, entry.region, entry.name)
    return serverless.meet(entry.value, demands, platform.settings.serverless_idle_seconds, platform.clock.now())


def _sweep(platform: Platform, started: list[tuple[str, str]], named: Collection[str]) -> None:
    """Take away what a crash left: servers that no record names, old sessions, demands of gateways that are gone."""
    executor = executor_of(platform)
    for job, host in started:
        if job.startswith(JOB_PREFIX) and job not in named:
            executor.forget(job, host)
    now = platform.clock.now()
    Sessions(platform.kv(DOMAIN)).sweep(now)
    forget_old(platform.kv(DOMAIN), now - platform.settings.serverless_idle_seconds)
