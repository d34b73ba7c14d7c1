"""Drive endpoints from the state asked for to the state observed.

Safe to run at any time, on any worker, twice: it reads records and the executor, never the request that woke it. Every
pass is the same four steps, each of which may be the last before a crash: look at the servers; decide what the record
should be; tell the gateways where requests may go; write the record. Then servers that the record names are started,
and those it dismisses are stopped and forgotten. A server that no record names is an orphan of a crash, and goes too.
"""

import logging
from collections.abc import Mapping

from clary.kernel.core.arns import partition_of
from clary.kernel.core.errors import AwsError
from clary.kernel.images import ImageUnavailable, Runtime
from clary.kernel.jobs import Executor
from clary.kernel.jobs.contract import HostSpec, InvalidSpec, Observation, Phase, Resources, Wake
from clary.kernel.jobs.instance_types import size_of
from clary.kernel.jobs.slots import clamp, this_machine
from clary.kernel.kv import after_prefix
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.rooms.roles import limiting_role, work_environment
from clary.kernel.rooms.tags import tags_without
from clary.kernel.serving.routes import BELLS, DOMAIN, route_key, write_route
from clary.kernel.store import Conflict, Entry, Table
from clary.kernel.telemetry.metrics import Datum
from clary.systems.endpoints import serverless
from clary.systems.endpoints.deploy import JOB_PREFIX, Seen, advance, next_look
from clary.systems.endpoints.measures import NAMESPACE, no_invocations
from clary.systems.endpoints.records import Endpoint, Instance, Variant
from clary.systems.endpoints.routes import build_route
from clary.systems.endpoints.servers import server_spec
from clary.systems.endpoints.sessions import Sessions
from clary.systems.endpoints.sightings import Sightings, together

TOPIC = "endpoints"

_EVERY_SECONDS = 5.0
_START_PATIENCE_SECONDS = 5.0
_METRICS_EVERY_SECONDS = 30.0  # so that no minute goes without
_CREDENTIAL_SECONDS = 365 * 24 * 3600.0  # a server is given its credentials once, and lives long

