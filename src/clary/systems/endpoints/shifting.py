"""How traffic moves from the fleet that serves to the one that is deployed, and back. Pure.

    Creating ──all healthy──> ActivatingTraffic ──> Baking ──all moved──> Deleting ──waited──> the new fleet serves
       ^                                              │
       └───────── the next batch, or step ────────────┘
    an alarm, a server that fails, too much time ──> RollingBack ──> what served before serves

Blue/green starts the whole new fleet and keeps the old one whole until the end, so that going back is giving the
traffic back. Rolling starts a batch, gives it its share and lets as much of the old fleet leave: on the way back the
old servers have to be started again, and when they do not start, the endpoint serves on with what it has, which is
UpdateRollbackFailed.
"""

from dataclasses import replace

from clary.systems.endpoints.deployments import Plan, instances_of, part, read_plan, shares
from clary.systems.endpoints.instances import all_healthy, best, leaves, new_instance
from clary.systems.endpoints.records import Endpoint, Fleet, Leaving, Shift, Variant

IN_SERVICE = "InService"
ROLLING_BACK = "RollingBack"
UPDATE_ROLLBACK_FAILED = "UpdateRollbackFailed"

CREATING = "Creating"
ACTIVATING = "ActivatingTraffic"
BAKING = "Baking"
LEAVING = "Deleting"

SETTLE_SECONDS = 0.5  # every gateway has surely read a new table by then
ALARMS_EVERY_SECONDS = 1.0

_LONGEST_REASON = 1024


def shift_of(endpoint: Endpoint) -> Shift:
    """How far the endpoint's deployment is."""
    began = endpoint.deploying.created_at if endpoint.deploying else 0.0
    return endpoint.shift or Shift(CREATING, began)


def watched(endpoint: Endpoint) -> tuple[str, ...]:
    """The alarms that can take the deployment back."""
    if endpoint.serving is None or endpoint.deploying is None or endpoint.status == ROLLING_BACK:
        return ()
    return read_plan(endpoint.deployment).alarms


def next_times(endpoint: Endpoint, now: float) -> list[float]:
    """When the shift goes on by time alone."""
    if endpoint.shift is None and endpoint.deploying is None:
        return []
    plan, shift = read_plan(endpoint.deployment), shift_of(endpoint)
    waits = {CREATING: 0.0, BAKING: plan.wait_seconds, LEAVING: plan.termination_wait_seconds}
    times = [shift.since + waits.get(shift.stage, SETTLE_SECONDS)]
    if endpoint.deploying is not None and plan.timeout_seconds is not None and endpoint.serving is not None:
        times.append(endpoint.deploying.created_at + plan.timeout_seconds)
    if endpoint.shift is not None and watched(endpoint):
        times.append(now + ALARMS_EVERY_SECONDS)
    return times


def move_on(endpoint: Endpoint, serving: Fleet, deploying: Fleet, alarm: str, now: float, drain: float) -> Endpoint:
    """Take a deployment as far as it goes now. `alarm` says what has gone off, if any has.

    Servers that had requests leave after `drain` seconds.
    """
    if endpoint.status == ROLLING_BACK:
        return _further_back(endpoint, serving, deploying, now, drain)
    plan, shift, ready = read_plan(endpoint.deployment), shift_of(endpoint), all_healthy(deploying)
    if alarm and (ready or shift.share):
        return roll_back(endpoint, deploying, alarm, now, drain)
    deadline = deploying.created_at + plan.timeout_seconds if plan.timeout_seconds is not None else None
    if deadline is not None and shift.stage != LEAVING and now >= deadline:
        late = f"The deployment took longer than MaximumExecutionTimeoutInSeconds, {plan.timeout_seconds:g} s."
        return roll_back(endpoint, deploying, late, now, drain)
    if shift.stage == ACTIVATING:
        over = now >= shift.since + SETTLE_SECONDS
        return replace(endpoint, shift=replace(shift, stage=BAKING, since=now)) if over else endpoint
    if not ready:
        return endpoint
    if shift.stage == CREATING:
        return _activate(endpoint, serving, deploying, plan, now, drain)
    if shift.stage == BAKING and now >= shift.since + plan.wait_seconds:
        if shift.share < 1:
            return _next_step(endpoint, serving, deploying, plan, now, drain)
        if plan.termination_wait_seconds:
            return replace(endpoint, shift=replace(shift, stage=LEAVING, since=now))
        return finish(endpoint, deploying, now, drain)
    if shift.stage == LEAVING and now >= shift.since + plan.termination_wait_seconds:
        return finish(endpoint, deploying, now, drain)
    return endpoint


