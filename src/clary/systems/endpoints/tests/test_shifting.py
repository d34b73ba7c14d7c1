"""How traffic moves to a new fleet and back: each way by itself, and all of them whatever happens."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clary.kernel.core.errors import AwsError
from clary.kernel.jobs.contract import Failure, Observation, Outcome, Phase
from clary.kernel.serving.routes import Target, choose_target, load_route
from clary.systems.endpoints import deploy
from clary.systems.endpoints.deployments import check_deployment, check_fleets, first_batch, read_plan, shares
from clary.systems.endpoints.fleets import build_fleet
from clary.systems.endpoints.progress import pending, serving_variants
from clary.systems.endpoints.records import Endpoint, EndpointConfig, Fleet, Model
from clary.systems.endpoints.routes import build_route
from clary.systems.endpoints.shifting import SETTLE_SECONDS, fail_to_roll_back, watched
from clary.systems.endpoints.tests.test_deploy import ended, running

NOW = 1000.0
Seen = dict[str, Observation | None]


def fleet(name: str, counts: dict[str, int], now: float = NOW, weights: dict[str, float] | None = None) -> Fleet:
    """A fleet of variants by their counts."""
    model = Model({"PrimaryContainer": {"Image": "sagemaker-xgboost:1.7-1", "ModelDataUrl": f"s3://b/{name}"}})
    variants = [
        {
            "VariantName": variant,
            "ModelName": "m",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": count,
            "InitialVariantWeight": (weights or {}).get(variant, 1.0),
        }
        for variant, count in counts.items()
    ]
    return build_fleet(name, EndpointConfig({"ProductionVariants": variants}), {"m": model}, now)


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def instances(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def blue_green(kind: str = "ALL_AT_ONCE", wait: int = 100, *, alarm: str = "", **members: Any) -> dict[str, Any]:
    """A DeploymentConfig. Members that begin small belong to the traffic routing."""
    routing = {"Type": kind, "WaitIntervalInSeconds": wait}
    routing |= {name: members.pop(name) for name in ("CanarySize", "LinearStepSize") if name in members}
    policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **members}}
    return policy | _watch(alarm)


def rolling(size: dict[str, Any], wait: int = 100, *, alarm: str = "", **members: Any) -> dict[str, Any]:
    policy = {"MaximumBatchSize": size, "WaitIntervalInSeconds": wait, **members}
    return {"RollingUpdatePolicy": policy} | _watch(alarm)


def _watch(alarm: str) -> dict[str, Any]:
    return {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]}} if alarm else {}


class Deployment:
    """An endpoint with four servers that is being updated; all servers are well unless they are told not to be."""

    def __init__(self, config: dict[str, Any], count: int = 4, before: int = 4) -> None:
        check_deployment(config)
        old, new = fleet("old", {"All": before}), fleet("new", {"All": count})
        check_fleets(config, old, new)
        self.now = NOW
        self.bad: Seen = {}
        creating = Endpoint("old", deploy.CREATING, "r", deploying=old)
        done = deploy.advance(creating, {job: running(job) for job in creating.jobs}, {}, NOW)
        assert done is not None
        new = first_batch(read_plan(config), new)
        self.endpoint = replace(done, status=deploy.UPDATING, deploying=new, deployment=config)
        self.old = done.serving

    def seen(self) -> Seen:
        return {job: self.bad.get(job, running(job)) for job in self.endpoint.jobs}

    def go(self, seconds: float = 0.0, alarm: str = "") -> "Deployment":
        """Let time pass, and everything happen that can."""
        self.now += seconds
        for _ in range(20):
            after = deploy.advance(self.endpoint, self.seen(), {}, self.now, alarm)
            assert after is not None
            if after == self.endpoint:
                return self
            self.endpoint = after
        raise AssertionError("it does not come to rest")

    def step(self, alarm: str = "") -> "Deployment":
        """Until the traffic that moves has moved."""
        return self.go(0, alarm).go(SETTLE_SECONDS, alarm)

    def targets(self) -> list[Target]:
        table = build_route(self.endpoint, {job: {"primary": one} for job, one in self.seen().items()})
        return load_route(table).targets if table else []

    @property
    def traffic(self) -> list[tuple[float, int]]:
        """Share and number of servers, of the old fleet and of the new."""
        return [(round(one.share, 3), len(one.servers)) for one in self.targets()]

    @property
    def statuses(self) -> tuple[str, ...]:
        """The endpoint's, and the VariantStatus of the new fleet when there is one."""
        told = pending(self.endpoint)
        variants = told["ProductionVariants"] if told else []
        return (self.endpoint.status, *(one["VariantStatus"][0]["Status"] for one in variants))


