"""Drive a group of model servers from the state asked for to the state observed, one pass at a time.

Endpoints and inference components are both such groups. Every pass is the same four steps, each of which may be the
last before a crash: look at the servers; decide what the record should be; tell the gateways where requests may go;
write the record. Then servers that the record names are started, and those it dismisses are stopped and forgotten.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from clary.kernel.core.errors import AwsError
from clary.kernel.images import ImageUnavailable, Runtime
from clary.kernel.jobs import Executor
from clary.kernel.jobs.contract import HostSpec, InvalidSpec, Resources, Wake
from clary.kernel.jobs.instance_types import size_of
from clary.kernel.jobs.slots import clamp, this_machine
from clary.kernel.rooms import Platform
from clary.kernel.rooms.roles import limiting_role, work_environment
from clary.kernel.serving.routes import BELLS, DOMAIN, write_route
from clary.systems.endpoints import serverless
from clary.systems.endpoints.alarms import gone_off
from clary.systems.endpoints.asynchronous import SERVER_ENVIRONMENT, held_jobs
from clary.systems.endpoints.deploy import advance
from clary.systems.endpoints.records import Endpoint, Instance, Variant
from clary.systems.endpoints.routes import build_route
from clary.systems.endpoints.servers import server_spec
from clary.systems.endpoints.shifting import watched
from clary.systems.endpoints.sightings import Sightings, together

_CREDENTIAL_SECONDS = 365 * 24 * 3600.0  # a server is given its credentials once, and lives long


@dataclass(frozen=True, slots=True)
class Group:
    """What is driven: its state as recorded, and whom and what it is for.

    `route` is its key among the routing tables, `wake` whom its servers wake when something is new about them;
    `endpoint` names the endpoint whose own servers these are.
    """

    state: Endpoint
    account: str
    region: str
    route: bytes
    log_group: str
    wake: Wake
    endpoint: str = ""


def drive_once(
    platform: Platform,
    group: Group,
    wanted: Endpoint,
    hindrance: str,
    save: Callable[[Endpoint | None], bool],
) -> bool:
    """One pass over one group; whether there may be more to do at once.

    `wanted` is the state with what has come to be asked of it since it was recorded; `hindrance` says why none of what
    is to be started can be, empty for nothing. `save` is given the state that comes of it, None at the group's end,
    and records it, or raises Conflict; it says whether that was news.
    """
    executor, now = executor_of(platform), platform.clock.now()
    sightings = {job: {host: executor.observe(job, host) for host in hosts} for job, hosts in group.state.jobs.items()}
    seen = {job: together(list(hosts.values())) for job, hosts in sightings.items()}
    specs, faults = ({}, _hindered(group, hindrance)) if hindrance else _specs(platform, group, sightings, now)
    alarm = gone_off(platform, group.account, group.region, watched(group.state))
    after = advance(wanted, seen, faults, now, alarm)
    tell(platform, group.route, None if after is None else build_route(after, sightings))
    news = save(after)
    if after is None:
        return True
    held = held_jobs(platform.kv(DOMAIN), after, now)
    return _act(executor, after, sightings, specs, held, now) or news


def _hindered(group: Group, hindrance: str) -> dict[str, str]:
    return {instance.job: hindrance for fleet in group.state.fleets for instance in fleet.instances}


def _act(
    executor: Executor,
    endpoint: Endpoint,
    sightings: Sightings,
    specs: Mapping[str, list[HostSpec]],
    held: Collection[str],
    now: float,
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
            elif leaving.leave_at <= now and leaving.job not in held:
                executor.stop(leaving.job, host)
    return gone


def _specs(
    platform: Platform, group: Group, sightings: Sightings, now: float
) -> tuple[dict[str, list[HostSpec]], dict[str, str]]:
    """What to start now, and why what should be started cannot be, by job."""
    specs: dict[str, list[HostSpec]] = {}
    faults: dict[str, str] = {}
    for fleet in group.state.fleets:
        for variant in fleet.variants:
            for instance in variant.instances:
                waiting = [host for host in instance.hosts if sightings[instance.job][host] is None]
                if not waiting or instance.start_after > now:
                    continue
                try:
                    queued = fleet.asynchronous is not None
                    specs[instance.job] = [
                        _spec(platform, group, variant, instance, host, queued=queued) for host in waiting
                    ]
                except (ImageUnavailable, InvalidSpec) as error:
                    faults[instance.job] = str(error)
                except AwsError as error:
                    faults[instance.job] = error.message
    return specs, faults


def _spec(
    platform: Platform, group: Group, variant: Variant, instance: Instance, host: str, *, queued: bool
) -> HostSpec:
    return server_spec(
        instance,
        variant,
        host,
        _runtime(platform, variant.containers[host]["Image"]),
        log_group=group.log_group,
        account=group.account,
        region=group.region,
        resources=resources_of(platform, variant),
        wake=group.wake,
        environment=work_environment(platform, variant.role, group.region, _CREDENTIAL_SECONDS)
        | (SERVER_ENVIRONMENT if queued else {}),
        role=limiting_role(platform, variant.role),
        endpoint=group.endpoint,
    )


def resources_of(platform: Platform, variant: Variant) -> Resources:
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


def tell(platform: Platform, key: bytes, table: bytes | None) -> None:
    """Tell the gateways where requests may go, and wake those whose requests wait for it."""
    if write_route(platform.kv(DOMAIN), key, table):
        platform.bells(BELLS).ring(key)


def executor_of(platform: Platform) -> Executor:
    if platform.executor is None:
        raise RuntimeError("endpoints are driven where there is an executor: in the controller")
    return platform.executor