def _activate(endpoint: Endpoint, serving: Fleet, deploying: Fleet, plan: Plan, now: float, drain: float) -> Endpoint:
    """Give the new fleet the next share of the traffic; when rolling, let as much of the old fleet leave."""
    if not plan.guarded:
        return finish(endpoint, deploying, now, drain)
    before = shift_of(endpoint)
    share = shares(plan, deploying)[before.step]
    leaving = endpoint.leaving
    if plan.rolling:
        serving, gone = _shrink(serving, 1 - share, now + drain)
        leaving = [*leaving, *gone]
    shift = Shift(ACTIVATING, now, share, before.step + 1)
    return replace(endpoint, serving=serving, leaving=leaving, shift=shift)


def _next_step(endpoint: Endpoint, serving: Fleet, deploying: Fleet, plan: Plan, now: float, drain: float) -> Endpoint:
    if not plan.rolling:
        return _activate(endpoint, serving, deploying, plan, now, drain)
    shift = shift_of(endpoint)
    larger = _grow(
        deploying,
        {one.name: part(one.desired_count, shares(plan, deploying)[shift.step]) for one in deploying.variants},
    )
    return replace(endpoint, deploying=larger, shift=replace(shift, stage=CREATING, since=now))


def finish(endpoint: Endpoint, fleet: Fleet, now: float, drain: float) -> Endpoint:
    """Let what was deployed serve alone. What is left of the fleet before it leaves when it has answered."""
    old = endpoint.serving.instances if endpoint.serving else []
    return replace(
        endpoint,
        config=fleet.config,
        status=IN_SERVICE,
        failure_reason="",
        serving=fleet,
        deploying=None,
        shift=None,
        deployment=None,
        last_deployment=endpoint.deployment or endpoint.last_deployment,
        leaving=[*endpoint.leaving, *(leaves(instance, now + drain) for instance in old)],
    )


def roll_back(endpoint: Endpoint, deploying: Fleet, reason: str, now: float, drain: float) -> Endpoint:
    """Take the deployment back. Over at once when the new fleet never had requests."""
    shift, plan = shift_of(endpoint), read_plan(endpoint.deployment)
    endpoint = replace(endpoint, failure_reason=reason[:_LONGEST_REASON])
    if plan.rolling and shift.share:
        served, failed = _without_unserved(deploying, now)
        back = replace(shift, stage=ROLLING_BACK, since=now)
        leaving = [*endpoint.leaving, *failed]
        return replace(endpoint, status=ROLLING_BACK, deploying=served, shift=back, leaving=leaving)
    at = now + drain if shift.share else now
    return replace(
        endpoint,
        status=ROLLING_BACK if shift.share else _at_rest(endpoint),
        deploying=None,
        shift=Shift(ROLLING_BACK, now) if shift.share else None,
        deployment=None,
        last_deployment=endpoint.deployment or endpoint.last_deployment,
        leaving=[*endpoint.leaving, *(leaves(instance, at) for instance in deploying.instances)],
    )