def test_all_at_once_bakes_and_waits_before_the_old_fleet_leaves() -> None:
    one = Deployment(blue_green(TerminationWaitInSeconds=50, MaximumExecutionTimeoutInSeconds=600))
    assert one.go().statuses == ("Updating", "ActivatingTraffic")
    assert one.traffic == [(0.0, 4), (1.0, 4)]
    assert one.step().statuses == ("Updating", "Baking")
    assert deploy.next_look(one.endpoint, one.now) == 100
    assert one.go(99).endpoint.config == "old"
    assert one.go(1).statuses == ("Updating", "Baking")
    assert serving_variants(one.endpoint)[0]["VariantStatus"][0]["Status"] == "Deleting"
    assert one.go(49).endpoint.status == "Updating"
    assert one.go(1).statuses == ("InService",)
    assert one.endpoint.config == "new"
    assert one.traffic == [(1.0, 4)]
    assert {leaving.leave_at - one.now for leaving in one.endpoint.leaving} == {deploy.REQUEST_SECONDS}


def test_a_canary_takes_two_steps_and_each_bakes() -> None:
    one = Deployment(blue_green("CANARY", CanarySize=percent(25)))
    assert one.step().traffic == [(0.75, 4), (0.25, 4)]
    assert one.go(99).traffic == [(0.75, 4), (0.25, 4)]
    assert one.go(1).step().traffic == [(0.0, 4), (1.0, 4)]
    assert one.endpoint.status == "Updating"
    assert one.go(100).statuses == ("InService",)
    assert one.endpoint.last_deployment == blue_green("CANARY", CanarySize=percent(25))


def test_linear_steps_end_with_all_of_it() -> None:
    one = Deployment(blue_green("LINEAR", LinearStepSize=percent(40)))
    moved = [dict(enumerate(one.step().traffic))[1][0]]
    while one.endpoint.status == "Updating":
        one.go(100).step()
        moved.append(one.traffic[-1][0])
    assert moved == [0.4, 0.8, 1.0, 1.0]
    new = fleet("new", {"a": 4, "b": 4})
    assert shares(read_plan(blue_green("LINEAR", LinearStepSize=instances(1))), new) == [0.25, 0.5, 0.75, 1.0]
    assert shares(read_plan(blue_green("LINEAR", LinearStepSize=percent(10))), new)[-2:] == [0.9, 1.0]


def test_rolling_replaces_batch_by_batch() -> None:
    one = Deployment(rolling(instances(1)), count=3, before=2)
    assert len(one.endpoint.jobs) == 3
    old_and_new = [one.step().traffic]
    while one.endpoint.status == "Updating":
        one.go(100).step()
        old_and_new.append(one.traffic)
    assert old_and_new == [
        [(0.667, 2), (0.333, 1)],
        [(0.333, 1), (0.667, 2)],
        [(0.0, 0), (1.0, 3)],
        [(1.0, 3)],
    ]
    assert one.endpoint.config == "new"


@pytest.mark.parametrize("moved", [0, 1])
def test_an_alarm_gives_the_traffic_back(moved: int) -> None:
    one = Deployment(blue_green("CANARY", alarm="errors", CanarySize=instances(1)))
    one.step()
    for _ in range(moved):
        one.go(100).step()
    assert watched(one.endpoint) == ("errors",)
    one.go(alarm='"errors" is in ALARM')
    assert one.statuses == ("RollingBack",)
    assert one.traffic == [(1.0, 4)]
    assert one.go(SETTLE_SECONDS).statuses == ("InService",)
    assert (one.endpoint.config, one.endpoint.failure_reason) == ("old", '"errors" is in ALARM')
    assert one.endpoint.serving == one.old
    assert {leaving.leave_at - one.now for leaving in one.endpoint.leaving} == {deploy.REQUEST_SECONDS - SETTLE_SECONDS}


