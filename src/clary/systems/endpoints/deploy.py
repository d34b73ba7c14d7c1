"""Where an endpoint goes next, from what is asked of it and what is seen of its servers.

    Creating ──all healthy──> InService <──> Updating        Deleting ──servers gone──> no record
        └────a server fails──> Failed  ^        │
                                       └── RollingBack

Nothing here acts: `advance` says what the record should be, and whoever calls it makes it so. An update starts a second
fleet beside the one that serves, to which `shifting` moves the traffic; one that fails is taken back and costs nothing
but an explanation. What no longer serves leaves when its last requests have been answered.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.jobs.contract import Failure, Observation, Outcome, Phase
from clary.systems.endpoints import shifting
from clary.systems.endpoints.instances import all_healthy, best, job_name, leaves, new_instance
from clary.systems.endpoints.records import Endpoint, Fleet, Instance, Leaving, Shift, Variant

CREATING = "Creating"
UPDATING = "Updating"
IN_SERVICE = shifting.IN_SERVICE
ROLLING_BACK = shifting.ROLLING_BACK
UPDATE_ROLLBACK_FAILED = shifting.UPDATE_ROLLBACK_FAILED
DELETING = "Deleting"
FAILED = "Failed"

REQUEST_SECONDS = 60.0  # the longest that one request may take, so that a server is drained after this

_ATTEMPTS_TO_START = 2
_ATTEMPTS_WHEN_NOT_ITS_FAULT = 5
_STEADY_SECONDS = 60.0
# A server that is silent may be busy with a request that takes all the time it may. One that refuses its ping says
# that it is of no use, as ours do once their model has let requests run out of time.
_LONGEST_SILENT_SECONDS = 60.0
_LONGEST_REFUSING_SECONDS = 10.0
_LONGEST_BACK_OFF_SECONDS = 60.0
_LONGEST_REASON = 1024

Seen = Mapping[str, Observation | None]


def advance(endpoint: Endpoint, seen: Seen, faults: Mapping[str, str], now: float, alarm: str = "") -> Endpoint | None:
    """The record as it should be; None when the endpoint is gone and its record can be removed.

    `seen` holds an observation, or None when there is none, for every job of the endpoint (see `sightings`); `faults`
    says why a job cannot even be started, `alarm` which of the deployment's alarms has gone off, empty when none has.
    The same record is returned when there is nothing to do.
    """
    endpoint = _forget_gone(endpoint, seen)
    if endpoint.status == DELETING:
        if not endpoint.fleets and not endpoint.leaving:
            return None
        return _dismiss(replace(endpoint, serving=None, deploying=None, shift=None), endpoint.fleets, now)
    reason = _first_failure(endpoint, seen, faults, now)
    if reason and endpoint.deploying is not None:
        return _give_up(endpoint, endpoint.deploying, reason, now)
    endpoint = _look_at_all(endpoint, seen, now)
    serving, deploying = endpoint.serving, endpoint.deploying
    if serving is None:
        whole = deploying is not None and all_healthy(deploying)
        return shifting.finish(endpoint, deploying, now, REQUEST_SECONDS) if deploying and whole else endpoint
    if deploying is not None:
        if any(variant.serverless for variant in serving.variants):  # their instances come with requests, now too
            endpoint = _scale(endpoint, serving, now)
        return shifting.move_on(endpoint, endpoint.serving or serving, deploying, alarm, now, REQUEST_SECONDS)
    if reason:
        return _scale_back(endpoint, serving, reason, now)
    if endpoint.status == ROLLING_BACK:
        return shifting.settle(endpoint, now)
    return endpoint if endpoint.status == UPDATE_ROLLBACK_FAILED else _scale(endpoint, serving, now)


def next_look(endpoint: Endpoint, now: float) -> float | None:
    """Seconds until something happens by time alone; None when only a change of the world can."""
    times = [leaving.leave_at for leaving in endpoint.leaving]
    times += [instance.start_after for fleet in endpoint.fleets for instance in fleet.instances]
    times += [
        instance.unhealthy_since + seconds
        for fleet in endpoint.fleets
        for instance in fleet.instances
        if instance.unhealthy_since is not None
        for seconds in (_LONGEST_REFUSING_SECONDS, _LONGEST_SILENT_SECONDS)
    ]
    times += shifting.next_times(endpoint, now)
    waits = [at - now for at in times if at > now]
    return min(waits) if waits else None


def _forget_gone(endpoint: Endpoint, seen: Seen) -> Endpoint:
    left = [leaving for leaving in endpoint.leaving if seen.get(leaving.job) is not None]
    return endpoint if len(left) == len(endpoint.leaving) else replace(endpoint, leaving=left)


def _dismiss(endpoint: Endpoint, fleets: list[Fleet], at: float) -> Endpoint:
    """Let the servers of `fleets` leave at the time `at`, and whoever was to leave later then too."""
    leaving = [replace(one, leave_at=min(one.leave_at, at)) for one in endpoint.leaving]
    leaving += [leaves(instance, at) for fleet in fleets for instance in fleet.instances]
    return endpoint if leaving == endpoint.leaving and not fleets else replace(endpoint, leaving=leaving)


def _give_up(endpoint: Endpoint, fleet: Fleet, reason: str, now: float) -> Endpoint:
    """Give up what was being deployed: the endpoint serves on as before, or has failed when nothing served."""
    if endpoint.status == ROLLING_BACK and endpoint.serving is not None:
        return shifting.fail_to_roll_back(endpoint, endpoint.serving, fleet, reason, now)
    if endpoint.serving is not None:
        return shifting.roll_back(endpoint, fleet, reason, now, REQUEST_SECONDS)
    return replace(
        endpoint,
        status=FAILED,
        failure_reason=reason[:_LONGEST_REASON],
        deploying=None,
        deployment=None,
        leaving=[*endpoint.leaving, *(leaves(instance, now) for instance in fleet.instances)],
    )


def _scale(endpoint: Endpoint, serving: Fleet, now: float) -> Endpoint:
    """Give every serving variant its desired count and weight.

    New servers come first: weights change, and what is too much leaves, when all of them have served.
    """
    asked = endpoint.status == UPDATING and endpoint.deploying is None
    variants = []
    leaving = list(endpoint.leaving)
    missing = [max(0, variant.desired_count - len(variant.instances)) for variant in serving.variants]
    for variant, count in zip(serving.variants, missing, strict=True):
        added = [new_instance(variant.containers) for _ in range(count)]
        variants.append(replace(variant, instances=[*variant.instances, *added]))
    done = all(one.served for variant in variants for one in best(variant.instances, variant.desired_count))
    if done or not asked:
        for number, variant in enumerate(variants):
            kept = best(variant.instances, variant.desired_count)
            leaving += [leaves(gone, now + REQUEST_SECONDS) for gone in variant.instances if gone not in kept]
            variants[number] = replace(variant, current_weight=variant.desired_weight, instances=kept)
    after = serving if variants == serving.variants else replace(serving, variants=variants)
    if done and asked:
        return replace(endpoint, serving=after, leaving=leaving, status=IN_SERVICE, unscaled={})
    return endpoint if after is serving else replace(endpoint, serving=after, leaving=leaving)


def _scale_back(endpoint: Endpoint, serving: Fleet, reason: str, now: float) -> Endpoint:
    """Take back a change of counts and weights whose new servers do not start.

    Where nobody said what there was before, as with inference components, what ever served stays.
    """
    variants, leaving = [], list(endpoint.leaving)
    for variant in serving.variants:
        served = [one for one in variant.instances if one.served]
        before = endpoint.unscaled.get(variant.name, {"desired_count": len(served)})
        kept = best(served, before["desired_count"])
        leaving += [
            leaves(one, now + REQUEST_SECONDS if one.served else now) for one in variant.instances if one not in kept
        ]
        variants.append(replace(variant, **before, instances=kept))
    return replace(
        endpoint,
        status=ROLLING_BACK if endpoint.unscaled else IN_SERVICE,
        failure_reason=reason[:_LONGEST_REASON],
        serving=replace(serving, variants=variants),
        shift=Shift(ROLLING_BACK, now) if endpoint.unscaled else None,
        unscaled={},
        leaving=leaving,
    )


def _look_at_all(endpoint: Endpoint, seen: Seen, now: float) -> Endpoint:
    """Take in what is seen of every server; attempts that are over are followed by others."""
    replaced: list[Leaving] = []

    def look(instance: Instance) -> Instance:
        after = _look(instance, seen.get(instance.job), now)
        if after.job != instance.job:
            replaced.append(leaves(instance, now))
        return after

    def look_at_fleet(fleet: Fleet | None) -> Fleet | None:
        if fleet is None:
            return None
        variants = [replace(v, instances=[look(instance) for instance in v.instances]) for v in fleet.variants]
        return fleet if variants == fleet.variants else replace(fleet, variants=variants)

    serving, deploying = look_at_fleet(endpoint.serving), look_at_fleet(endpoint.deploying)
    if serving is endpoint.serving and deploying is endpoint.deploying:
        return endpoint
    return replace(endpoint, serving=serving, deploying=deploying, leaving=[*endpoint.leaving, *replaced])


def _look(instance: Instance, observation: Observation | None, now: float) -> Instance:
    if not instance.hosts and instance.healthy_since is None:  # inference components put their own servers on it
        return replace(instance, healthy_since=now, served=True)
    if observation is None:
        return instance
    if observation.ended:
        return _again(instance, observation.reason, now)
    if observation.healthy:
        since = now if instance.healthy_since is None else instance.healthy_since
        failures = 0 if now - since >= _STEADY_SECONDS else instance.failures
        return replace(instance, healthy_since=since, unhealthy_since=None, served=True, failures=failures)
    if instance.healthy_since is None:
        return instance
    since = now if instance.unhealthy_since is None else instance.unhealthy_since
    longest = _LONGEST_REFUSING_SECONDS if observation.refuses else _LONGEST_SILENT_SECONDS
    if now - since >= longest:
        how = "refused" if observation.refuses else "did not answer"
        return _again(instance, f"It {how} its ping for {longest:g} s.", now)
    return replace(instance, unhealthy_since=since)


def _again(instance: Instance, reason: str, now: float) -> Instance:
    """The next attempt: at once the first time, later and later when it keeps failing."""
    back_off = min(2.0 ** (instance.failures - 1), _LONGEST_BACK_OFF_SECONDS) if instance.failures else 0.0
    return replace(
        instance,
        job=job_name(instance.id, instance.attempt + 1),
        attempt=instance.attempt + 1,
        start_after=now + back_off,
        failures=instance.failures + 1,
        reason=reason,
        healthy_since=None,
        unhealthy_since=None,
    )


def _first_failure(endpoint: Endpoint, seen: Seen, faults: Mapping[str, str], now: float) -> str:
    """Why what is being started will never serve; empty while there is hope.

    While traffic shifts, servers that have served count too when they keep ending.
    """
    for variant in _starting(endpoint):
        for instance in variant.instances:
            if instance.served and endpoint.shift is None:
                continue
            observation = seen.get(instance.job)
            reason = faults.get(instance.job) or _failure(variant, instance, observation, now)
            if reason:
                return reason
    return ""


def _starting(endpoint: Endpoint) -> list[Variant]:
    """The variants whose servers must start for what is being done to succeed."""
    if endpoint.status == ROLLING_BACK:
        fleet = endpoint.serving if endpoint.deploying else None
    else:
        fleet = endpoint.deploying or (endpoint.serving if endpoint.status == UPDATING else None)
    return fleet.variants if fleet else []


def _failure(variant: Variant, instance: Instance, observation: Observation | None, now: float) -> str:
    if observation is None or observation.healthy:
        return ""
    host = observation.host
    if observation.ended:
        if observation.failure is Failure.CLIENT:
            return _no_model_data(variant, host, observation.reason)
        forgiven = observation.outcome in {Outcome.LOST, Outcome.STOPPED} or observation.failure is Failure.INTERNAL
        attempts = _ATTEMPTS_WHEN_NOT_ITS_FAULT if forgiven else _ATTEMPTS_TO_START
        return _no_ping(variant, host, observation.reason) if instance.failures + 1 >= attempts else ""
    if instance.healthy_since is not None:
        return ""
    began = observation.phases.get(observation.phase, now)
    if observation.phase is Phase.DOWNLOADING and now - began > variant.download_timeout_seconds:
        return _no_model_data(variant, host, f"The download took more than {variant.download_timeout_seconds:g} s.")
    if observation.phase is Phase.RUNNING and now - began > variant.startup_timeout_seconds:
        return _no_ping(variant, host, f"It did not answer within {variant.startup_timeout_seconds:g} s.")
    return ""


def _no_ping(variant: Variant, host: str, detail: str) -> str:
    text = (
        f"The {host} container for production variant {variant.name} did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
    last = detail.strip().splitlines()[-1:]
    return f"{text} The last that is known of it: {last[0]}" if last else text


def _no_model_data(variant: Variant, host: str, detail: str) -> str:
    source = model_location(variant.containers.get(host, {}))
    return f'Failed to download model data for production variant {variant.name} from "{source}": {detail.strip()}'


def model_location(container: Mapping[str, Any]) -> str:
    """The S3 URI of a container's model data; empty when it has none."""
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    return str(container.get("ModelDataUrl") or source.get("S3Uri", ""))
