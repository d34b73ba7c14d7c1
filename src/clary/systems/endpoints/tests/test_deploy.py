"""The endpoint's state machine, driven through its life with what an executor would report."""

from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.jobs.contract import Failure, Observation, Outcome, Phase
from clary.kernel.serving.routes import load_route
from clary.systems.endpoints import deploy
from clary.systems.endpoints.fleets import build_fleet, check_captured, retain
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
    assert deploy.next_look(endpoint, NOW + 11) == 49
    assert step(endpoint, seen, NOW + 59) == endpoint
    refusing = seen | {ill: replace(running(ill), healthy=False, refuses=True)}
    assert [leaving.job for leaving in step(endpoint, refusing, NOW + 10).leaving] == [ill]
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

    def want(endpoint: Endpoint, count: int, weight: float = 0.5) -> Endpoint:
        assert endpoint.serving is not None
        variants = endpoint.serving.variants
        unscaled = {
            one.name: {"desired_count": one.desired_count, "desired_weight": one.desired_weight} for one in variants
        }
        variants = [replace(one, desired_count=count, desired_weight=weight) for one in variants]
        serving = replace(endpoint.serving, variants=variants)
        return replace(endpoint, status=deploy.UPDATING, serving=serving, unscaled=unscaled)

    out = step(want(endpoint, 3), all_running(endpoint))
    assert (out.status, len(out.jobs)) == (deploy.UPDATING, 3)
    out = step(out, all_running(out))
    assert out.status == deploy.IN_SERVICE
    assert out.serving is not None
    assert out.serving.variants[0].current_weight == 0.5
    back = step(want(out, 1), all_running(out))
    assert back.status == deploy.IN_SERVICE
    assert len(back.leaving) == 2


def test_a_change_of_counts_that_fails_is_taken_back_whole() -> None:
    endpoint = in_service(1)
    assert endpoint.serving is not None
    (variant,) = endpoint.serving.variants
    wanted = replace(endpoint.serving, variants=[replace(variant, desired_count=3, desired_weight=0.0)])
    unscaled = {"All": {"desired_count": 1, "desired_weight": 1.0}}
    scaling = step(replace(endpoint, status=deploy.UPDATING, serving=wanted, unscaled=unscaled), all_running(endpoint))
    assert scaling.serving is not None
    assert scaling.serving.variants[0].current_weight == 1.0, "weights wait for the servers"
    kept, good, bad = scaling.jobs
    back = step(scaling, {kept: running(kept), good: running(good), bad: running(bad, healthy=None)})
    back = step(back, {kept: running(kept), good: running(good), bad: ended(bad, failure=Failure.CLIENT)})
    assert back.status == deploy.ROLLING_BACK
    assert back.failure_reason
    assert back.serving is not None
    assert back.serving.variants == endpoint.serving.variants
    assert [one.job for one in back.leaving if one.leave_at > NOW] == [good]
    done = step(back, all_running(back), NOW + 1)
    assert (done.status, done.failure_reason) == (deploy.IN_SERVICE, back.failure_reason)


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


def test_what_only_one_kind_of_endpoint_can_have_is_not_retained_by_another() -> None:
    queue = {"OutputConfig": {"S3OutputPath": "s3://b/answers"}}
    empty = replace(fleet(0), asynchronous=queue)
    assert retain(fleet(2), empty, ()).variants[0].desired_count == 2
    assert retain(replace(fleet(2), asynchronous=queue), empty, ()).variants[0].desired_count == 0
    capture = {"DestinationS3Uri": "s3://b/captured", "InitialSamplingPercentage": 50, "CaptureOptions": []}
    captured = replace(fleet(1), capture=capture)
    check_captured(retain(fleet(1), captured, ()))
    with pytest.raises(AwsError, match="name DataCaptureConfig in ExcludeRetainedVariantProperties"):
        check_captured(retain(replace(fleet(1), asynchronous=queue), captured, ()))


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