def test_an_alarm_that_has_gone_off_before_lets_no_traffic_move() -> None:
    one = Deployment(blue_green("CANARY", alarm="errors", CanarySize=percent(50)))
    assert one.go(alarm="it is in ALARM").statuses == ("InService",)
    assert one.endpoint.serving == one.old
    assert {leaving.leave_at for leaving in one.endpoint.leaving} == {one.now}


def test_a_deployment_that_takes_too_long_is_taken_back() -> None:
    one = Deployment(blue_green("LINEAR", LinearStepSize=percent(10), MaximumExecutionTimeoutInSeconds=600))
    one.step()
    for _ in range(6):
        one.go(100).step()
    assert one.go(10).endpoint.status == "InService"
    assert "MaximumExecutionTimeoutInSeconds, 600 s" in one.endpoint.failure_reason
    assert one.endpoint.config == "old"


def test_new_servers_that_keep_ending_are_taken_back() -> None:
    one = Deployment(blue_green("CANARY", CanarySize=percent(50)))
    one.step()
    for _ in range(2):
        assert one.endpoint.status == "Updating"
        assert one.endpoint.deploying is not None
        job = one.endpoint.deploying.instances[0].job
        one.bad[job] = ended(job)
        after = deploy.advance(one.endpoint, one.seen(), {}, one.now)
        assert after is not None
        one.endpoint = after
    assert one.endpoint.status == "RollingBack"
    assert one.endpoint.failure_reason.endswith("no model here")


@pytest.mark.parametrize(("size", "rounds"), [(None, 1), (instances(1), 2)])
def test_a_rolling_deployment_is_rolled_back_in_batches(size: dict[str, Any] | None, rounds: int) -> None:
    members = {"RollbackMaximumBatchSize": size} if size else {}
    one = Deployment(rolling(percent(50), alarm="errors", **members))
    assert one.step().traffic == [(0.5, 2), (0.5, 2)]
    after = deploy.advance(one.endpoint, one.seen(), {}, one.now, "it is in ALARM")
    assert after is not None
    assert after.status == "RollingBack"
    one.endpoint = after
    starts = 0
    while one.endpoint.deploying is not None:
        names = set(one.endpoint.jobs)
        after = deploy.advance(one.endpoint, one.seen(), {}, one.now)
        assert after is not None
        starts += bool(set(after.jobs) - names)
        one.endpoint = after
    assert starts == rounds
    assert one.go(SETTLE_SECONDS).traffic == [(1.0, 4)]
    assert (one.endpoint.status, one.endpoint.config) == ("InService", "old")


def test_a_rollback_that_fails_serves_on_with_what_there_is() -> None:
    one = Deployment(rolling(percent(25), alarm="errors"))
    assert one.step().traffic == [(0.75, 3), (0.25, 1)]
    for _ in range(2):
        after = deploy.advance(one.endpoint, one.seen(), {}, one.now, "it is in ALARM")
        assert after is not None
        one.endpoint = after
    assert one.endpoint.serving is not None
    again = one.endpoint.serving.instances[-1].job
    one.bad[again] = ended(again, failure=Failure.CLIENT)
    one.go()
    assert one.endpoint.status == "UpdateRollbackFailed"
    assert "it is in ALARM The rollback failed: Failed to download" in one.endpoint.failure_reason
    assert [(target.weight, len(target.servers)) for target in one.targets()] == [(0.75, 3), (0.25, 1)]
    assert one.go(1000).endpoint.status == "UpdateRollbackFailed"


