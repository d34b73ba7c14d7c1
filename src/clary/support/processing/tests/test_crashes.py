"""What a controller that dies, anywhere, leaves behind: something that the next run completes."""

import os
import signal

import pytest

from clary.kernel.rooms.tests.worlds import crash_everywhere
from clary.support.processing.tests.conftest import BUCKET, World, s3_outputs
from clary.testing import eventually

OUT = "/opt/ml/processing/output"


@pytest.mark.slow
def test_a_crash_at_any_crossing_loses_nothing_and_leaves_nothing(still_world: World) -> None:
    world = still_world

    def create(name: str) -> None:
        script = f"cp /proc/sys/kernel/random/uuid {OUT}/$(cat /proc/sys/kernel/random/uuid)"
        world.create(name, script, ProcessingOutputConfig=s3_outputs(f"s3://{BUCKET}/{name}", OUT))

    def check(name: str) -> None:
        assert len(world.keys(f"{name}/")) == 1, "the job ran more than once, or its output is lost"

    crash_everywhere(world, create, check)


def test_a_lost_shim_means_another_attempt(still_world: World) -> None:
    world = still_world
    world.start_controller()
    world.create("lost", "echo up; while true; do read -t 1 <> <(:) || :; done")
    eventually(lambda: world.lines("lost") == ["up"])
    [(attempt, host)] = world.executor.hosts()
    lock = world.platform.settings.home / "jobs" / attempt / host / "lock"
    os.kill(int(lock.read_text()), signal.SIGKILL)
    eventually(lambda: world.lines("lost") == ["up", "up"])
    [(again, _)] = world.executor.hosts()
    assert again.rpartition("-")[0] == attempt.rpartition("-")[0]
    assert again.endswith("-2")
    world.stop_controller()
    world.call("StopProcessingJob", ProcessingJobName="lost")
    assert world.describe("lost")["ProcessingJobStatus"] == "Stopping"
    world.start_controller()
    assert world.ended("lost")["ProcessingJobStatus"] == "Stopped"