_log = logging.getLogger("clary.endpoints")


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the endpoint of a key `account/region/name`, or wake the drive of each, and sweep."""
    if key is not None:
        account, region, name = key.split("/")
        return _drive(platform, platform.records(Endpoint).within(account, region), account, region, name)
    started = _executor(platform).hosts()  # before the records are read: whatever runs by then has its record
    entries = platform.records(Endpoint).all()
    for entry in entries:
        platform.wake(TOPIC, f"{entry.account}/{entry.region}/{entry.name}")
    _sweep(platform, started, entries)
    return None


@reconciler("endpoint_metrics", every_seconds=_METRICS_EVERY_SECONDS)
def report(platform: Platform, key: str | None) -> None:
    """Report that variants serve, so that those without any requests have metrics too."""
    served: dict[tuple[str, str], list[Datum]] = {}
    for entry in platform.records(Endpoint).all():
        for variant in entry.value.serving.variants if entry.value.serving else ():
            served.setdefault((entry.account, entry.region), []).append(no_invocations(entry.name, variant.name))
    for (account, region), data in served.items():
        platform.metrics.put(account, region, NAMESPACE, data)


def _drive(platform: Platform, table: Table[Endpoint], account: str, region: str, name: str) -> float | None:
    """Take one endpoint as far as it will go now; return the seconds until time alone changes something."""
    while True:
        entry = table.get(name)
        if entry is None:
            _tell(platform, route_key(account, region, name), None)
            _forget_demands(platform, account, region, name)
            return None
        try:
            moved = _step(platform, table, entry)
        except Conflict:
            continue
        if not moved:
            return next_look(entry.value, platform.clock.now())


def _step(platform: Platform, table: Table[Endpoint], entry: Entry[Endpoint]) -> bool:
    """One pass over one endpoint; whether there may be more to do at once. Raises Conflict."""
    executor, now = _executor(platform), platform.clock.now()
    before = entry.value
    sightings = {job: {host: executor.observe(job, host) for host in hosts} for job, hosts in before.jobs.items()}
    seen = {job: together(list(hosts.values())) for job, hosts in sightings.items()}
    specs, faults = _specs(platform, entry, seen, now)
    after = advance(_as_demanded(platform, entry, now), seen, faults, now)
    _tell(
        platform,
        route_key(entry.account, entry.region, entry.name),
        None if after is None else build_route(after, sightings),
    )
    if after is None:
        arn = f"arn:{partition_of(entry.region)}:sagemaker:{entry.region}:{entry.account}:endpoint/{entry.name}"
        table.delete(entry.name, version=entry.version, also=tags_without(platform, arn))
        return True
    if after != before:
        table.replace(entry, after, status=after.status)
    return _act(executor, after, sightings, specs, now) or after != before


def _act(
    executor: Executor, endpoint: Endpoint, sightings: Sightings, specs: Mapping[str, list[HostSpec]], now: float
) -> bool:
    """Start what the record names and nobody has started, and see off what it dismisses; whether any is gone."""
    gone = False
    for fleet in endpoint.fleets:
        for instance in fleet.instances:
            for spec in specs.get(instance.job, ()):
                executor.start(spec)
    for leaving in endpoint.leaving:
        for host in leaving.hosts:
            observation = sightings.get(leaving.job, {}).get(host)
            if observation is not None and observation.ended:
                executor.forget(leaving.job, host)
                gone = True
            elif leaving.leave_at <= now:
                executor.stop(leaving.job, host)
    return gone


def _specs(
    platform: Platform, entry: Entry[Endpoint], seen: Seen, now: float
) -> tuple[dict[str, list[HostSpec]], dict[str, str]]:
    """What to start now, and why what should be started cannot be, by job."""
    specs: dict[str, list[HostSpec]] = {}
    faults: dict[str, str] = {}
    for fleet in entry.value.fleets:
        for variant in fleet.variants:
            for instance in variant.instances:
                if _is_started(seen[instance.job], entry, now) or instance.start_after > now:
                    continue
                try:
                    specs[instance.job] = [_spec(platform, entry, variant, instance, host) for host in instance.hosts]
                except (ImageUnavailable, InvalidSpec) as error:
                    faults[instance.job] = str(error)
                except AwsError as error:
                    faults[instance.job] = error.message
    return specs, faults


def _is_started(observation: Observation | None, entry: Entry[Endpoint], now: float) -> bool:
    """Whether a host is under way. One that still is not, long after it was asked for, lost its shim at birth."""
    if observation is None:
        return False
    return observation.phase is not Phase.PENDING or now - entry.updated_at < _START_PATIENCE_SECONDS


def _spec(platform: Platform, entry: Entry[Endpoint], variant: Variant, instance: Instance, host: str) -> HostSpec:
    return server_spec(
        instance,
        variant,
        host,
        _runtime(platform, variant.containers[host]["Image"]),
        endpoint=entry.name,
        account=entry.account,
        region=entry.region,
        resources=_resources(platform, variant),
        wake=Wake(TOPIC, f"{entry.account}/{entry.region}/{entry.name}"),
        environment=_environment(platform, variant, entry.region),
        role=limiting_role(platform, variant.role),
    )


def _resources(platform: Platform, variant: Variant) -> Resources:
    """What the instance type has, as far as the machine does. Servers share it: they hold no slots."""
    machine = this_machine(platform.settings.slots_cpus)
    if variant.serverless:
        return serverless.resources(variant.serverless, machine)
    size = clamp(size_of(variant.instance_type), machine)
    return Resources(size.cpus, size.memory_bytes, machine.gpus[: size.gpus])


def _runtime(platform: Platform, image: str) -> Runtime:
    runtime = platform.registry.images.resolve(image)
    if not runtime.serve:
        raise ImageUnavailable(f"Image {image} only trains: its runtime {runtime.family} cannot serve a model.")
    return runtime


def _environment(platform: Platform, variant: Variant, region: str) -> dict[str, str]:
    if variant.role:
        return work_environment(platform, variant.role, region, _CREDENTIAL_SECONDS)
    return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ENDPOINT_URL": platform.endpoint}


def _tell(platform: Platform, key: bytes, table: bytes | None) -> None:
    """Tell the gateways where requests may go, and wake those whose requests wait for it."""
    if write_route(platform.kv(DOMAIN), key, table):
        platform.bells(BELLS).ring(key)


def _as_demanded(platform: Platform, entry: Entry[Endpoint], now: float) -> Endpoint:
    """The endpoint with as many serverless instances as gateways need."""
    if not serverless.is_serverless(entry.value):
        return entry.value
    prefix = serverless.demand_prefix(entry.account, entry.region, entry.name)
    demands: dict[str, list[serverless.Demand]] = {}
    for key, document in platform.kv(DOMAIN).scan(prefix, after_prefix(prefix)):
        demands.setdefault(serverless.variant_of(key), []).append(serverless.Demand.load(document))
    return serverless.meet(entry.value, demands, platform.settings.serverless_idle_seconds, now)


def _forget_demands(platform: Platform, account: str, region: str, name: str) -> None:
    prefix = serverless.demand_prefix(account, region, name)
    old = [key for key, _ in platform.kv(DOMAIN).scan(prefix, after_prefix(prefix))]
    if old:
        platform.kv(DOMAIN).write(lambda transaction: [transaction.delete(key) for key in old])


def _sweep(platform: Platform, started: list[tuple[str, str]], entries: list[Entry[Endpoint]]) -> None:
    """Take away what a crash left: servers that no record names, tables of endpoints that are gone, old sessions."""
    executor = _executor(platform)
    named = {job for entry in entries for job in entry.value.jobs}
    for job, host in started:
        if job.startswith(JOB_PREFIX) and job not in named:
            executor.forget(job, host)
    Sessions(platform.kv(DOMAIN)).sweep(platform.clock.now())


def _executor(platform: Platform) -> Executor:
    if platform.executor is None:
        raise RuntimeError("endpoints are driven where there is an executor: in the controller")
    return platform.executor