def test_an_update_that_fails_makes_no_more_of_what_a_failed_rollback_left() -> None:
    one = Deployment(rolling(percent(25), alarm="errors"))
    one.endpoint = fail_to_roll_back(one.step().endpoint, *one.endpoint.fleets, "", one.now)
    mixed = one.go(1000).endpoint.serving
    third = fleet("third", {"All": 4})
    one.endpoint = replace(one.endpoint, status=deploy.UPDATING, deploying=third)
    one.bad = {instance.job: ended(instance.job, failure=Failure.CLIENT) for instance in third.instances}
    assert (one.go().endpoint.status, one.endpoint.serving) == ("UpdateRollbackFailed", mixed)
    third = fleet("third", {"All": 4}, one.now)
    one.endpoint = replace(one.endpoint, status=deploy.UPDATING, deploying=third, deployment=blue_green(alarm="errors"))
    assert len(one.step().traffic) == 3
    one.go(1, "it is in ALARM").go(1000)
    assert (one.endpoint.status, one.endpoint.serving) == ("UpdateRollbackFailed", mixed)


WRONG = [
    (blue_green("CANARY"), "needs CanarySize"),
    (blue_green("LINEAR", CanarySize=percent(10)), "CanarySize is for Type CANARY"),
    (blue_green(CanarySize=percent(10)), "leave it out of a TrafficRoutingConfiguration of Type ALL_AT_ONCE"),
    (blue_green("CANARY", CanarySize=percent(51)), "CanarySize is 51 %, and must be between 1 % and 50 %"),
    (blue_green("LINEAR", LinearStepSize=percent(9)), "between 10 % and 50 %"),
    (blue_green("CANARY", CanarySize=instances(3)), "CanarySize is 3 instances of 4 of variant All"),
    (blue_green("LINEAR", LinearStepSize=instances(3)), "between 10 % and 50 % of them"),
    (rolling(instances(3)), "MaximumBatchSize is 3 instances of 4"),
    (rolling(percent(4)), "between 5 % and 50 %"),
    (rolling(percent(10), RollbackMaximumBatchSize=percent(101)), "RollbackMaximumBatchSize is 101 %"),
    (rolling(percent(10)) | blue_green(), "not both"),
    (
        blue_green(wait=500, TerminationWaitInSeconds=100, MaximumExecutionTimeoutInSeconds=600),
        "MaximumExecutionTimeoutInSeconds is 600, and must be more than",
    ),
    ({"AutoRollbackConfiguration": {"Alarms": [{}]}}, "needs an AlarmName"),
]


@pytest.mark.parametrize(("config", "why"), WRONG)
def test_what_aws_documents_as_wrong_is_refused(config: dict[str, Any], why: str) -> None:
    with pytest.raises(AwsError, match=why):
        Deployment(config)


def test_fleets_that_a_policy_cannot_update_are_refused() -> None:
    one, two, other = fleet("c", {"All": 4}), fleet("c", {"All": 4, "b": 4}), fleet("c", {"b": 4})
    with pytest.raises(AwsError, match="must keep their names: the endpoint has All, configuration c has b"):
        check_fleets(blue_green(), one, other)
    with pytest.raises(AwsError, match="endpoints with one variant"):
        check_fleets(rolling(percent(50)), two, two)
    check_fleets(None, one, other)


