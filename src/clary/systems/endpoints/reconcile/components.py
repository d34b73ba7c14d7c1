"""Drive inference components from the state asked for to the state observed, as endpoints are driven.

Their copies need room on the instances of the endpoint's variant. Where those scale themselves
(ManagedInstanceScaling), this is where they do: as many instances as all copies need, between the bounds.
"""

from dataclasses import replace

from clary.kernel.core.arns import partition_of
from clary.kernel.jobs.contract import Wake
from clary.kernel.jobs.instance_types import size_of
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.rooms.tags import tags_without
from clary.kernel.serving.routes import component_key
from clary.kernel.store import Conflict, Entry, Table
from clary.systems.endpoints import deploy
from clary.systems.endpoints.components import follow
from clary.systems.endpoints.driving import Group, drive_once
from clary.systems.endpoints.placement import Need, NoRoom, instances_needed
from clary.systems.endpoints.records import Endpoint, InferenceComponent, Variant
from clary.systems.endpoints.servers import component_log_group

TOPIC = "inference_components"

_EVERY_SECONDS = 5.0
_ENDPOINTS = "endpoints"


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the component of a key `account/region/name`, or wake the drive of each."""
    if key is not None:
        account, region, name = key.split("/")
        return _drive(platform, platform.records(InferenceComponent).within(account, region), name)
    for entry in platform.records(InferenceComponent).all():
        platform.wake(TOPIC, f"{entry.account}/{entry.region}/{entry.name}")
    for endpoint in platform.records(Endpoint).all():
        _scale_instances(platform, endpoint)
    return None


def _drive(platform: Platform, table: Table[InferenceComponent], name: str) -> float | None:
    """Take one component as far as it will go now; return the seconds until time alone changes something."""
    while True:
        entry = table.get(name)
        if entry is None:
            return None
        try:
            moved = _step(platform, table, entry)
        except Conflict:
            continue
        if not moved:
            return deploy.next_look(entry.value.copies, platform.clock.now())


def _step(platform: Platform, table: Table[InferenceComponent], entry: Entry[InferenceComponent]) -> bool:
    """One pass over one component; whether there may be more to do at once. Raises Conflict."""
    component = entry.value
    group = Group(
        state=component.copies,
        account=entry.account,
        region=entry.region,
        route=component_key(entry.account, entry.region, component.endpoint, entry.name),
        log_group=component_log_group(entry.name),
        wake=Wake(TOPIC, f"{entry.account}/{entry.region}/{entry.name}"),
    )

    def save(copies: Endpoint | None) -> bool:
        if copies is None:
            region, account = entry.region, entry.account
            arn = f"arn:{partition_of(region)}:sagemaker:{region}:{account}:inference-component/{entry.name}"
            table.delete(entry.name, version=entry.version, also=tags_without(platform, arn))
            return True
        followed = follow(component, copies)
        if followed != component:
            table.replace(entry, followed, status=copies.status)
        return followed != component

    return drive_once(platform, group, component.copies, _hindrance(platform, entry), save)


def _hindrance(platform: Platform, entry: Entry[InferenceComponent]) -> str:
    """Why copies that are asked for cannot be started; empty when there is room, or soon will be."""
    component = entry.value
    if component.copies.status not in {deploy.CREATING, deploy.UPDATING}:
        return ""
    endpoint = platform.records(Endpoint).within(entry.account, entry.region).get(component.endpoint)
    host = None if endpoint is None else _host(endpoint.value, component.variant)
    if endpoint is None or host is None:
        return f"Endpoint {component.endpoint} has no variant {component.variant} any more."
    try:
        needed = _needed(platform, endpoint, host)
    except NoRoom as error:
        return f"No copy fits on instance type {host.instance_type}: {error}."
    most = host.options.get("ManagedInstanceScaling", {}).get("MaxInstanceCount", 0) if _is_managed(host) else 0
    if needed > max(host.desired_count, most):
        return (
            f"There is no room for these copies: variant {host.name} of endpoint {component.endpoint} would need "
            f"{needed} instances of type {host.instance_type} and has {max(host.desired_count, most)}. Raise its "
            "instance count, or ask for fewer copies."
        )
    return ""


def _scale_instances(platform: Platform, entry: Entry[Endpoint]) -> None:
    """Give the variants whose instances scale themselves as many as their components need."""
    serving = entry.value.serving
    if serving is None or not any(_is_managed(variant) for variant in serving.variants):
        return
    counts = {one.name: _managed_count(platform, entry, one) for one in serving.variants if _is_managed(one)}

    def change(endpoint: Endpoint) -> Endpoint | None:
        if endpoint.status != deploy.IN_SERVICE or endpoint.serving is None:
            return None
        fleet = endpoint.serving
        variants = [replace(one, desired_count=counts.get(one.name, one.desired_count)) for one in fleet.variants]
        return None if variants == fleet.variants else replace(endpoint, serving=replace(fleet, variants=variants))

    if platform.records(Endpoint).within(entry.account, entry.region).update(entry.name, change):
        platform.wake(_ENDPOINTS, f"{entry.account}/{entry.region}/{entry.name}")


def _managed_count(platform: Platform, entry: Entry[Endpoint], variant: Variant) -> int:
    bounds = variant.options["ManagedInstanceScaling"]
    try:
        needed = _needed(platform, entry, variant)
    except NoRoom:
        return variant.desired_count
    return int(min(max(needed, bounds.get("MinInstanceCount", 1)), bounds.get("MaxInstanceCount", needed)))


def _needed(platform: Platform, endpoint: Entry[Endpoint], host: Variant) -> int:
    """How many instances the copies of all components of a variant need. Raises NoRoom."""
    table = platform.records(InferenceComponent).within(endpoint.account, endpoint.region)
    copies = [
        (Need.of(entry.value.deploying or entry.value.specification), entry.value.current.desired_count)
        for entry in table.all(parent=endpoint.name, sort="created_at")
        if entry.value.variant == host.name and entry.value.current and entry.status != deploy.DELETING
    ]
    return instances_needed(copies, size_of(host.instance_type))


def _host(endpoint: Endpoint, name: str) -> Variant | None:
    fleet = endpoint.serving or endpoint.deploying
    return next((variant for variant in fleet.variants if variant.name == name), None) if fleet else None


def _is_managed(variant: Variant) -> bool:
    return bool(variant.options.get("ManagedInstanceScaling", {}).get("Status") == "ENABLED")