def _further_back(endpoint: Endpoint, serving: Fleet, deploying: Fleet, now: float, drain: float) -> Endpoint:
    """One step of taking a rolling deployment back: start a batch of old servers, give them their share."""
    if not all_healthy(serving):
        return endpoint
    wanted = sum(one.desired_count for one in serving.variants)
    share = max(0.0, 1 - len(serving.instances) / wanted) if wanted else 0.0
    shrunk, gone = _shrink(deploying, share, now + drain)
    leaving = [*endpoint.leaving, *gone]
    if not share:
        return replace(
            endpoint,
            deploying=None,
            shift=Shift(ROLLING_BACK, now),
            deployment=None,
            last_deployment=endpoint.deployment or endpoint.last_deployment,
            leaving=leaving,
        )
    size = read_plan(endpoint.deployment).rollback_size
    batch = instances_of(size, wanted) if size else wanted
    larger = _grow(serving, {one.name: min(one.desired_count, len(one.instances) + batch) for one in serving.variants})
    shift = replace(shift_of(endpoint), share=min(share, shift_of(endpoint).share))
    return replace(endpoint, serving=larger, deploying=shrunk, shift=shift, leaving=leaving)


def settle(endpoint: Endpoint, now: float) -> Endpoint:
    """In service again, or what it was, once whoever sends requests knows of the way back."""
    over = endpoint.shift is None or now >= endpoint.shift.since + SETTLE_SECONDS
    return replace(endpoint, status=_at_rest(endpoint), shift=None) if over else endpoint


def _at_rest(endpoint: Endpoint) -> str:
    """The status of an endpoint that is as it was before: a mixture, if that is what a failed rollback had left."""
    names = [variant.name for variant in endpoint.serving.variants] if endpoint.serving else []
    return IN_SERVICE if len(set(names)) == len(names) else UPDATE_ROLLBACK_FAILED


def fail_to_roll_back(endpoint: Endpoint, serving: Fleet, deploying: Fleet, reason: str, now: float) -> Endpoint:
    """Serve on with both fleets, each by its size, when old servers cannot be started again."""
    old, failed = _without_unserved(serving, now)
    variants = [_weighed(one) for one in (*old.variants, *deploying.variants) if one.instances]
    return replace(
        endpoint,
        status=UPDATE_ROLLBACK_FAILED,
        failure_reason=f"{endpoint.failure_reason} The rollback failed: {reason}"[:_LONGEST_REASON],
        serving=replace(serving, variants=variants),
        deploying=None,
        shift=None,
        deployment=None,
        last_deployment=endpoint.deployment or endpoint.last_deployment,
        leaving=[*endpoint.leaving, *failed],
    )


def _weighed(variant: Variant) -> Variant:
    weight = float(len(variant.instances))
    return replace(variant, current_weight=weight, desired_weight=weight)


def _shrink(fleet: Fleet, share: float, at: float) -> tuple[Fleet, list[Leaving]]:
    """The fleet with what a share of the traffic needs, and what leaves it at the time `at`."""
    variants, gone = [], []
    for variant in fleet.variants:
        kept = best(variant.instances, part(variant.desired_count, share))
        gone += [leaves(one, at) for one in variant.instances if one not in kept]
        variants.append(replace(variant, instances=[one for one in variant.instances if one in kept]))
    return replace(fleet, variants=variants), gone


def _grow(fleet: Fleet, counts: dict[str, int]) -> Fleet:
    """The fleet with new instances where variants have fewer than `counts` says."""
    variants = []
    for variant in fleet.variants:
        missing = counts[variant.name] - len(variant.instances)
        added = [new_instance(variant.containers) for _ in range(missing)]
        variants.append(replace(variant, instances=[*variant.instances, *added]))
    return replace(fleet, variants=variants)


def _without_unserved(fleet: Fleet, now: float) -> tuple[Fleet, list[Leaving]]:
    """The fleet without what never served, which leaves at once."""
    gone = [leaves(one, now) for one in fleet.instances if not one.served]
    variants = [replace(one, instances=[i for i in one.instances if i.served]) for one in fleet.variants]
    return replace(fleet, variants=variants), gone