def sizes(least: int, most: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(st.integers(least, most).map(percent), st.integers(1, 3).map(instances))


WAITS = st.sampled_from([0, 1, 90])
ALARMS = st.sampled_from(["errors", "errors", ""])
POLICY: dict[str, st.SearchStrategy[int]] = {
    "TerminationWaitInSeconds": WAITS,
    "MaximumExecutionTimeoutInSeconds": st.just(600),
}
CONFIGS = st.one_of(
    st.none(),
    st.builds(blue_green, st.just("ALL_AT_ONCE"), WAITS, alarm=ALARMS, **POLICY),
    st.builds(blue_green, st.just("CANARY"), WAITS, alarm=ALARMS, CanarySize=sizes(1, 50), **POLICY),
    st.builds(blue_green, st.just("LINEAR"), WAITS, alarm=ALARMS, LinearStepSize=sizes(10, 50), **POLICY),
    st.builds(rolling, sizes(5, 50), WAITS, alarm=ALARMS, RollbackMaximumBatchSize=sizes(5, 100)),
    st.builds(rolling, sizes(5, 50), WAITS, alarm=ALARMS),
)
COUNTS = st.one_of(
    st.fixed_dictionaries({"a": st.integers(1, 5)}),
    st.fixed_dictionaries({"a": st.integers(1, 3), "b": st.integers(1, 3)}),
)
WEIGHTS = st.fixed_dictionaries({"a": st.sampled_from([0.0, 0.3, 1.0]), "b": st.sampled_from([0.0, 2.0])})


def shape(endpoint: Endpoint) -> list[Any]:
    """All that a rollback has to bring back."""
    variants = endpoint.serving.variants if endpoint.serving else []
    return [
        endpoint.config,
        *((one.name, one.containers, one.desired_count, one.desired_weight, one.current_weight) for one in variants),
    ]


class Life(RuleBasedStateMachine):
    """An endpoint through whatever is asked of it and happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.endpoint: Endpoint | None = None
        self.world: Seen = {}  # every job ever started; None once its executor has forgotten it
        self.asked_at: dict[str, float] = {}  # when a server may last have been sent a request
        self.alarm = ""
        self.start_well = True  # whether servers answer as soon as they are started
        self.before: list[Any] = []
        self.wanted = ""
        self.now = NOW
        self.number = 0

    @initialize(counts=COUNTS)
    def create(self, counts: dict[str, int]) -> None:
        self.endpoint = Endpoint("c0", deploy.CREATING, "r", deploying=fleet("c0", counts, self.now))
        self.wanted = "c0"
        self.settle()

    @property
    def busy(self) -> bool:
        return self.endpoint is None or self.endpoint.status not in {deploy.IN_SERVICE, deploy.UPDATE_ROLLBACK_FAILED}

    @precondition(lambda self: not self.busy)
    @rule(config=CONFIGS, count=st.integers(1, 5), weights=WEIGHTS)
    def update(self, config: dict[str, Any] | None, count: int, weights: dict[str, float]) -> None:
        assert self.endpoint is not None
        assert self.endpoint.serving is not None
        counts = {one.name: count for one in self.endpoint.serving.variants}
        new = fleet(f"c{self.number + 1}", counts, self.now, weights)
        try:
            check_deployment(config)
            check_fleets(config, self.endpoint.serving, new)
        except AwsError:
            return
        self.number += 1
        self.before, self.wanted = shape(self.endpoint), new.config
        deploying = first_batch(read_plan(config), new)
        self.endpoint = replace(
            self.endpoint, status=deploy.UPDATING, failure_reason="", deploying=deploying, deployment=config
        )
        self.settle()

    @precondition(lambda self: not self.busy and self.endpoint.status == deploy.IN_SERVICE)
    @rule(count=st.integers(1, 4), weights=WEIGHTS)
    def scale(self, count: int, weights: dict[str, float]) -> None:
        assert self.endpoint is not None
        assert self.endpoint.serving is not None
        self.before, self.wanted = shape(self.endpoint), ""
        variants = self.endpoint.serving.variants
        unscaled = {
            one.name: {"desired_count": one.desired_count, "desired_weight": one.desired_weight} for one in variants
        }
        variants = [replace(one, desired_count=count, desired_weight=weights[one.name]) for one in variants]
        serving = replace(self.endpoint.serving, variants=variants)
        self.endpoint = replace(
            self.endpoint, status=deploy.UPDATING, failure_reason="", serving=serving, unscaled=unscaled
        )
        self.settle()

    @rule(which=st.integers(0, 20), kind=st.integers(0, 5))
    def a_server_changes(self, which: int, kind: int) -> None:
        jobs = [job for job, one in self.world.items() if one is not None and not one.ended]
        if jobs:
            job = jobs[which % len(jobs)]
            self.world[job] = [
                running(job),
                replace(running(job), healthy=False),
                ended(job),
                ended(job, Outcome.LOST, None),
                ended(job, failure=Failure.CLIENT),
                running(job, healthy=None),
            ][kind]
        self.settle()

    @rule(start_well=st.booleans())
    def servers_start(self, start_well: bool) -> None:
        self.start_well = start_well
        for job, one in self.world.items():
            if start_well and one is not None and not one.ended:
                self.world[job] = running(job)
        self.settle()

    @precondition(lambda self: self.endpoint is not None and watched(self.endpoint))
    @rule()
    def the_alarm_goes_off(self) -> None:
        self.alarm = "errors: in ALARM"
        self.settle()
        self.alarm = ""

    @rule(seconds=st.sampled_from([0.1, 1.0, 30.0, 90.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.settle()

    def settle(self) -> None:
        """What the reconciler does: passes, until one changes nothing."""
        for _ in range(60):
            if not self.tick():
                return
        raise AssertionError("it does not come to rest")

    def tick(self) -> bool:
        before = self.endpoint
        if before is None:
            return False
        for job in before.jobs:
            waiting = Observation(job, "primary", Phase.PENDING)
            self.world.setdefault(job, running(job) if self.start_well else waiting)
        alarm = self.alarm if watched(before) else ""
        after = deploy.advance(before, {job: self.world[job] for job in before.jobs}, {}, self.now, alarm)
        for job in before.jobs.keys() - (after.jobs.keys() if after else set()):
            assert self.world[job] is None, "a job that runs is forgotten"
        self.endpoint = after
        gone = self.see_off(after) if after else False
        self.check_outcome(before, after)
        return gone or after != before

    def see_off(self, endpoint: Endpoint) -> bool:
        gone = False
        for target in self.targets():
            for job in (address.removeprefix("unix:/") for places in target.servers.values() for address in places):
                self.asked_at[job] = self.now
        for leaving in endpoint.leaving:
            seen = self.world.get(leaving.job)
            if seen is not None and (seen.ended or leaving.leave_at <= self.now):
                if seen.healthy and endpoint.status != deploy.DELETING:
                    drained = self.now - self.asked_at.get(leaving.job, -1e9)
                    assert drained > deploy.REQUEST_SECONDS - 1e-6, "a server is stopped that may have requests"
                self.world[leaving.job] = None
                gone = True
        return gone

    def check_outcome(self, before: Endpoint, after: Endpoint | None) -> None:
        """What was asked for is there when the endpoint is in service again; or what was there before, and why."""
        if after is None or after.status != deploy.IN_SERVICE or before.status == deploy.IN_SERVICE:
            return
        assert (after.deploying, after.shift, after.deployment) == (None, None, None)
        if after.failure_reason:
            assert shape(after) == self.before
        elif self.wanted:
            assert after.config == self.wanted
            assert after.serving is not None
            assert after.serving.config == self.wanted

    def targets(self) -> list[Target]:
        if self.endpoint is None:
            return []
        sightings = {job: {"primary": self.world.get(job)} for job in self.endpoint.jobs}
        table = build_route(self.endpoint, sightings)
        return load_route(table).targets if table else []

    @invariant()
    def traffic_has_somewhere_to_go(self) -> None:
        targets = self.targets()
        if not targets:
            return
        assert sum(target.share * target.weight for target in targets) == pytest.approx(1)
        for wish in ("", *{target.name for target in targets}):
            chosen = choose_target(targets, wish)
            assert chosen is not None
            able = [target for target in targets if target.servers and wish in {"", target.name}]
            assert chosen.servers or not able

    @invariant()
    def the_old_fleet_is_whole_while_the_new_one_may_fail(self) -> None:
        endpoint = self.endpoint
        if endpoint is None or endpoint.deploying is None or endpoint.serving is None:
            return
        if not read_plan(endpoint.deployment).rolling:
            assert all(len(one.instances) == one.desired_count for one in endpoint.serving.variants)
        assert serving_variants(endpoint)
        assert pending(endpoint)

    def teardown(self) -> None:
        """With servers that work, everything ends well; and when it is deleted nothing is left."""
        if self.endpoint is None:
            return
        for _ in range(40):
            self.now += 100
            self.servers_start(True)
        assert not self.busy or self.endpoint.status == deploy.FAILED
        named = {instance.job for one in self.endpoint.fleets for instance in one.instances}
        assert {job for job, one in self.world.items() if one is not None} == named
        self.endpoint = replace(self.endpoint, status=deploy.DELETING)
        self.settle()
        assert self.endpoint is None
        assert all(one is None for one in self.world.values())


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
