"""The endpoint's state machine, driven through its life with what an executor would report."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clary.kernel.jobs.contract import Failure, Observation, Outcome, Phase
from clary.kernel.serving.routes import load_route
from clary.systems.endpoints import deploy
from clary.systems.endpoints.fleets import build_fleet, retain
from clary.systems.endpoints.records import Endpoint, EndpointConfig, Fleet, Model
from clary.systems.endpoints.routes import build_route
from clary.systems.endpoints.sightings import together

NOW = 1000.0
MODEL = Model({"PrimaryContainer": {"Image": "sagemaker-xgboost:1.7-1", "ModelDataUrl": "s3://b/model.tar.gz"}})


def fleet(count: int = 2, name: str = "config", **variant: Any) -> Fleet:
    given_variant = {"VariantName": "All", "ModelName": "m", "InstanceType": "ml.m5.large", **variant}
    given_variant["InitialInstanceCount"] = count
    return build_fleet(name, EndpointConfig({"ProductionVariants": [given_variant]}), {"m": MODEL}, NOW)


def creating(count: int = 2) -> Endpoint:
    return Endpoint("config", deploy.CREATING, "r", deploying=fleet(count))


def running(job: str, *, healthy: bool | None = True) -> Observation:
    return Observation(
        job, "primary", Phase.RUNNING, {Phase.RUNNING: NOW}, healthy=healthy, socket=f"/{job}" if healthy else None
    )


def ended(job: str, outcome: Outcome = Outcome.FAILED, failure: Failure | None = Failure.ALGORITHM) -> Observation:
    return Observation(job, "primary", Phase.ENDED, outcome=outcome, failure=failure, reason="boom\nno model here")


def all_running(endpoint: Endpoint) -> dict[str, Observation | None]:
    return {job: running(job) for job in endpoint.jobs}


def places(endpoint: Endpoint, seen: dict[str, Observation | None]) -> list[str] | None:
    """The addresses that gateways are told; None when they are told of no endpoint."""
    table = build_route(endpoint, {job: {"primary": one} for job, one in seen.items()})
    if table is None:
        return None
    return [place for target in load_route(table).targets for server in target.servers.values() for place in server]


def in_service(count: int = 2) -> Endpoint:
    endpoint = creating(count)
    done = deploy.advance(endpoint, all_running(endpoint), {}, NOW)
    assert done is not None
    return done


def step(endpoint: Endpoint, seen: dict[str, Observation | None], now: float = NOW) -> Endpoint:
    after = deploy.advance(endpoint, {job: seen.get(job) for job in endpoint.jobs}, {}, now)
    assert after is not None
    return after


def test_in_service_when_every_server_is_healthy() -> None:
    endpoint = creating(2)
    first, second = endpoint.jobs
    assert step(endpoint, {}) == endpoint
    half = step(endpoint, {first: running(first), second: running(second, healthy=None)})
    assert half.status == deploy.CREATING
    assert places(half, {}) is None
    done = step(half, {first: running(first), second: running(second)})
    assert done.status == deploy.IN_SERVICE
    assert sorted(places(done, all_running(done)) or ()) == sorted([f"unix:/{first}", f"unix:/{second}"])


def test_a_server_that_exits_twice_fails_the_endpoint_and_says_its_last_line() -> None:
    endpoint = creating(1)
    (job,) = endpoint.jobs
    endpoint = step(endpoint, {job: ended(job)})
    assert endpoint.status == deploy.CREATING
    (again,) = [instance.job for instance in endpoint.fleets[0].instances]
    assert again != job
    failed = step(endpoint, {job: None, again: ended(again)})
    assert failed.status == deploy.FAILED
    assert "did not pass the ping health check" in failed.failure_reason
    assert failed.failure_reason.endswith("no model here")
    assert [leaving.job for leaving in failed.leaving] == [again]


def test_missing_model_data_fails_at_once() -> None:
    endpoint = creating(1)
    (job,) = endpoint.jobs
    failed = step(endpoint, {job: ended(job, failure=Failure.CLIENT)})
    assert failed.status == deploy.FAILED
    assert "s3://b/model.tar.gz" in failed.failure_reason


def test_a_server_that_never_answers_fails_after_its_time() -> None:
    endpoint = replace(creating(1), deploying=fleet(1, ContainerStartupHealthCheckTimeoutInSeconds=60))
    (job,) = endpoint.jobs
    silent = {job: running(job, healthy=None)}
    assert step(endpoint, silent, NOW + 59).status == deploy.CREATING
    assert step(endpoint, silent, NOW + 61).status == deploy.FAILED


def test_an_image_that_cannot_run_fails_the_endpoint() -> None:
    endpoint = creating(1)
    (job,) = endpoint.jobs
    failed = deploy.advance(endpoint, {job: None}, {job: "no such image"}, NOW)
    assert failed is not None
    assert (failed.status, failed.failure_reason) == (deploy.FAILED, "no such image")


def test_a_crashed_server_is_followed_by_another_at_once_and_then_ever_later() -> None:
    endpoint = in_service(1)
    waits = []
    for _ in range(9):
        (instance,) = endpoint.fleets[0].instances
        endpoint = step(endpoint, {instance.job: ended(instance.job)})
        assert endpoint.status == deploy.IN_SERVICE
        (instance,) = endpoint.fleets[0].instances
        waits.append(instance.start_after - NOW)
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    (instance,) = endpoint.fleets[0].instances
    healed = step(step(endpoint, {instance.job: running(instance.job)}), {instance.job: running(instance.job)}, 1100)
    assert healed.fleets[0].instances[0].failures == 0


def test_a_server_that_stays_ill_is_replaced() -> None:
    endpoint = in_service(2)
    well, ill = endpoint.jobs
    seen = {well: running(well), ill: replace(running(ill), healthy=False)}
    endpoint = step(endpoint, seen)
    assert list(endpoint.jobs) == [well, ill]
    assert places(endpoint, seen) == [f"unix:/{well}"]
    endpoint = step(endpoint, seen, NOW + 61)
    assert [leaving.job for leaving in endpoint.leaving] == [ill]


def test_an_update_switches_when_all_is_healthy_and_the_old_fleet_drains() -> None:
    before = in_service(2)
    old = list(before.jobs)
    updating = replace(before, status=deploy.UPDATING, deploying=fleet(1, "second"))
    new = list(updating.jobs)[-1]
    seen: dict[str, Observation | None] = {job: running(job) for job in old}
    seen[new] = running(new, healthy=None)
    waiting = step(updating, seen)
    assert waiting.status == deploy.UPDATING
    assert len(places(waiting, seen) or ()) == 2
    seen[new] = running(new)
    done = step(waiting, seen)
    assert (done.status, done.config) == (deploy.IN_SERVICE, "second")
    assert {leaving.leave_at for leaving in done.leaving} == {NOW + deploy.REQUEST_SECONDS}
    assert places(done, seen) == [f"unix:/{new}"]
    assert deploy.next_look(done, NOW) == deploy.REQUEST_SECONDS


def test_an_update_that_fails_leaves_what_serves() -> None:
    before = in_service(1)
    updating = replace(before, status=deploy.UPDATING, deploying=fleet(1, "second"))
    old, new = updating.jobs
    after = step(updating, {old: running(old), new: ended(new, failure=Failure.CLIENT)})
    assert (after.status, after.config) == (deploy.IN_SERVICE, "config")
    assert after.failure_reason
    assert after.serving == before.serving


def test_scaling_out_and_in() -> None:
    endpoint = in_service(1)
    assert endpoint.serving is not None

    def want(endpoint: Endpoint, count: int) -> Endpoint:
        assert endpoint.serving is not None
        variants = [replace(one, desired_count=count, desired_weight=0.5) for one in endpoint.serving.variants]
        return replace(endpoint, status=deploy.UPDATING, serving=replace(endpoint.serving, variants=variants))

    out = step(want(endpoint, 3), all_running(endpoint))
    assert (out.status, len(out.jobs)) == (deploy.UPDATING, 3)
    out = step(out, all_running(out))
    assert out.status == deploy.IN_SERVICE
    assert out.serving is not None
    assert out.serving.variants[0].current_weight == 0.5
    back = step(want(out, 1), all_running(out))
    assert back.status == deploy.IN_SERVICE
    assert len(back.leaving) == 2
    failing = step(want(back, 2), all_running(back))
    added = failing.fleets[0].instances[-1].job
    seen = all_running(failing) | {added: ended(added, failure=Failure.CLIENT)}
    kept = step(failing, seen)
    assert kept.status == deploy.IN_SERVICE
    assert kept.failure_reason
    assert kept.serving is not None
    assert kept.serving.variants[0].desired_count == 1


def test_a_deleted_endpoint_is_gone_when_its_servers_are() -> None:
    endpoint = replace(in_service(2), status=deploy.DELETING)
    leaving = step(endpoint, all_running(endpoint))
    assert {one.leave_at for one in leaving.leaving} == {NOW}
    assert places(leaving, all_running(endpoint)) is None
    assert deploy.advance(leaving, {job: None for job in leaving.jobs}, {}, NOW) is None


def test_retaining_what_the_variants_have() -> None:
    before = in_service(3)
    assert before.serving is not None
    kept = retain(fleet(1), before.serving, ())
    assert (kept.variants[0].desired_count, len(kept.instances)) == (3, 3)
    assert retain(fleet(1), before.serving, {"DesiredInstanceCount"}).variants[0].desired_count == 1


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10), st.floats(0, 100)), max_size=30), st.booleans())
def test_whatever_happens_every_job_has_an_owner_and_the_end_comes(
    happenings: list[tuple[int, int, float]], delete: bool
) -> None:
    """Jobs only ever move on: each that was named is named still, or its executor has forgotten it."""
    endpoint: Endpoint | None = creating(2)
    world: dict[str, Observation | None] = {}
    now = NOW

    def tick() -> None:
        nonlocal endpoint
        assert endpoint is not None
        for job in endpoint.jobs:
            world.setdefault(job, Observation(job, "primary", Phase.PENDING))
        before = set(endpoint.jobs)
        endpoint = deploy.advance(endpoint, {job: world.get(job) for job in endpoint.jobs}, {}, now)
        after = set(endpoint.jobs) if endpoint else set()
        assert all(world[job] is None for job in before - after)
        for leaving in endpoint.leaving if endpoint else []:
            seen = world.get(leaving.job)
            if seen is not None and (seen.ended or leaving.leave_at <= now):
                world[leaving.job] = None

    for kind, which, seconds in happenings:
        now += seconds
        assert endpoint is not None
        jobs = [instance.job for one in endpoint.fleets for instance in one.instances]
        if jobs:
            job = jobs[which % len(jobs)]
            outcomes = [
                running(job),
                replace(running(job), healthy=False),
                ended(job),
                ended(job, Outcome.LOST, None),
                ended(job, failure=Failure.CLIENT),
                running(job, healthy=None),
            ]
            world[job] = outcomes[kind]
        tick()
    assert endpoint is not None
    if delete:
        endpoint = replace(endpoint, status=deploy.DELETING)
        for _ in range(4):
            if endpoint is not None:
                now += 100
                tick()
        assert endpoint is None
        assert all(observation is None for observation in world.values())


def test_an_instance_is_as_far_and_as_well_as_the_worst_of_its_containers() -> None:
    well, ill = running("j"), running("j", healthy=False)
    silent, over = running("j", healthy=None), ended("j")
    assert together([None, None]) is None
    assert together([well]) == well
    assert together([well, well]) == well
    waiting, silenced, unwell, failed = (
        together(pair) for pair in ([well, None], [well, silent], [ill, well], [well, over])
    )
    assert waiting is not None
    assert (waiting.phase, waiting.healthy) == (Phase.PENDING, None)
    assert silenced is not None
    assert silenced.healthy is None
    assert unwell is not None
    assert unwell.healthy is False
    assert failed == over
