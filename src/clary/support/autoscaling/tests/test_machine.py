"""Clients, load, alarms, broken servers and crashes in any order: what holds of a target at every time."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.support.autoscaling.tests.conftest import TARGET, World

pytestmark = pytest.mark.slow

STEPS = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"ScalingAdjustment": 2}], "Cooldown": 90}


class Killed(BaseException):
    """The process was killed."""


class Scaling(RuleBasedStateMachine):
    """A target from its registration on; `bounds` are those last asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        home = Settings.load({}, home=str(Path(self.folder.name)), ephemeral=True)
        clock = VirtualClock(1_750_000_020.0)
        self.world = World(Platform(home, clock), clock)
        self.world.deploy(1)
        self.bounds = (1, 1)

    @initialize(bounds=st.tuples(st.integers(1, 4), st.integers(1, 9)))
    def registered(self, bounds: tuple[int, int]) -> None:
        self.register(bounds)

    @rule(bounds=st.tuples(st.integers(1, 4), st.integers(1, 9)))
    def register(self, bounds: tuple[int, int]) -> None:
        self.bounds = (min(bounds), max(bounds))
        self.world.register(*self.bounds)

    @rule(wanted=st.sampled_from([10.0, 60.0]), cooldown=st.sampled_from([0, 60, 300]))
    def track(self, wanted: float, cooldown: int) -> None:
        self.world.track(wanted, ScaleOutCooldown=cooldown, ScaleInCooldown=cooldown)

    @rule(name=st.sampled_from(["track", "steps"]))
    def delete(self, name: str) -> None:
        with contextlib.suppress(AwsError):
            self.world.call("DeleteScalingPolicy", **TARGET, PolicyName=name)

    @rule(state=st.sampled_from(["ALARM", "OK"]))
    def ring(self, state: str) -> None:
        made = self.world.call("PutScalingPolicy", **TARGET, PolicyName="steps", StepScalingPolicyConfiguration=STEPS)
        self.world.call(
            "PutMetricAlarm",
            "cloudwatch",
            AlarmName="bell",
            AlarmActions=[made["PolicyARN"]],
            Namespace="App",
            MetricName="M",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
        )
        self.world.call("SetAlarmState", "cloudwatch", AlarmName="bell", StateValue=state, StateReason="by hand")

    @rule(minutes=st.integers(1, 20), load=st.sampled_from([0.0, 30.0, 400.0]))
    def pass_time(self, minutes: int, load: float) -> None:
        self.world.pass_time(60.0 * minutes, load=load, step=60)

    @rule(broken=st.booleans())
    def break_servers(self, broken: bool) -> None:
        self.world.machines.broken = broken

    @rule(write=st.integers(1, 6), load=st.sampled_from([0.0, 400.0]))
    def crash(self, write: int, load: float) -> None:
        """A controller dies before its n-th write within a minute."""
        store, writes = self.world.platform.store, 0
        apply = store.apply

        def dying(changes: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == write:
                raise Killed
            return apply(changes)

        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(store, "apply", dying)
            self.world.pass_time(60.0, load=load, step=60)

    @invariant()
    def what_was_asked_is_within_bounds(self) -> None:
        """Every change was to within the bounds of its time; when servers start, the count comes to be there."""
        self.world.drive()
        history = self.world.history
        assert sum(one["StatusCode"] in {"Pending", "InProgress"} for one in history) <= 1
        if self.world.machines.broken or any(one["StatusCode"] != "Successful" for one in history[:1]):
            return
        self.world.drive()
        assert self.bounds[0] <= self.world.count <= self.bounds[1]

    def teardown(self) -> None:
        self.world.platform.close()
        self.folder.cleanup()


TestScaling = Scaling.TestCase
TestScaling.settings = settings(
    max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
